"""Sends a session's events over its socket, and obeys the wire's faults. Knows no state."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tools.emulators.openai.event_log import Event, EventLog
from tools.emulators.openai.faults import Faults

Send = Callable[[dict[str, Any]], Awaitable[None]]

UNKNOWN_EVENT = {
    "type": "response.sparkle.delta",
    "sparkle": {"brightness": 3},
    "event_id": "event_sparkle",
}
_GARBAGE: dict[str, dict[str, Any]] = {
    "text": {"text": "upstream connect error or disconnect/reset before headers"},
    "truncated": {"text": '{"type":"response.output_audio.delta","delta":"////'},
    "binary": {"bytes": bytes(range(256))},
}
_NEW_FIELD = {"since": "a later version", "values": [1, None]}


class Closed(Exception):
    """The socket is gone; nothing can be sent any more."""


class Wire:
    """The server's end of the socket. `faults` is asked again for every event."""

    def __init__(self, send: Send, faults: Callable[[], Faults], speed: float) -> None:
        self._send = send
        self._faults = faults
        self._speed = speed
        self._lock = asyncio.Lock()
        self._ids = itertools.count(1)
        self.sent = EventLog()
        self.closed = False

    async def emit(self, kind: str, **fields: Any) -> None:
        """Send one server event; raise Closed when the session is over."""
        async with self._lock:
            faults = self._faults()
            if faults.delay_ms:
                await self.pause(faults.delay_ms)
            await self._before(kind, faults)
            event: Event = {"type": kind, "event_id": f"event_{next(self._ids)}", **fields}
            if faults.silent or kind in faults.drop:
                return
            if faults.extra_fields:
                event = _with_new_fields(event)
            await self._text(event)
            self._abort_if_due(kind, faults)

    async def raw(self, message: str | bytes) -> None:
        """Send a frame as it is."""
        key = "text" if isinstance(message, str) else "bytes"
        await self._frame({"type": "websocket.send", key: message})

    def seconds(self, ms: float) -> float:
        """Return how long `ms` of the emulator's time take."""
        return ms / 1000 / self._speed

    async def pause(self, ms: float) -> None:
        """Let `ms` of the emulator's time pass."""
        await asyncio.sleep(self.seconds(ms))

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close in an orderly way; does nothing when the socket is gone already."""
        if not self.closed:
            self.closed = True
            with contextlib.suppress(OSError):  # the client was faster
                await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def abort(self) -> None:
        """Reset the TCP connection: no close frame, as when a machine dies."""
        self.closed = True
        # ASGI has no word for it.
        connection: Any = self._send.__self__  # type: ignore[attr-defined]  # uvicorn's own method
        connection.transport.abort()

    async def _before(self, kind: str, faults: Faults) -> None:
        if kind != "response.created":
            return
        if faults.garbage:
            await self._frame({"type": "websocket.send", **_GARBAGE[faults.garbage]})
        if faults.unknown_event:
            await self._text(UNKNOWN_EVENT)

    async def _text(self, event: Event) -> None:
        text = json.dumps(event)
        # Read back, because the items in it go on changing.
        self.sent.add(json.loads(text))
        await self._frame({"type": "websocket.send", "text": text})

    async def _frame(self, message: dict[str, Any]) -> None:
        if self.closed:
            raise Closed
        try:
            await self._send(message)
        except OSError as exc:
            self.closed = True
            raise Closed from exc

    def _abort_if_due(self, kind: str, faults: Faults) -> None:
        match faults.abort:
            case "now":
                self.abort()
            case "mid_response" if kind == "response.output_audio.delta":
                self.abort()
            case int() as count if len(self.sent) >= count:
                self.abort()


def _with_new_fields(value: Any) -> Any:
    """Return `value` with an unknown field in every object."""
    if isinstance(value, dict):
        return {key: _with_new_fields(item) for key, item in value.items()} | {"x_new": _NEW_FIELD}
    if isinstance(value, list):
        return [_with_new_fields(item) for item in value]
    return value
