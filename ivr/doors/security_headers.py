"""What every answer tells a browser; a page that needs another policy sets its own.

The default is that of an interface of JSON: nothing is loaded, nothing framed, nothing kept.
"""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_FRAMED = "frame-ancestors *"  # the widget's page, which other pages show
_A_YEAR = "max-age=31536000"


class SecurityHeaders:
    """Adds them to what the routes answer; `is_https`: browsers shall never come without TLS."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._is_https = is_https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def complete(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.add_to(MutableHeaders(scope=message))
            await send(message)

        await self._app(scope, receive, complete if scope["type"] == "http" else send)

    def add_to(self, headers: MutableHeaders) -> None:
        """Set what an answer has not set itself."""
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if _FRAMED not in headers["Content-Security-Policy"]:
            headers.setdefault("X-Frame-Options", "DENY")
        if self._is_https:
            headers.setdefault("Strict-Transport-Security", _A_YEAR)
