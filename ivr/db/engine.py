"""Opens the database and lends transactions: `read()` and `write()`. No tables, no queries.

Whatever keeps us from the database comes out of both as `DatabaseDown`, to be tried again.

SQLite: write-ahead log, full synchronisation, and one writer at a time in this process;
`BEGIN IMMEDIATE` because a deferred transaction that reads and then writes fails at once when
another process wrote in between.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import structlog
from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, event, exc, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import sqlite
from ivr.errors import DatabaseDown

BUSY_TIMEOUT_MS = 30_000
CONNECT_SECONDS = 5.0
WRITE_SECONDS = 15.0  # a PostgreSQL that died with its machine never says so
# Nor do we; what we had locked is free a minute later (PostgreSQL: runtime-config-connection,
# runtime-config-client).
_OUR_DEATH = {
    "idle_in_transaction_session_timeout": "30s",  # of ours none waits as long
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
RETRY_SECONDS = 0.5
# PostgreSQL: Appendix A, error classes: connection, authorization, catalog, rollback (deadlock),
# resources, object state (locked), operator intervention, system
_AWAY = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
# libpq's words for a URL. asyncpg takes these in a DSN only; the others here it does not know.
_DSN_WORDS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl"})
_LIBPQ_ONLY = frozenset({"channel_binding", "connect_timeout"})
_SQLALCHEMY_ONLY = frozenset({"prepared_statement_cache_size"})
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
)


log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Text = TypeVar("Text", str, str | None)


class Database:
    """One database for as long as a process lives."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = _create_engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.failed_at = -math.inf  # when it last could not be used; a moment of time.monotonic
        self._queue = self._one_at_a_time()  # in which who is urgent does not stand
        self._writer = self._one_at_a_time()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Lend a session to look with; whatever it wrote is rolled back."""
        with self._outages():
            async with AsyncSession(self.engine, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def write(self, *, urgent: bool = False) -> AsyncIterator[AsyncSession]:
        """Lend a session whose work is committed when the block ends, or undone when it raises.

        What is `urgent` must be short: it goes before all who wait for their turn.
        """
        with self._outages():
            async with (
                asyncio.timeout(None if self.is_sqlite else WRITE_SECONDS),
                nullcontext() if urgent else self._queue,
                self._writer,
                AsyncSession(self.engine, expire_on_commit=False) as session,
            ):
                await session.connection(execution_options={"immediate": True})
                yield session
                await session.commit()

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self.engine.connect() as connection:
            # On SQLite one that goes to the file, and through the connection's own thread.
            question = "PRAGMA schema_version" if self.is_sqlite else "SELECT 1"
            await connection.execute(text(question))

    def _one_at_a_time(self) -> AbstractAsyncContextManager[Any]:
        return asyncio.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def _outages(self) -> Iterator[None]:
        try:
            with _as_database_down():
                yield
        except DatabaseDown:
            self.failed_at = time.monotonic()
            raise

    async def upgrade(self) -> None:
        """Bring the tables to the newest revision."""
        async with self.engine.connect() as connection:
            await connection.run_sync(_upgrade)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()


async def patiently(work: Callable[[], Awaitable[Result]], *, seconds: float = math.inf) -> Result:
    """Do `work`, and while the database is down again, for so long; then raise `DatabaseDown`."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while True:
        try:
            return await work()
        except DatabaseDown as error:
            if clock() >= deadline:
                raise
            log.warning("the database is down", problem=str(error))
        await asyncio.sleep(RETRY_SECONDS)


def is_ending() -> bool:
    """Return whether this task was told to end; a query that is cut off may fail instead."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def storable(text: Text) -> Text:
    """Return a text without NUL, the one character that PostgreSQL cannot hold; None stays None."""
    return text and text.replace("\0", "")


@contextmanager
def _as_database_down() -> Iterator[None]:
    try:
        yield
    except (OSError, exc.SQLAlchemyError) as error:
        if not _is_outage(error):
            raise
        problem = type(getattr(error, "orig", None) or error).__name__
        raise DatabaseDown(f"the database cannot be reached or is locked ({problem})") from error


def _is_outage(error: Exception) -> bool:
    """Whether the same work may succeed later; `OSError` is how asyncpg fails to connect."""
    if isinstance(error, exc.DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        is_away = error.connection_invalidated or state[:2] in _AWAY
        return is_away or isinstance(error, exc.OperationalError)
    return isinstance(error, (OSError, exc.TimeoutError))


def libpq_url(url: str) -> URL:
    """Return a PostgreSQL URL as libpq, and so psycopg, reads it; asyncpg's `ssl` is `sslmode`."""
    parsed = make_url(url).set(drivername="postgresql")
    query = {k: v for k, v in parsed.query.items() if k not in {"ssl", *_SQLALCHEMY_ONLY}}
    if mode := parsed.query.get("ssl"):
        query["sslmode"] = "require" if mode == "true" else mode
    return parsed.set(query=query)


def _for_asyncpg(url: str) -> tuple[URL, dict[str, Any]]:
    """Return a PostgreSQL URL as asyncpg takes it, and what it must be told beside that."""
    said = libpq_url(url).query
    words = urlencode({k: v for k, v in said.items() if k in _DSN_WORDS}, doseq=True)
    plain = make_url(url).difference_update_query([*_DSN_WORDS, *_LIBPQ_ONLY, "ssl"])
    dsn = {"dsn": f"postgresql://?{words}"} if words else {}
    return plain, {"timeout": CONNECT_SECONDS, "server_settings": _OUR_DEATH, **dsn}


def database_path(url: str) -> Path | None:
    """Return the file of a SQLite database, None for any other and for one in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return None
    return Path(str(parsed.database))


def _create_engine(url: str) -> AsyncEngine:
    if make_url(url).get_backend_name() != "sqlite":
        plain, connect_args = _for_asyncpg(url)
        return create_async_engine(
            plain, connect_args=connect_args, pool_size=10, max_overflow=20, pool_pre_ping=True
        )
    path = database_path(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url, connect_args=sqlite.ARGUMENTS)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = (
        None  # the driver would begin transactions of its own, deferred ones
    )
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, bound to an open connection where there is one."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection) -> None:
    command.upgrade(alembic_config(connection), "head")
