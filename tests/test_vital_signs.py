"""What the watchdog trusts: work that goes on, whether or not the neighbours are there."""

import asyncio
import os
import socket
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from ivr import notify, vital_signs
from ivr.admission import Admission, Limits, Refusal
from ivr.db import Database, engine
from ivr.db.engine import database_path
from ivr.errors import DatabaseDown
from ivr.vital_signs import Pulse, own_memory, sample, used_memory, watch
from tests.leads.cast import until

PATIENCE = 0.5


def test_the_pulse_beats_while_database_and_schedule_go_on() -> None:
    pulse = Pulse(0.0, patience=10)
    assert pulse.is_beating(10)
    pulse.note_probe(9)
    pulse.note_tick(9)
    assert pulse.is_beating(19)


def test_a_schedule_that_is_stuck_stops_the_pulse() -> None:
    pulse = Pulse(0.0, patience=10)
    pulse.note_probe(9)
    assert not pulse.is_beating(11)


def test_a_question_that_never_comes_back_stops_the_pulse() -> None:
    pulse = Pulse(0.0, patience=10)
    pulse.note_tick(9)
    assert not pulse.is_beating(11)


def test_a_schedule_that_waits_for_a_database_that_is_away_does_not() -> None:
    pulse = Pulse(0.0, patience=10)
    for moment in range(0, 3600, 5):
        pulse.note_outage(moment)
        pulse.note_probe(moment)
        assert pulse.is_beating(moment + 5)


@asynccontextmanager
async def watched(db: Database, last_tick: Any = time.monotonic) -> AsyncIterator[Pulse]:
    """Feel the pulse of a process all the time."""
    pulse = Pulse(time.monotonic(), patience=PATIENCE)
    watching = asyncio.create_task(watch(pulse, db, last_tick))
    yield pulse
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vital_signs, "PROBE_SECONDS", 0.02)
    monkeypatch.setattr(vital_signs, "SAMPLE_SECONDS", 0.01)


@pytest.fixture
def manager(tmp_path: Path) -> Any:
    """The socket that systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


@asynccontextmanager
async def beating(pulse: Pulse, manager: socket.socket) -> AsyncIterator[None]:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "20000"}
    is_alive = lambda: pulse.is_beating(time.monotonic())  # noqa: E731
    task = asyncio.create_task(notify.beat(is_alive, environ=environ))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def next_ping(manager: socket.socket) -> bytes:
    """Return what systemd is told next, of all that comes from now on."""
    while True:
        try:
            manager.recv(100)
        except BlockingIOError:
            break
    async with asyncio.timeout(30):
        return await asyncio.get_running_loop().sock_recv(manager, 100)


async def silent(manager: socket.socket) -> bool:
    """Wait until there were no pings for many of their periods."""
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                await asyncio.get_running_loop().sock_recv(manager, 100)
        except TimeoutError:
            return True


async def test_the_watchdog_is_fed_while_all_goes_on(
    sqlite_db: Database, manager: socket.socket
) -> None:
    async with watched(sqlite_db) as pulse, beating(pulse, manager):
        for _ in range(3):
            assert await next_ping(manager) == b"WATCHDOG=1"


async def test_a_stuck_schedule_starves_the_watchdog(
    sqlite_db: Database, manager: socket.socket
) -> None:
    began = time.monotonic()
    async with watched(sqlite_db, lambda: began) as pulse, beating(pulse, manager):
        assert await next_ping(manager) == b"WATCHDOG=1"
        async with asyncio.timeout(20):
            assert await silent(manager)


def hang(gate: threading.Event) -> None:
    """Hold up a thread of the database, but not the event loop's."""
    if threading.current_thread() is not threading.main_thread():
        gate.wait()


async def test_a_stuck_thread_of_the_database_starves_the_watchdog(
    sqlite_db: Database, manager: socket.socket
) -> None:
    gate = threading.Event()
    async with watched(sqlite_db) as pulse, beating(pulse, manager):
        assert await next_ping(manager) == b"WATCHDOG=1"
        async with sqlite_db.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None, "open"
            await raw.driver_connection.set_trace_callback(lambda _: hang(gate))
        async with asyncio.timeout(20):
            assert await silent(manager)
        gate.set()


async def test_a_database_that_is_gone_does_not(tmp_path: Path, manager: socket.socket) -> None:
    db = Database(f"sqlite+aiosqlite:///{tmp_path / 'gone' / 'ivr.db'}")
    (tmp_path / "gone").rmdir()
    began = time.monotonic()
    async with watched(db, lambda: began) as pulse, beating(pulse, manager):
        await until(lambda: time.monotonic() > began + 2 * PATIENCE)
        assert await next_ping(manager) == b"WATCHDOG=1"
    await until(lambda: not is_connecting())  # the question that was on its way
    await db.close()


def is_connecting() -> bool:
    """Whether a thread of the database lives: with nothing to connect to, none stays."""
    return any("_connection_worker" in thread.name for thread in threading.enumerate())


async def test_a_schedule_that_waits_for_a_locked_database_does_not(
    sqlite_url: str, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_PRAGMAS", ("PRAGMA busy_timeout=50",))
    db, path = Database(sqlite_url), database_path(sqlite_url)
    assert path is not None, "a file"
    began = time.monotonic()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with watched(db, lambda: began) as pulse, beating(pulse, manager):
            while time.monotonic() < began + 2 * PATIENCE:
                with pytest.raises(DatabaseDown):
                    async with db.write():
                        pass
            assert await next_ping(manager) == b"WATCHDOG=1"
    await db.close()


async def test_a_late_loop_and_a_full_memory_reach_the_admission() -> None:
    door = Admission(Limits(10, 10, loop_lag_seconds=1e-9, memory_bytes=None), 0.0)
    sampling = asyncio.create_task(sample(door))
    await until(lambda: door.judge(0.0, taken=0) is Refusal.LAG)
    sampling.cancel()
    full = Admission(Limits(10, 10, loop_lag_seconds=60, memory_bytes=1), 0.0)
    sampling = asyncio.create_task(sample(full))
    await until(lambda: full.judge(0.0, taken=0) is Refusal.MEMORY)
    sampling.cancel()


def test_memory_is_told_in_bytes() -> None:
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 10 * 1024 * 1024 < used_memory() < machine
    assert 0 < own_memory() <= machine


def test_the_smallest_limit_of_the_control_groups_above_us_counts(tmp_path: Path) -> None:
    own = tmp_path / "groups" / "system.slice" / "nps-ivr.service"
    own.mkdir(parents=True)
    (own / "memory.max").write_text("max\n")
    (own.parent / "memory.max").write_text("1000000\n")
    member = tmp_path / "cgroup"
    member.write_text("4:memory:/elsewhere\n0::/system.slice/nps-ivr.service\n")
    assert own_memory(tmp_path / "groups", member) == 900_000
