"""One seed from its first ring to its verdict, and the table of what a run has really met."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from tests.db.wire import Wire, wire_to
from tests.faults import machine
from tests.faults.callers import phone
from tests.faults.invariants import Books, broken, is_settled, read_books
from tests.faults.schedule import Kind, Place, Schedule, schedule_for
from tests.faults.town import Town, town
from tests.leads.cast import until
from tools.emulators.twilio.call import Call

# How long to wait, and how far the clock is put forward then, until all is settled: a dialogue
# that nobody ended has a minute and a half, a lost request a minute, a failed job five.
PATIENCE = ((3.0, 40), (4.0, 120), (6.0, 700), (30.0, 0))
BAD_WEATHER_S = 1.5  # for which the weather stays bad after the last call
REST_AFTER_S = 90
SEED_SECONDS = 150.0
OF_A_CALL = ("turns:", "lease:")

Fired = Counter[tuple[Place, Kind]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one seed; `broken` is empty when all is well."""

    schedule: Schedule
    fired: Fired
    broken: tuple[str, ...]
    seconds: float

    def __str__(self) -> str:
        word = "broken" if self.broken else "passed"
        met = ", ".join(f"{kind} @ {place}" for place, kind in sorted(self.fired))
        return f"seed {self.schedule.seed:4} {word} {self.seconds:5.1f} s  {met or 'no fault met'}"

    def explain(self) -> str:
        """Say what is broken, under which schedule, and how to have it again."""
        seed = self.schedule.seed
        again = f"CHAOS={seed} python -m pytest -q tests/faults/chaos.py"
        return "\n".join([f"seed {seed}: {again}", str(self.schedule), *self.broken])


async def run_seed(seed: int, database_url: str, folder: Path) -> Verdict:
    """Play the schedule of `seed` and look at what is left."""
    schedule, began = schedule_for(seed), time.monotonic()
    fired: Fired = Counter()
    found: list[str] = []
    with _wire(schedule, database_url) as (wire, url):
        try:
            async with asyncio.timeout(SEED_SECONDS), town(schedule, url, folder) as t:
                fired = t.forecast.fired
                found = await _play(t, wire)
                if found and t.server is not None:
                    found.append(t.server.last_words())
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
            found.extend(getattr(error, "__notes__", []))
    return Verdict(schedule, fired, tuple(found), time.monotonic() - began)


@contextmanager
def _wire(schedule: Schedule, url: str) -> Iterator[tuple[Wire | None, str]]:
    if not schedule.form.is_postgresql:
        yield None, url
        return
    with wire_to(url) as (wire, near):
        yield wire, near


async def _play(t: Town, wire: Wire | None) -> list[str]:
    calls: list[Call] = []
    async with asyncio.TaskGroup() as group:
        for caller in t.schedule.callers:
            group.create_task(phone(t.twilio, t.scenario, caller, calls))
        for fault in t.schedule.faults:
            if (fault.place, fault.kind) in machine.HAPPENS:
                group.create_task(machine.befall(t, fault, wire))
    await _outlast(t)
    t.forecast.lifted.set()
    await _settle(t)
    books, now = await read_books(t.db), _now(t)
    return [
        *([] if is_settled(books, now) else _unsettled(books, now)),
        *broken(books, calls, t.npa),
        *_leaks(t),
        *(f"Twilio: {text}" for text in t.twilio.violations.unforgiven),
    ]


async def _outlast(t: Town) -> None:
    """Let what comes after a call meet the bad weather too; Twilio is asked much later."""
    if any(fault.place is Place.REST for fault in t.schedule.faults):
        t.clock.jump(REST_AFTER_S)
    with contextlib.suppress(TimeoutError):
        await until(partial(_is_done, t), seconds=BAD_WEATHER_S)


async def _settle(t: Town) -> None:
    """Wait until everything is done; what waits for a time is given that time."""
    t.clock.jump(max(0.0, -t.clock.ahead_s))  # who was put back comes right again
    for seconds, ahead_s in PATIENCE:
        with contextlib.suppress(TimeoutError):
            await until(partial(_is_done, t), seconds=seconds)
            return
        t.clock.jump(ahead_s)


async def _is_done(t: Town) -> bool:
    is_quiet = t.forecast.under_way == 0 and not list(_leaks(t))
    return is_quiet and is_settled(await read_books(t.db), _now(t))


def _now(t: Town) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=t.clock.ahead_s)


def _unsettled(books: Books, now: datetime) -> Iterator[str]:
    for c in books.conversations:
        yield f"{c.session_key}: {c.status}, finish_after {c.finish_after}, now {now}, {c.state}"
    for s in books.submissions:
        yield f"submission {s.id}: {s.state}, next attempt {s.next_attempt_at}, {s.last_error}"


def _leaks(t: Town) -> Iterator[str]:
    """What must not be left of a call: a model session that costs money, a task."""
    for number, session in enumerate(t.openai.sessions):
        if not session.closed:
            yield f"model session {number} is still open"
    for task in asyncio.all_tasks():
        if task.get_name().startswith(OF_A_CALL):
            yield f"task {task.get_name()} still runs"


def table(met: Mapping[int, Fired]) -> str:
    """Say for each fault in how many places of the seeds' schedules it stood, and came."""
    armed: Fired = Counter()
    for seed in met:
        armed.update((fault.place, fault.kind) for fault in schedule_for(seed).faults)
    came = sum(met.values(), Counter())
    lines = [
        f"{kind:11} {place:24} {armed[place, kind]:5} {came[place, kind]:5}"
        for place, kind in sorted(armed, key=lambda pair: (list(Kind).index(pair[1]), pair[0]))
    ]
    return "\n".join([f"{'fault':11} {'at':24} armed   met", *lines])


def never_met(met: Mapping[int, Fired]) -> list[Kind]:
    """Return the kinds of faults that no seed has really met."""
    kinds = {kind for fired in met.values() for _, kind in fired}
    return [kind for kind in Kind if kind not in kinds]
