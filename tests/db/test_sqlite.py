"""A writer's statements run in the event loop's own thread; nothing may hold the loop up."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event

import pytest
from sqlalchemy import text

from ivr.db import Database
from ivr.db.engine import BUSY_TIMEOUT_MS, database_path
from ivr.db.tables import Contact
from tests.leads.cast import NOW, call, rows


@contextmanager
def another_writer(db: Database) -> Iterator[sqlite3.Connection]:
    """Somebody in another process who has begun to write."""
    path = database_path(db.url)
    assert path is not None
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
    finally:
        connection.close()


async def _name(db: Database, name: str) -> None:
    async with db.write() as session:
        contact = (await rows(db, Contact))[0]
        session.add(Contact(tenant_id=contact.tenant_id, name=name, created_at=NOW))


async def _turns_of_the_loop(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0.001)


async def test_the_loop_turns_while_a_writer_waits_for_another_process(
    sqlite_db: Database,
) -> None:
    await call(sqlite_db)
    with another_writer(sqlite_db) as other:
        writing = asyncio.create_task(_name(sqlite_db, "waited"))
        await _turns_of_the_loop(50)
        assert not writing.done()
        other.execute("ROLLBACK")
        await writing
    assert [contact.name for contact in await rows(sqlite_db, Contact)] == [None, "waited"]


@pytest.mark.parametrize("query", ["SELECT wait()", "SELECT 1 UNION ALL SELECT wait()"])
async def test_the_loop_turns_while_a_reader_reads_for_long(
    sqlite_db: Database, query: str
) -> None:
    """The first row is found when a statement is executed, the others when they are fetched."""
    has_turned = Event()
    async with sqlite_db.read() as session:
        connection = await session.connection()
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        await raw.driver_connection.create_function("wait", 0, lambda: has_turned.wait(5))
        reading = asyncio.create_task(connection.execute(text(query)))
        await _turns_of_the_loop(5)
        has_turned.set()
        assert (await reading).all()[-1] == (1,)


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 50])
async def test_a_writer_that_is_cancelled_leaves_nothing_and_nobody_waiting(
    sqlite_db: Database, turns: int
) -> None:
    await call(sqlite_db)
    with another_writer(sqlite_db) as other:
        writing = asyncio.create_task(_name(sqlite_db, "cancelled"))
        await _turns_of_the_loop(turns)
        writing.cancel()
        other.execute("ROLLBACK")
        with suppress(asyncio.CancelledError):
            await writing
    async with asyncio.timeout(30):
        await _name(sqlite_db, "next")
    assert [contact.name for contact in await rows(sqlite_db, Contact)] == [None, "next"]


async def test_who_had_to_wait_once_is_patient_ever_after(sqlite_db: Database) -> None:
    """The lock is tried without patience first; the next writer must not inherit that."""
    await call(sqlite_db)
    for name in ("first", "second"):
        with another_writer(sqlite_db) as other:
            writing = asyncio.create_task(_name(sqlite_db, name))
            await _turns_of_the_loop(20)
            other.execute("ROLLBACK")
            await writing
    async with sqlite_db.read() as session:
        connection = await session.connection()
        (patience,) = (await connection.exec_driver_sql("PRAGMA busy_timeout")).one()
    assert patience == BUSY_TIMEOUT_MS
    named = [contact.name for contact in await rows(sqlite_db, Contact)]
    assert named == [None, "first", "second"]


async def test_a_reader_sees_what_is_committed_while_another_process_writes(
    sqlite_db: Database,
) -> None:
    await call(sqlite_db)
    with another_writer(sqlite_db) as other:
        other.execute("DELETE FROM contact_points")
        assert len(await rows(sqlite_db, Contact)) == 1
