"""Sees to it that no two living processes on one database go by the same executor id.

Who has an id alone knows that what an earlier process of this id left undone has no owner. The
locks are the system's: they end with the process that holds them, however it ends.
"""

import asyncio
import fcntl
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import IO

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from ivr.db import Database
from ivr.db.engine import database_path

# Who only looks whether a lock is free holds it for that moment; nobody takes that for a life.
_TRIES = 3
_TRY_SECONDS = 0.02
# PostgreSQL lets go of a dead process's locks when it notices that the connection is gone.
_DEATH_TRIES = 6
_DEATH_TRY_SECONDS = 0.2
LOOK_SECONDS = 3.0  # between two looks whether we still hold ours
_ANSWER_SECONDS = 5.0

log = structlog.get_logger(__name__)


@asynccontextmanager
async def take(db: Database, executor_id: str) -> AsyncIterator[str]:
    """Lend `executor_id`, or, while a living process has it, one that nobody ever had."""
    async with _lock(db, executor_id) as is_ours:
        if is_ours:
            yield executor_id
            return
    another = f"{executor_id}-{uuid.uuid4().hex[:8]}"
    log.warning("EXECUTOR_ID is taken by a living process", taken=executor_id, ours=another)
    async with _lock(db, another):  # the others see by it that we live
        yield another


async def is_taken(db: Database, executor_id: str) -> bool:
    """Whether a living process goes by this id."""
    if _lock_file(db, executor_id) is None:
        return await _is_advisory_lock_held(db, _name(executor_id))
    async with _lock(db, executor_id) as is_free:
        return not is_free


def _lock(db: Database, executor_id: str) -> AbstractAsyncContextManager[bool]:
    path = _lock_file(db, executor_id)
    return _file_lock(path) if path else _advisory_lock(db, _name(executor_id))


def _name(executor_id: str) -> str:
    return f"ivr executor {executor_id}"


def _lock_file(db: Database, executor_id: str) -> Path | None:
    path = database_path(db.url)
    name = re.sub(r"\W", "_", executor_id)
    return path and path.with_name(f"{path.stem}.{name}.lock")


@asynccontextmanager
async def _file_lock(path: Path) -> AsyncIterator[bool]:
    """Hold the file locked while the block runs; False when another process does."""
    with path.open("w") as file:
        for _ in range(_TRIES):
            is_ours = _try_locking(file)
            if is_ours:
                break
            await asyncio.sleep(_TRY_SECONDS)
        yield is_ours


def _try_locking(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _is_advisory_lock_held(db: Database, name: str) -> bool:
    """Look without touching (PostgreSQL: 54.12 pg_locks has the key in two halves)."""
    query = text("""
        WITH key AS (SELECT hashtextextended(:name, 0) AS whole)
        SELECT EXISTS (
          SELECT FROM pg_locks, key
          WHERE locktype = 'advisory' AND objsubid = 1 AND granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid::bigint = (whole >> 32) & 4294967295
            AND objid::bigint = whole & 4294967295
        )
    """)
    async with db.read() as session:
        return bool(await session.scalar(query, {"name": name}))


@asynccontextmanager
async def _advisory_lock(db: Database, name: str) -> AsyncIterator[bool]:
    """Hold a lock while the block runs; False when another process does.

    It ends with its connection (PostgreSQL: 13.3.5), at a restart or a failover before the process:
    then it is taken again.
    """
    async with _connection_with_lock(db, name) as connection:
        if connection is None:
            yield False
            return
        keeper = asyncio.create_task(_keep(db, name, connection), name="seat")
        try:
            yield True
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)


async def _keep(db: Database, name: str, connection: AsyncConnection) -> None:
    """Take the lock again, for ever, whenever its connection is lost."""
    await _until_lost(connection)
    while True:
        log.warning("the lock of the executor id is lost: trying to take it again")
        try:
            async with _connection_with_lock(db, name) as again:
                if again is not None:
                    log.info("the executor id is locked again")
                    await _until_lost(again)
        except Exception as exc:  # whatever it is: without the lock our calls seem dead to others
            log.warning("the executor id is not locked yet", problem=type(exc).__name__)
        await asyncio.sleep(LOOK_SECONDS)


async def _until_lost(connection: AsyncConnection) -> None:
    """Return when the connection no longer answers."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await connection.execute(text("SELECT 1"))
        except (OSError, SQLAlchemyError):
            return


@asynccontextmanager
async def _connection_with_lock(db: Database, name: str) -> AsyncIterator[AsyncConnection | None]:
    """Lend a connection that holds the lock; None when another does."""
    async with db.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        try:
            yield connection if await _try_advisory_lock(connection, name) else None
        finally:
            await connection.invalidate()  # back in the pool it would keep the lock


async def _try_advisory_lock(connection: AsyncConnection, name: str) -> bool:
    query = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
    for _ in range(_DEATH_TRIES):
        if await connection.scalar(query, {"name": name}):
            return True
        await asyncio.sleep(_DEATH_TRY_SECONDS)
    return False
