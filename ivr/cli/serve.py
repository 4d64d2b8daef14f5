"""`ivr serve`: runs the web process. What is served stands in `ivr.app`, how in `ivr.server`."""

import socket
from typing import TYPE_CHECKING, Annotated

import typer

from ivr import logs, notify
from ivr.cli.desk import secrets_of
from ivr.cli.terminal import complain
from ivr.errors import IvrError, SettingsError
from ivr.leads.profile import load_profile
from ivr.settings import Settings, load_settings

if TYPE_CHECKING:
    from ivr.server import Server

WRONG_SETTING = 2
START_FAILED = 3
_BACKLOG = 2048


def run_server(
    *,
    host: Annotated[str | None, typer.Option(help="Instead of HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Instead of PORT.", min=0, max=65535)] = None,
) -> None:
    """Start the server; settings come from environment and .env."""
    try:
        settings = _settings(host, port)
        server = _server(settings)
        sockets = notify.listening_sockets() or [_listen(settings)]
    except IvrError as exc:
        complain(str(exc))
        raise typer.Exit(WRONG_SETTING) from exc
    _run(server, sockets)


def _settings(host: str | None, port: int | None) -> Settings:
    given = {"host": host, "port": port}
    return load_settings(**{name: value for name, value in given.items() if value is not None})


def _server(settings: Settings) -> "Server":
    from ivr.server import Server  # a second to import; the other commands need none of it

    load_profile(settings.profile)  # a wrong one is a wrong setting, not a crash at the start
    logs.configure(settings.log_format, settings.log_pii, secrets=secrets_of(settings))
    return Server(settings)


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
