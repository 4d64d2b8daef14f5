"""Runs an ASGI application on a free loopback port inside the current event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on 127.0.0.1: its port is known before anybody serves there."""
    return socket.create_server(("127.0.0.1", port), backlog=512)


@asynccontextmanager
async def serve(
    app: Any,
    *,
    port: int = 0,
    listener: socket.socket | None = None,
    ws: Any = "websockets-sansio",
    ws_max_size: int = 16 * 1024 * 1024,
    **options: Any,
) -> AsyncIterator[int]:
    """Serve `app` on 127.0.0.1 and yield the port; server and listener are gone after the block."""
    listener = listener or listen(port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        ws=ws,
        ws_max_size=ws_max_size,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=2,
        **options,
    )
    server = _QuietServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await server.ready.wait()
        if task.done():
            await task
        yield int(listener.getsockname()[1])
    finally:
        server.stop()
        await task
        listener.close()


class _QuietServer(uvicorn.Server):
    """A server that tells when it is ready, stops at once, and leaves signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Begin the shutdown."""
        self.should_exit = True
        self._stopped.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        finally:
            self.ready.set()

    async def main_loop(self) -> None:
        """Wait for `stop`; uvicorn's own loop looks every tenth of a second."""
        await self.on_tick(0)
        await self._stopped.wait()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await self._serve(sockets)
        finally:
            self.ready.set()
