"""Opens and closes what lives as long as the web process, for the doors to read.

It stands just below the doors and knows none of them.
"""

import asyncio
import gc
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import httpx
import structlog

from ivr import tenants
from ivr.db import Database
from ivr.db.engine import database_path
from ivr.db.tables import utc_now
from ivr.errors import SettingsError
from ivr.leads import fields
from ivr.leads.profile import Profile, load_profile
from ivr.leads.road import Road
from ivr.settings import Environment, Settings
from ivr.vendors.twilio import TwilioRest

SECRET_FILE = "nps_ivr.secret"
OFFLINE = "offline"
OFFER_SECONDS = 20.0

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VoiceModel:
    """Where the voice model answers; `base_url` is http(s), as for REST."""

    base_url: str
    api_key: str
    model: str

    @property
    def is_offline(self) -> bool:
        """Whether it is the voice of this machine; its models are named by profile."""
        return self.model == OFFLINE


class Background:
    """Tasks that may be lost: a reference to each is kept, and the end of the process ends them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run `work` beside everything else."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self) -> None:
        """Cancel what still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background work failed", exc_info=error)


class LiveCalls:
    """The calls that this process carries, and those that it has just offered a stream to."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._carried: set[str] = set()
        self._offered: dict[str, float] = {}  # call SID -> until when its place is kept

    def __len__(self) -> int:
        return len(self._carried)

    def __contains__(self, call_sid: str) -> bool:
        return call_sid in self._carried

    def offer(self, call_sid: str) -> bool:
        """Keep a place for a call until its stream opens; False when all places are taken."""
        now = self._clock()
        self._offered = {sid: until for sid, until in self._offered.items() if until > now}
        if call_sid not in self._offered and self._taken >= self._limit:
            return False
        self._offered[call_sid] = now + OFFER_SECONDS
        return True

    @contextmanager
    def carry(self, call_sid: str) -> Iterator[None]:
        """Count the call while its stream is open."""
        self._offered.pop(call_sid, None)
        self._carried.add(call_sid)
        try:
            yield
        finally:
            self._carried.discard(call_sid)

    @property
    def _taken(self) -> int:
        return len(self._carried) + len(self._offered)


class State(TypedDict):
    """What the endpoints are given."""

    settings: Settings
    db: Database
    road: Road
    profiles: Callable[[str], Profile]
    voice: VoiceModel | None
    twilio: TwilioRest | None
    secret_key: bytes
    live: LiveCalls
    background: Background


@asynccontextmanager
async def open_state(settings: Settings, *, voice: VoiceModel | None) -> AsyncIterator[State]:
    """Open everything, hand it out, and close it in reverse order."""
    report_problems(settings)
    profiles = cache(load_profile)
    profiles(settings.profile)
    db = Database(settings.database_url)
    background = Background()
    live = LiveCalls(settings.max_concurrent_calls)
    try:
        if db.is_sqlite:
            await db.upgrade()
        await tenants.ensure_default(db, settings, now=utc_now())
        await asyncio.to_thread(fields.warm)
        async with (
            httpx.AsyncClient() as http,
            Road.open(settings, db, http, profiles, is_live=live.__contains__) as road,
        ):
            # All that was imported and warmed stays: looking through it for garbage would silence
            # every call for half a second, every few minutes.
            gc.freeze()
            yield State(
                settings=settings,
                db=db,
                road=road,
                profiles=profiles,
                voice=voice,
                twilio=TwilioRest.from_settings(settings),
                secret_key=secret_key(settings),
                live=live,
                background=background,
            )
    finally:
        await background.close()
        await db.close()


def report_problems(settings: Settings) -> None:
    """Say once what is missing; what must stop the start has stopped it already."""
    for problem in settings.check():
        log.warning("setting", id=problem.id, problem=problem.message, hint=problem.hint)


def secret_key(settings: Settings) -> bytes:
    """Return the key for signing our own tokens; in development it is made on the first start."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    assert settings.environment is not Environment.PRODUCTION, "production requires SECRET_KEY"
    path = (database_path(settings.database_url) or Path(SECRET_FILE)).with_name(SECRET_FILE)
    if not path.exists():
        _make_secret(path)
    key = path.read_bytes()
    if len(key) < 32:
        raise SettingsError(f"SECRET_KEY: {path} is damaged; delete it, or set SECRET_KEY")
    return key


def _make_secret(path: Path) -> None:
    """Make the file whole or not at all; whoever is second keeps the first one's."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(draft, "x", opener=_private, encoding="ascii") as file:
        file.write(secrets.token_hex(32))
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)
