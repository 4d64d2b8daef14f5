"""Lets the business's own web pages call the doors that a publishable key opens (CORS).

Which page a key belongs to is checked with the key, at the door; here any page may ask.
"""

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

DOORS = frozenset({"/webhooks/live-chat", "/webhooks/live-chat/messages", "/webhooks/web-form"})
_HEADERS = ("X-API-Key", "Authorization", "Content-Type", "Idempotency-Key")


class CrossOrigin:
    """Answers preflights for these doors and marks their answers, errors included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=["*"],
            allow_methods=["GET", "POST"],
            allow_headers=_HEADERS,
            expose_headers=("Retry-After",),  # else a page could not wait for as long as we ask
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_open = scope["type"] == "http" and scope["path"] in DOORS
        await (self._open if is_open else self._app)(scope, receive, send)
