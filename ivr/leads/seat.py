"""Sees to it that no two living processes on one database go by the same executor id.

Who has an id alone knows that what an earlier process of this id left undone has no owner. The
locks are the system's: they end with the process that holds them, however it ends.
"""

import fcntl
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import structlog
from sqlalchemy import text

from ivr.db import Database
from ivr.db.engine import database_path

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
        yield another


def _lock(db: Database, executor_id: str) -> AbstractAsyncContextManager[bool]:
    path = database_path(db.url)
    if path is None:
        return _advisory_lock(db, f"ivr executor {executor_id}")
    name = re.sub(r"\W", "_", executor_id)
    return _file_lock(path.with_name(f"{path.stem}.{name}.lock"))


@asynccontextmanager
async def _file_lock(path: Path) -> AsyncIterator[bool]:
    """Hold the file locked while the block runs; False when another process does."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = True
        except BlockingIOError:
            is_ours = False
        yield is_ours


@asynccontextmanager
async def _advisory_lock(db: Database, name: str) -> AsyncIterator[bool]:
    """Hold a lock of a connection of our own (PostgreSQL: 13.3.5); False when another does."""
    query = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
    async with db.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        is_ours = bool(await connection.scalar(query, {"name": name}))
        try:
            yield is_ours
        finally:
            await connection.invalidate()  # back in the pool it would keep the lock
