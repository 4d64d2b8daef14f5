"""The model's socket: the websockets client, and a way past its queue for a call's messages."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, cast
from urllib.parse import quote, urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import DATA_OPCODES, Frame
from websockets.protocol import OPEN, Event

from . import text_frames

CLOSE_S = 2.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024

log = structlog.get_logger(__name__)


class ModelSocket(ClientConnection):
    """Handshake, TLS, proxy, pings and the parting are the library's.

    Closing it takes bounded time, for an open session is paid for.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._early: list[bytes] = []  # what came before anybody listened
        self._deliver: Callable[[bytes], None] = self._early.append
        self._message = bytearray()
        self._is_between_messages = False

    async def listen(self, deliver: Callable[[bytes], None]) -> None:
        """Deliver each message as it comes; raises ConnectionClosedError at a bad end."""
        for message in self._early:
            deliver(message)
        self._deliver = deliver
        with contextlib.suppress(ConnectionClosedOK):
            await self.recv()  # nothing comes this way any more but the end

    def write(self, text: str) -> None:
        """Send without waiting; what is sent to a closed socket is lost."""
        if self.protocol.state is OPEN:
            self.transport.write(text_frames.masked(text.encode()))

    @property
    def unsent(self) -> int:
        """How many bytes the peer has not taken yet, beyond what the kernel holds."""
        return self.transport.get_write_buffer_size()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close, or cut the connection off when the peer does not let it close."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await super().close(code, reason)
        except TimeoutError:
            log.warning("model socket cut off")
        finally:
            self.transport.abort()

    # The library's side

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._is_between_messages:
            data = text_frames.take(data, self._deliver, masked=False)
            if not data:
                return
        super().data_received(data)
        self._is_between_messages = text_frames.may_take(self.protocol)

    def process_event(self, event: Event) -> None:
        """Deliver a whole message instead of queueing its frames."""
        if not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            return super().process_event(event)
        self._message += event.data
        if event.fin:
            message, self._message = bytes(self._message), bytearray()
            self._deliver(message)


def connect_model(
    base_url: str, model: str, api_key: str, *, open_timeout_s: float = 5.0
) -> AbstractAsyncContextManager[ModelSocket]:
    """Return the model's socket, opened by `async with`; `base_url` is http(s), as for REST."""
    url = f"{base_url.rstrip('/')}/realtime?model={quote(model, safe='')}".replace("http", "ws", 1)
    is_local = urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
    opening = connect(
        url,
        create_connection=ModelSocket,
        additional_headers={"Authorization": f"Bearer {api_key}"},
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        open_timeout=open_timeout_s,
        close_timeout=1,
        proxy=None if is_local else True,
    )
    return cast(AbstractAsyncContextManager[ModelSocket], opening)
