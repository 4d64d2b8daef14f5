"""What the JSON doors share: a body of sane size, texts that a database can hold, names of events.

A body is refused with problem details whatever is wrong with it; no door answers 5xx for it.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Header
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from ivr.channels.desk import Desk
from ivr.channels.inbound import Answer, Inbound
from ivr.db.engine import patiently, storable
from ivr.db.tables import Tenant
from ivr.errors import TooLarge, Unavailable

MOST_BODY_BYTES = 64 * 1024
# A browser, or a proxy on the way, waits little longer than half a minute.
ANSWER_SECONDS = 25.0
RETRY_AFTER_SECONDS = 5
COMMIT_SECONDS = 10.0  # while the database is away for a moment


def sound(text: str) -> str:
    """Return a text that any database holds: JSON can spell NUL, and halves of an emoji."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return storable(whole)


# What a name is meant for lies well below.
Name = Annotated[str, AfterValidator(sound), Field(max_length=255)]
Text = Annotated[str, AfterValidator(sound)]


class BoundedRequest(Request):
    """A request whose body is not read beyond what anybody needs."""

    async def stream(self) -> AsyncGenerator[bytes, None]:
        size = 0
        async for chunk in super().stream():
            size += len(chunk)
            if size > MOST_BODY_BYTES:
                raise TooLarge(f"the body: expected at most {MOST_BODY_BYTES // 1024} KiB")
            yield chunk


class JsonRoute(APIRoute):
    """A route that reads a body with a limit, before anything tries to understand it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            request = BoundedRequest(request.scope, request.receive)
            await request.body()
            return await handle(request)

        return bounded


class Said(BaseModel):
    """What a door answers; on live chat with a publishable key without what is known."""

    response: str
    conversation_id: str
    session_id: str
    turn_count: int
    stage: str | None
    lead_data: dict[str, str | bool | None]
    timestamp: datetime
    context_used: list[str] = []
    with_person: bool = Field(description="a person has the conversation, the assistant is silent")


def _desk(request: Request) -> Desk:
    desk: Desk = request.state["desk"]
    return desk


def _event_id(
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> str | None:
    return idempotency_key or None


TheDesk = Annotated[Desk, Depends(_desk)]
EventId = Annotated[str | None, Depends(_event_id)]


def event_id(*given: str | None) -> str:
    """Return the sender's own name for the event, or a new one: then a repeat is another event."""
    return next(filter(None, given), None) or str(uuid.uuid4())


async def converse(desk: Desk, tenant: Tenant, inbound: Inbound) -> Answer:
    """Commit what came in and return its answer; raise `Unavailable` when that takes too long.

    The work goes on then, and the same request gets its answer.
    """
    received = await patiently(lambda: desk.receive(tenant, inbound), seconds=COMMIT_SECONDS)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await desk.answer(received)
    except TimeoutError:
        raise Unavailable(
            "the answer takes longer than usual: ask again with the same Idempotency-Key",
            retry_after=RETRY_AFTER_SECONDS,
        ) from None


def said(answer: Answer, *, is_public: bool = False) -> Said:
    """Return an answer in the words of the wire.

    `is_public`: asked with a publishable key. It lies open, and a session id may be guessed: nobody
    reads there what we know.
    """
    whole = Said(**answer.dump())
    return whole.model_copy(update={"stage": None, "lead_data": {}}) if is_public else whole
