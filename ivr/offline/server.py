"""The offline voice's door: a websocket server on loopback. The only file here with sockets.

The protocol is the session's, the words are the dialogue's, the sound is the workers'.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import msgspec
import structlog
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from ivr.errors import IvrError, ProfileError
from ivr.leads import fields
from ivr.leads.profile import Profile
from ivr.offline.dialogue import Dialogue
from ivr.offline.grammar import warm
from ivr.offline.session import Listen, Output, Send, Session, Speak
from ivr.offline.workers import Workers, open_workers

log = structlog.get_logger(__name__)

PREFIX = "offline/"
_PATH = "/v1/realtime"
_PACE_S = 0.08  # per 400 ms of speech: five times faster than it is heard, like the service
_MOST_WAITING = 4096  # messages a client may leave unread
_MAX_MESSAGE = 1024 * 1024
_SESSION_S = 60 * 60

Profiles = Callable[[str], Profile]


def _today() -> date:
    return datetime.now(UTC).date()


@asynccontextmanager
async def offline_voice(
    profiles: Profiles,
    *,
    today: Callable[[], date] = _today,
    port: int = 0,
    workers: int | None = None,
) -> AsyncIterator[str]:
    """Serve `offline/<profile key>` on 127.0.0.1 and yield the base URL ("http://.../v1").

    `profiles` finds a profile by its key and raises ProfileError. Raises Unavailable when the
    packages of the extra `demo` are missing.
    """
    await asyncio.to_thread(fields.warm)
    async with open_workers(workers) as pool:
        door = _Door(profiles, today, pool)
        async with serve(
            door.talk,
            "127.0.0.1",
            port,
            process_request=door.admit,
            compression=None,
            max_size=_MAX_MESSAGE,
        ) as server:
            address = next(iter(server.sockets)).getsockname()
            yield f"http://127.0.0.1:{address[1]}/v1"


class _Door:
    """Admits a connection or refuses it, and gives each its own session."""

    def __init__(self, profiles: Profiles, today: Callable[[], date], workers: Workers) -> None:
        self._profiles = profiles
        self._today = today
        self._workers = workers

    def admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the refusal of an upgrade, None to accept it."""
        if urlsplit(request.path).path != _PATH:
            return connection.respond(HTTPStatus.NOT_FOUND, "there is /v1/realtime only\n")
        model = _model(request)
        try:
            self._profile(model)
        except ProfileError as exc:
            log.warning("offline voice asked for an unknown model", model=model, reason=str(exc))
            body = {"error": {"message": str(exc), "code": "model_not_found", "param": "model"}}
            return connection.respond(HTTPStatus.NOT_FOUND, json.dumps(body))
        return None

    async def talk(self, connection: ServerConnection) -> None:
        """Serve one conversation until the client leaves."""
        assert connection.request is not None, "the upgrade came with a request"
        model = _model(connection.request)
        profile = self._profile(model)
        await asyncio.to_thread(warm, profile)
        session = Session(
            Dialogue(profile, today=self._today()),
            identity=uuid4().hex[:16],
            model=model,
            expires_at=int(time.time()) + _SESSION_S,
        )
        await _Talk(connection, session, self._workers).run()

    def _profile(self, model: str) -> Profile:
        if not model.startswith(PREFIX):
            raise ProfileError(
                f"the model {model!r} does not exist offline; it is {PREFIX}<profile>"
            )
        return self._profiles(model.removeprefix(PREFIX))


def _model(request: Request) -> str:
    return parse_qs(urlsplit(request.path).query).get("model", [""])[0]


class _Talk:
    """Runs a session: reads, writes in order, and does the session's work beside."""

    def __init__(self, connection: ServerConnection, session: Session, workers: Workers) -> None:
        self._connection = connection
        self._session = session
        self._workers = workers
        self._outbox: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._encoder = msgspec.json.Encoder()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_playing = False

    async def run(self) -> None:
        """Read until the client leaves; whatever runs then is over as well."""
        self._start(self._write())
        self._perform(self._session.open())
        try:
            with suppress(ConnectionClosed):
                async for message in self._connection:
                    self._perform(self._session.receive(_decoded(message)))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._connection.send(await self._outbox.get())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _perform(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            match output:
                case Send(event=event):
                    self._post(event)
                case Listen():
                    self._start(self._hear(output))
                case Speak():
                    self._start(self._speak(output))

    def _post(self, event: dict[str, Any]) -> None:
        try:
            self._outbox.put_nowait(self._encoder.encode(event).decode())
        except asyncio.QueueFull:
            log.warning("offline voice: the client does not read; closing")
            self._connection.transport.abort()

    async def _hear(self, wanted: Listen) -> None:
        started = time.monotonic()
        try:
            heard = await self._workers.hear(wanted.ulaw, wanted.grammar)
        except (IvrError, OSError, RuntimeError) as exc:
            return self._broken(exc)
        log.info(
            "offline voice heard",
            is_understood=bool(heard.text),
            fit=round(heard.fit, 1),
            audio_ms=len(wanted.ulaw) // 8,
            took_ms=round((time.monotonic() - started) * 1000),
        )
        self._perform(self._session.heard(wanted.item_id, heard.text))

    async def _speak(self, wanted: Speak) -> None:
        try:
            ulaw = await self._workers.speak(wanted.text)
        except (IvrError, OSError, RuntimeError) as exc:
            return self._broken(exc)
        self._perform(self._session.voiced(wanted.response_id, ulaw))
        if not self._is_playing:
            self._is_playing = True
            await self._play()
            self._is_playing = False

    async def _play(self) -> None:
        """Hand out speech faster than it is heard, yet not at once: a barge-in must find some."""
        while self._session.has_sound:
            await asyncio.sleep(_PACE_S)
            self._perform(self._session.next_piece())

    def _broken(self, exc: Exception) -> None:
        log.error("offline voice worker failed", reason=f"{type(exc).__name__}: {exc}")
        self._perform(self._session.broke("the offline voice's recogniser or speaker failed"))


def _decoded(message: str | bytes) -> Any:
    """Return the JSON in a message, None when there is none (which the session refuses)."""
    try:
        return msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError):
        return None
