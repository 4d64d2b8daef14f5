"""Faults of the server's own machine: its process, its clock, its disk and its database."""

import asyncio
import contextlib
import resource
import sqlite3
import time
from collections.abc import Awaitable, Callable

from ivr.db.engine import database_path
from tests.crash.world import Server
from tests.db.wire import Wire
from tests.faults.schedule import Fault, Kind, Place
from tests.faults.town import Town


async def befall(town: Town, fault: Fault, wire: Wire | None) -> None:
    """Wait for the fault's time, have it come, and undo it after its `seconds`; a jump stays."""
    await asyncio.sleep(fault.at)
    happens = HAPPENS[fault.place, fault.kind]
    if not town.forecast.lifted.is_set() and await happens(town, fault, wire):
        town.forecast.happened(fault)


async def _jump(town: Town, fault: Fault, _: Wire | None) -> bool:
    town.clock.jump(fault.seconds)
    return True


async def _kill(town: Town, fault: Fault, _: Wire | None) -> bool:
    server = _server(town)
    if server.pid is None:  # it is being started again after another kill
        return False
    server.revive()
    server.kill()
    await asyncio.sleep(fault.seconds / 2)
    server.start()
    return True


async def _fill_disk(town: Town, fault: Fault, _: Wire | None) -> bool:
    """No file of the process can be written (man 2 getrlimit, RLIMIT_FSIZE): SQLite fails."""
    server = _server(town)
    server.revive()
    if (pid := server.pid) is None:
        return False
    most = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, most))
    await asyncio.sleep(fault.seconds)
    with contextlib.suppress(ProcessLookupError):  # killed meanwhile
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
    return True


async def _lock_database(town: Town, fault: Fault, wire: Wire | None) -> bool:
    """Another process writes for a while; PostgreSQL's machine is gone, then the connections."""
    if wire is None:
        return await asyncio.to_thread(_write_for, town.db.url, fault.seconds)
    async with town.one_outage:
        wire.is_hung = True
        await asyncio.sleep(fault.seconds)
        wire.is_hung = False
    return await _cut(town, fault, wire)


async def _cut(town: Town, fault: Fault, wire: Wire | None) -> bool:
    assert wire is not None, "only PostgreSQL has one"
    async with town.one_outage:
        wire.cut()
        await asyncio.sleep(fault.seconds)
        wire.mend()
    return True


def _write_for(url: str, seconds: float) -> bool:
    path = database_path(url)
    assert path is not None, "a SQLite file"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
    return True


def _server(town: Town) -> Server:
    assert town.server is not None, "the schedule's form is a process"
    return town.server


HAPPENS: dict[tuple[Place, Kind], Callable[[Town, Fault, Wire | None], Awaitable[bool]]] = {
    (Place.SERVER, Kind.CLOCK_JUMP): _jump,
    (Place.SERVER, Kind.KILL): _kill,
    (Place.SERVER, Kind.DISK_FULL): _fill_disk,
    (Place.DATABASE, Kind.HANG): _lock_database,
    (Place.DATABASE, Kind.DROP): _cut,
}
