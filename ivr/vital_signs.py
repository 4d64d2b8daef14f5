"""How the process feels: the lag of its event loop, its memory, and whether its work goes on.

Lag and memory go to the admission. The pulse is what the watchdog trusts: it stops when something
of ours hangs, not when a neighbour is away. A database that cannot be reached is waited for, as
everywhere; a restart would only cost the calls that are going on.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from ivr.admission import Admission
from ivr.db import Database
from ivr.db.engine import BUSY_TIMEOUT_MS

SAMPLE_SECONDS = 0.25
PROBE_SECONDS = 1.0
# A network can swallow a question for ever: that is an outage. A thread of our own cannot.
ANSWER_SECONDS = 5.0
# Longer than it takes to learn that a SQLite file is locked.
PATIENCE_SECONDS = 1.5 * BUSY_TIMEOUT_MS / 1000
OWN_PART = 0.9  # of the machine's memory, when nobody said how much is ours

log = structlog.get_logger(__name__)


class Pulse:
    """Says whether database and schedule have made progress; moments are of `time.monotonic`."""

    def __init__(self, now: float, patience: float = PATIENCE_SECONDS) -> None:
        self._patience = patience
        self._probed_at = now
        self._ticked_at = now

    def note_probe(self, now: float) -> None:
        """A question to the database has come back, with an answer or without."""
        self._probed_at = now

    def note_outage(self, moment: float) -> None:
        """The database was away: the schedule may wait for it, and then has its time anew."""
        self._ticked_at = max(self._ticked_at, moment)

    def note_tick(self, moment: float) -> None:
        """The schedule of the lead road has been through all its work."""
        self._ticked_at = max(self._ticked_at, moment)

    def is_beating(self, now: float) -> bool:
        """Whether both have made progress of late."""
        return now - min(self._probed_at, self._ticked_at) <= self._patience


async def sample(admission: Admission) -> None:
    """Tell the admission of lag and memory, for ever."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(SAMPLE_SECONDS)
        admission.note_lag(time.monotonic() - began - SAMPLE_SECONDS)
        admission.note_memory(used_memory())


async def watch(pulse: Pulse, db: Database, last_tick: Callable[[], float]) -> None:
    """Feel the pulse, for ever; `last_tick` is when the schedule ended its last turn."""
    while True:
        if await _is_away(db):
            pulse.note_outage(time.monotonic())
        pulse.note_probe(time.monotonic())
        pulse.note_outage(db.failed_at)
        pulse.note_tick(last_tick())
        await asyncio.sleep(PROBE_SECONDS)


async def _is_away(db: Database) -> bool:
    try:
        async with asyncio.timeout(None if db.is_sqlite else ANSWER_SECONDS):
            await db.ping()
    except Exception as exc:  # whatever it was, the question came back
        log.warning("no answer from the database", problem=type(exc).__name__)
        return True
    return False


def used_memory() -> int:
    """Return the bytes of memory this process holds; 0 where the system does not tell."""
    try:
        resident = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(resident) * os.sysconf("SC_PAGE_SIZE")


def own_memory(
    groups: Path = Path("/sys/fs/cgroup"), member: Path = Path("/proc/self/cgroup")
) -> int:
    """Return how many bytes we may use: a part of what our control groups or the machine have."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(min([machine, *_group_limits(groups, member)]) * OWN_PART)


def _group_limits(groups: Path, member: Path) -> list[int]:
    """Return the limits of our control group and those above it (Linux: cgroup v2, memory.max)."""
    lines = _read(member).splitlines()
    ours = next((line[4:] for line in lines if line.startswith("0::/")), None)
    if ours is None:
        return []
    folders = [groups / ours, *(groups / ours).parents]
    limits = [_read(it / "memory.max") for it in folders if it.is_relative_to(groups)]
    return [int(limit) for limit in limits if limit.isdecimal()]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
