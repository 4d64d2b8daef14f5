"""Opens and closes what lives as long as the web process, for the doors to read.

It stands just below the doors and knows none of them.
"""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from operator import attrgetter
from typing import Any, TypedDict, TypeVar

import httpx
import structlog

from ivr import tenants, vital_signs
from ivr.admission import Admission, Limits
from ivr.costs.meter import Meter
from ivr.db import Database
from ivr.db.secret_key import hash_key, secret_key
from ivr.db.tables import utc_now
from ivr.leads import fields
from ivr.leads.attention import tasks
from ivr.leads.attention.budget_alerts import BudgetAlerts
from ivr.leads.people.retention import Retention
from ivr.leads.profile import Profile, load_profile
from ivr.leads.progress.silence import Silence
from ivr.leads.road import Road
from ivr.leases import Leases
from ivr.live_calls import LiveCalls
from ivr.messages import suppressions
from ivr.messages.outbox import Outbox
from ivr.sealing import Seal
from ivr.settings import Environment, Settings
from ivr.turns import TurnLog
from ivr.vendors.llm import TextModels
from ivr.vendors.twilio import TwilioRest
from ivr.vital_signs import Pulse
from ivr.webhooks.delivery import Deliveries

# The jobs compute in threads. With Python's own 5 ms all calls would wait for that long, whenever
# the loop has let go of the interpreter for a moment and one of them has taken it.
THREAD_TURN_SECONDS = 0.0005
OFFLINE = "offline"
# Looking through everything for garbage silences every call, at 150 calls for 60 to 90 ms: not when
# Python thinks of it, which is every few seconds, but every other minute. A call leaves about
# 100 KiB behind that only this finds.
COLLECT_YOUNG_ONLY = (700, 10, 100_000)
COLLECT_ALL_SECONDS = 120.0

Result = TypeVar("Result")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class VoiceModel:
    """Where the voice model answers; `base_url` is http(s), as for REST.

    `named`: what a profile is called where the models are named by profile.
    """

    base_url: str
    api_key: str
    model: str
    named: Callable[[Profile], str] = attrgetter("key")

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


class State(TypedDict):
    """What the endpoints are given."""

    settings: Settings
    db: Database
    turns: TurnLog
    meter: Meter
    leases: Leases
    road: Road
    profiles: Callable[[str], Profile]
    voice: VoiceModel | None
    twilio: TwilioRest | None
    outbox: Outbox
    text_models: TextModels
    secret_key: bytes
    live: LiveCalls
    background: Background


def live_calls(settings: Settings) -> LiveCalls:
    """Return the empty book of calls of a process with these settings."""
    if settings.max_memory_mb is None:
        memory = vital_signs.own_memory()
    else:
        memory = settings.max_memory_mb * 1024 * 1024
    limits = Limits(
        calls=settings.max_concurrent_calls,
        new_calls_per_second=settings.max_new_calls_per_second,
        loop_lag_seconds=settings.max_loop_lag_ms / 1000,
        memory_bytes=memory or None,
    )
    return LiveCalls(Admission(limits, time.monotonic()))


@asynccontextmanager
async def open_state(
    settings: Settings,
    *,
    voice: VoiceModel | None,
    live: LiveCalls | None = None,
    pulse: Pulse | None = None,
) -> AsyncIterator[State]:
    """Open everything, hand it out, and close it in reverse order.

    `live` and `pulse` are given by a server that looks at them itself.
    """
    sys.setswitchinterval(THREAD_TURN_SECONDS)
    report_problems(settings)
    profiles = cache(load_profile)
    profiles(settings.profile)
    db = Database(settings.database_url, hash_key=hash_key(settings))
    background = Background()
    turns, meter = TurnLog(db), Meter(db)
    text_models = TextModels(settings)
    leases = Leases(db, grace=timedelta(seconds=settings.episode_grace_seconds))
    live = live_calls(settings) if live is None else live  # an empty one counts as false
    pulse = Pulse(time.monotonic()) if pulse is None else pulse
    try:
        await _prepare(db, settings)
        background.start(asyncio.to_thread(fields.warm))  # a call hears its first ZIP later
        async with (
            httpx.AsyncClient() as http,
            # Closed after the road, whose last moves are told, too.
            _timers(settings, db, profiles),
            Outbox.open(settings, db, http, tasks.write_back) as outbox,
            Road.open(
                settings, db, http, profiles, is_live=live.__contains__, models=text_models
            ) as road,
        ):
            _rule_garbage(background)
            background.start(meter.run())
            background.start(vital_signs.sample(live.admission))
            background.start(vital_signs.watch(pulse, db, lambda: road.last_tick))
            yield State(
                settings=settings,
                db=db,
                turns=turns,
                meter=meter,
                leases=leases,
                road=road,
                profiles=profiles,
                voice=voice,
                twilio=TwilioRest.from_settings(settings, http),
                outbox=outbox,
                text_models=text_models,
                secret_key=secret_key(settings),
                live=live,
                background=background,
            )
    finally:
        await background.close()
        await leases.close()
        await turns.close()
        await db.close()


async def _prepare(db: Database, settings: Settings) -> None:
    """Have tables and rows as this release wants them; PostgreSQL's tables wait for an operator."""
    if db.is_sqlite:
        await db.upgrade()
    await tenants.ensure_default(db, settings, now=utc_now())
    await suppressions.seal_older(db)


@asynccontextmanager
async def _timers(
    settings: Settings, db: Database, profiles: Callable[[str], Profile]
) -> AsyncIterator[None]:
    """Do what becomes due by itself while the block runs."""
    async with (
        Deliveries.open(
            db,
            only_public=settings.environment is Environment.PRODUCTION,
            seal=Seal(secret_key(settings)),
        ),
        Silence.open(db, profiles, settings),
        BudgetAlerts.open(db, profiles, settings),
        Retention.open(db),
    ):
        yield


def _rule_garbage(background: Background) -> None:
    gc.freeze()  # all that was imported and warmed stays
    gc.set_threshold(*COLLECT_YOUNG_ONLY)
    background.start(_collect_garbage())


async def _collect_garbage() -> None:
    while True:
        await asyncio.sleep(COLLECT_ALL_SECONDS)
        gc.collect()


def report_problems(settings: Settings) -> None:
    """Say once what is missing; what must stop the start has stopped it already."""
    for problem in settings.check():
        log.warning("setting", id=problem.id, problem=problem.message, hint=problem.hint)
