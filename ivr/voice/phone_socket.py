"""Twilio's socket below ASGI: uvicorn's protocol, and a way past its queue for a call's frames.

Upgrade, signature, `start` and the end go the way of every ASGI application. In between, the queue,
the task switches and the pause of reading that uvicorn spends on each message would cost more than
all that a call does with it (docs/performance.md).
"""

from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import OPEN

from . import text_frames

EXTENSION = "ivr.phone"  # the socket's name among the scope's extensions


class PhoneSocket(WebSocketsSansIOProtocol):
    """A `bridge.Phone` from `listen` on; until then a websocket like any other."""

    _deliver: Callable[[str], None] | None = None
    _is_between_messages = False

    async def listen(self, deliver: Callable[[str], None]) -> None:
        """Deliver each text as it comes; return at the end, or when the peer speaks binary."""
        while not self.queue.empty():
            message = await self.receive()
            if not isinstance(text := message.get("text"), str):
                return
            deliver(text)
        run: Callable[..., None] = copy_context().run  # for the log: whose call it is
        self._deliver = partial(run, deliver)
        await self.receive()  # nothing comes this way any more but what ends the call

    def write(self, text: str) -> None:
        """Send without waiting; what is sent to a closed socket is lost."""
        if self.conn.state is OPEN and not self.disconnected:
            self.conn.send_text(text.encode())
            self.transport.write(b"".join(self.conn.data_to_send()))

    @property
    def unsent(self) -> int:
        """How many bytes the peer has not taken yet, beyond what the kernel holds."""
        return self.transport.get_write_buffer_size()

    async def close(self) -> None:
        """Close the socket; Twilio then asks `after`. A peer that takes nothing is cut off."""
        try:
            await self.send({"type": "websocket.close", "code": 1000, "reason": None})
        finally:
            if not self.close_sent:
                self.transport.abort()

    # uvicorn's side

    def handle_connect(self, event: Request) -> None:
        """Let the endpoint find us."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            # The application's task has not begun yet.
            cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = self

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._is_between_messages:
            data = text_frames.take(data, self._take, masked=True)
            if not data:
                return
        super().data_received(data)
        self._is_between_messages = self._deliver is not None and text_frames.may_take(self.conn)

    def send_receive_event_to_app(self) -> None:
        """Deliver a whole message; uvicorn deals with those that are no text."""
        if self._deliver is None or self.curr_msg_data_type != "text" or self.close_sent:
            return super().send_receive_event_to_app()
        try:
            text = b"".join(self.frames).decode()
        except UnicodeDecodeError:
            return super().send_receive_event_to_app()
        self.frames = []
        self._deliver(text)

    def _take(self, data: bytes) -> None:
        self.curr_msg_data_type, self.frames = "text", [data]
        self.send_receive_event_to_app()
