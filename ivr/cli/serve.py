"""`ivr serve`: runs the web process. What is served stands in `ivr.app`."""

import asyncio
import socket
from typing import Annotated

import typer
import uvicorn

from ivr import logs, notify
from ivr.cli.desk import secrets_of
from ivr.cli.terminal import complain
from ivr.errors import IvrError, SettingsError
from ivr.leads.profile import load_profile
from ivr.settings import Settings, load_settings

WRONG_SETTING = 2
START_FAILED = 3
# A frame of a media stream has about 250 bytes; a bigger message is not Twilio's.
MOST_WEBSOCKET_BYTES = 64 * 1024
DRAIN_SECONDS = 15
_BACKLOG = 2048


def run_server(
    *,
    host: Annotated[str | None, typer.Option(help="Instead of HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of PORT.", min=0, max=65535)] = None,
) -> None:
    """Start the server with the settings of the environment and .env."""
    try:
        settings = _settings(host, port)
        config = _config(settings)
        sockets = notify.listening_sockets() or [_listen(settings)]
    except IvrError as exc:
        complain(str(exc))
        raise typer.Exit(WRONG_SETTING) from exc
    _run(Server(config), sockets)


def _settings(host: str | None, port: int | None) -> Settings:
    given = {"host": host, "port": port}
    return load_settings(**{name: value for name, value in given.items() if value is not None})


def _config(settings: Settings) -> uvicorn.Config:
    from ivr.app import create_app  # a second to import; the other commands need none of it

    load_profile(settings.profile)  # a wrong one is a wrong setting, not a crash at the start
    logs.configure(settings.log_format, settings.log_pii, secrets=secrets_of(settings))
    return uvicorn.Config(
        create_app(settings),
        loop="uvloop",
        ws="websockets-sansio",
        ws_max_size=MOST_WEBSOCKET_BYTES,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        message = f"HOST, PORT: cannot listen on {settings.host}:{settings.port}: {exc.strerror}"
        raise SettingsError(message) from exc


def _run(server: "Server", sockets: list[socket.socket]) -> None:
    try:
        server.run(sockets=sockets)
    except KeyboardInterrupt:  # uvicorn has shut down in order and repeats the signal
        return
    if not server.started:
        raise typer.Exit(START_FAILED)


class Server(uvicorn.Server):
    """Tells systemd when the doors are open, that the loop is alive, and when it leaves."""

    _beating: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the doors."""
        await super().startup(sockets=sockets)
        if not self.should_exit:
            notify.ready()
            self._beating = asyncio.create_task(notify.beat(), name="watchdog")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close them; the watchdog is fed until the last call has been handed over."""
        notify.stopping()
        await super().shutdown(sockets=sockets)
        if self._beating is not None:
            self._beating.cancel()
