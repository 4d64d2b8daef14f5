"""Routes that look at the key before they read the body; FastAPI by itself reads the body first.

Who has no good key is told so, whatever the body is, and nothing of it is read or parsed.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from ivr.doors import credentials

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class KeyFirst(APIRoute):
    """For `APIRouter(route_class=KeyFirst)`, of every router whose routes take a body and a key."""

    def get_route_handler(self) -> Handler:
        """Return what answers a request."""
        handle = super().get_route_handler()
        if self.body_field is None or not asks_for_a_key(self):
            return handle

        async def look_first(request: Request) -> Response:
            await credentials.look(request)
            return await handle(request)

        return look_first


def asks_for_a_key(route: APIRoute) -> bool:
    """Return whether a route depends on whose key a request carries."""
    return any(_is_of_credentials(one) for one in _within(route.dependant))


def _within(dependant: Dependant) -> Iterator[Dependant]:
    for one in dependant.dependencies:
        yield one
        yield from _within(one)


def _is_of_credentials(dependant: Dependant) -> bool:
    return getattr(dependant.call, "__module__", None) == credentials.__name__
