"""How large a request may be, for every route of both applications.

The body is counted as it comes in: a sender need not tell its length, nor tell the truth. How much
a websocket carries, and the head of a request, is limited in `ivr.server`.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ivr.doors import problems
from ivr.errors import TooLarge, TooLong

MOST_TARGET_BYTES = 8 * 1024  # path and query
MOST_BODY_BYTES = 64 * 1024
_BY_BEGINNING = (
    ("/twilio/", 32 * 1024),  # a form of Twilio's has two or three
    ("/webhooks/sms/", 32 * 1024),
    ("/webhooks/whatsapp/", 32 * 1024),
    ("/api/v1/clients", 512 * 1024),  # may bring a whole profile, each character as \uXXXX
)


class BodySize:
    """Answers 413 for a body, and 414 for an address, that is larger than anybody needs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        target = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
        if target > MOST_TARGET_BYTES:
            message = f"the address: expected at most {MOST_TARGET_BYTES // 1024} KiB"
            await problems.refusal(TooLong(message))(scope, receive, send)
            return
        await _Counted(self._app, receive, send, most_bytes(scope["path"])).run(scope)


def most_bytes(path: str) -> int:
    """Return how large the body of a request to this path may be."""
    return next((most for start, most in _BY_BEGINNING if path.startswith(start)), MOST_BODY_BYTES)


class _Counted:
    """One request whose body is counted while the application reads it."""

    def __init__(self, app: ASGIApp, receive: Receive, send: Send, most: int) -> None:
        self._app, self._receive, self._send, self._most = app, receive, send, most
        self._size = 0
        self._has_answered = False

    async def run(self, scope: Scope) -> None:
        """Have the request answered by the application, or refuse it."""
        if _told_length(scope) > self._most:
            await self._refuse(scope)
            return
        try:
            await self._app(scope, self._read, self._answer)
        except TooLarge:
            if self._has_answered:
                raise
        if self._is_over and not self._has_answered:
            await self._refuse(scope)

    @property
    def _is_over(self) -> bool:
        return self._size > self._most

    async def _read(self) -> Message:
        message = await self._receive()
        self._size += len(message.get("body", b""))
        if self._is_over:
            raise TooLarge(self._words)
        return message

    async def _answer(self, message: Message) -> None:
        # What FastAPI makes of our exception (a 400) is not what was wrong.
        if self._is_over and not self._has_answered:
            return
        self._has_answered = True
        await self._send(message)

    async def _refuse(self, scope: Scope) -> None:
        # What is still on its way, the server reads and drops: a connection that is closed upon a
        # sender takes the answer with it.
        await problems.refusal(TooLarge(self._words))(scope, self._receive, self._send)

    @property
    def _words(self) -> str:
        return f"the body: expected at most {self._most // 1024} KiB"


def _told_length(scope: Scope) -> int:
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    return int(told) if told.isdigit() else 0
