"""Opens the database and lends transactions: `read()` and `write()`. No tables, no queries.

Whatever keeps us from the database comes out of both as `DatabaseDown`, to be tried again; what
others at work in it have kept us from, `despite_races` does again at once.

SQLite: write-ahead log, full synchronisation, and one writer at a time in this process;
`BEGIN IMMEDIATE` because a deferred transaction that reads and then writes fails at once when
another process wrote in between.

`for_tenant` lends the database as one tenant sees it, on PostgreSQL with none of another's rows.
"""

import asyncio
import copy
import math
import time
import uuid
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterator,
)
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

from ivr.db import row_security, sqlite
from ivr.db.turns import Turns
from ivr.errors import DatabaseDown, Undone

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
HASH_KEY = "ivr.db.hash_key"  # in `session.info`
MOST_RACES = 5
# PostgreSQL: Appendix A, error classes: connection, authorization, catalog, rollback (deadlock),
# resources, object state (locked), operator intervention, system
_AWAY = frozenset({"08", "28", "3D", "40", "53", "55", "57", "58"})
_UNDONE = frozenset({"40001", "40P01"})  # serialization failure, deadlock: rolled back for certain
# libpq's words for a URL. asyncpg takes these in a DSN only; the others here it does not know.
_DSN_WORDS = frozenset({"sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl"})
_LIBPQ_ONLY = frozenset({"channel_binding", "connect_timeout"})
_SQLALCHEMY_ONLY = frozenset({"prepared_statement_cache_size"})
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA secure_delete=ON",  # what is deleted is overwritten: who is forgotten is in no file
    f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}",
)


log = structlog.get_logger(__name__)

Result = TypeVar("Result")
Text = TypeVar("Text", str, str | None)


class Database:
    """One database for as long as a process lives; `hash_key` finds the key of its hashes."""

    def __init__(self, url: str, *, hash_key: Callable[[], bytes] | None = None) -> None:
        self.url = url
        self._info = {HASH_KEY: hash_key}
        self.engine = _create_engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.tenant_id: uuid.UUID | None = None  # whose rows these are, None: everybody's
        self._failures = [-math.inf]  # one list for all that `for_tenant` lends
        self._queue = self._one_at_a_time()  # in which who is urgent does not stand
        self._writer = self._one_at_a_time()
        self._turns = Turns()
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Lend a session to look with; whatever it wrote is rolled back."""
        with self._outages():
            async with self._session() as session:
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
                self._session() as session,
            ):
                await session.connection(execution_options={"immediate": True})
                yield session
                await session.commit()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run `work` also when nobody waits for it any more; `close` ends it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def turn(self, names: Collection[str]) -> AbstractAsyncContextManager[None]:
        """Have those of this process who say one of the same names come one after the other."""
        return self._turns.take(names)

    @property
    def failed_at(self) -> float:
        """Return when it last could not be used: a moment of `time.monotonic`."""
        return self._failures[0]

    def for_tenant(self, tenant_id: uuid.UUID) -> "Database":
        """Return this database as one tenant sees it; connections and turns are shared."""
        assert self.tenant_id in {None, tenant_id}, "what one tenant sees leads to no other"
        bound = copy.copy(self)
        bound.tenant_id = tenant_id
        if not self.is_sqlite:
            options = {row_security.TENANT_OPTION: str(tenant_id)}
            bound.engine = self.engine.execution_options(**options)
        return bound

    async def ping(self) -> None:
        """Raise unless the database answers."""
        async with self.engine.connect() as connection:
            # On SQLite one that goes to the file, and through the connection's own thread.
            question = "PRAGMA schema_version" if self.is_sqlite else "SELECT 1"
            await connection.execute(text(question))

    def _session(self) -> AsyncSession:
        return AsyncSession(self.engine, expire_on_commit=False, info=self._info)

    def _one_at_a_time(self) -> AbstractAsyncContextManager[Any]:
        return asyncio.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def _outages(self) -> Iterator[None]:
        try:
            with _as_database_down():
                yield
        except Undone:  # it is there, and busy
            raise
        except DatabaseDown:
            self._failures[0] = time.monotonic()
            raise

    async def upgrade(self, *, serving: str | None = None) -> None:
        """Bring the tables to the newest revision, and let the role `serving` use them."""
        async with self.engine.connect() as connection:
            await connection.run_sync(_upgrade)
            if serving is not None:
                await connection.run_sync(row_security.grant, serving)
                await connection.commit()

    async def empty_log(self) -> bool:
        """Have SQLite's write-ahead log hold nothing; return whether nobody kept it from that."""
        if not self.is_sqlite:
            return True
        async with self.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            assert raw.driver_connection is not None, "it was just opened"
            cursor = await raw.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (is_kept, *_) = await cursor.fetchone()
            await cursor.close()
        return not is_kept

    async def close(self) -> None:
        """End what was started, and close every connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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


async def despite_races(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do `work`, one write transaction, and again where others wrote the same rows at once."""
    for _ in range(MOST_RACES):
        try:
            return await work()
        except (exc.IntegrityError, Undone) as error:  # of it nothing is written
            log.info("two at once", problem=type(error).__name__)
    raise DatabaseDown("the same rows were written by others again and again")


def is_ending() -> bool:
    """Return whether this task was told to end; a query that is cut off may fail instead."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def storable(text: Text) -> Text:
    """Return a text that any database holds: without NUL, halves of an emoji as �; None stays."""
    if not text:
        return text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "")


@contextmanager
def _as_database_down() -> Iterator[None]:
    try:
        yield
    except (OSError, exc.SQLAlchemyError) as error:
        if not _is_outage(error):
            raise
        problem = type(getattr(error, "orig", None) or error).__name__
        if getattr(getattr(error, "orig", None), "sqlstate", None) in _UNDONE:
            raise Undone(f"others were at the same rows ({problem})") from error
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
    said_first = {**_OUR_DEATH, row_security.SETTING: row_security.EVERY_TENANT}
    return plain, {"timeout": CONNECT_SECONDS, "server_settings": said_first, **dsn}


def database_path(url: str) -> Path | None:
    """Return the file of a SQLite database, None for any other and for one in memory."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in {None, "", ":memory:"}:
        return None
    return Path(str(parsed.database))


def _create_engine(url: str) -> AsyncEngine:
    if make_url(url).get_backend_name() != "sqlite":
        plain, connect_args = _for_asyncpg(url)
        engine = create_async_engine(
            plain, connect_args=connect_args, pool_size=10, max_overflow=20, pool_pre_ping=True
        )
        event.listen(engine.sync_engine, "begin", row_security.say_whose)
        return engine
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
