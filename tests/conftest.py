"""What every test may ask for."""

import asyncio
import functools
import gc
import logging
import os
import shutil
import ssl
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
from sqlalchemy import make_url

from ivr import jobs, logs, runtime
from ivr.db import Database

# The databases: a real one per test, thrown away. The tables are made once.

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/test")

# As where it is meant: one role owns the tables, the server connects as another one.
OWNER, SERVER, PASSWORD = "owner", "server", "only-for-tests"
HASH_KEY = b"of hashes in tests: 32 bytes long"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Logging is global to the process: what a command or a server sets up is no other test's."""
    loggers = [logging.getLogger(), *map(logging.getLogger, (*logs._TAKEN_OVER, *logs._QUIET))]
    before = [(logger, list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    config = structlog.get_config()
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)
    structlog.configure(**config)
    structlog.contextvars.clear_contextvars()


@pytest.fixture(autouse=True, scope="session")
def servers_stop_at_once() -> Iterator[None]:
    """DBOS is waited for at each stop of a server: half a second per test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "LISTEN_SECONDS", 0.05)
        yield


@pytest.fixture(autouse=True, scope="session")
def garbage_is_found() -> Iterator[None]:
    """A server keeps what it began with for ever; here hundreds of them begin in one process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "freeze", lambda: None)
        patch.setattr(runtime, "COLLECT_YOUNG_ONLY", gc.get_threshold())
        yield


@pytest.fixture(autouse=True, scope="session")
def certificates_are_read_once() -> Iterator[None]:
    """Each client of HTTP reads all authorities anew: a tenth of a second per server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", functools.cache(ssl.create_default_context))
        yield


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database with all tables and no rows."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
    else:
        yield request.getfixturevalue("postgres_url")


@pytest.fixture
def postgres_url(postgres_database: str) -> Iterator[str]:
    """The address of a PostgreSQL database with all tables and no rows, for who owns nothing."""
    yield from _lent(postgres_database)


@pytest.fixture(scope="module")
def postgres_url_of_module(postgres_database: str) -> Iterator[str]:
    """The same for all tests of a file, none of which asks for `postgres_url`."""
    yield from _lent(postgres_database)


@pytest.fixture
def postgres_owner_url(postgres_database: str, postgres_url: str) -> str:
    """The address of the same database for the role that owns its tables."""
    return _postgres_url(postgres_database, OWNER)


@pytest.fixture
def owner_url(request: pytest.FixtureRequest, database_url: str) -> str:
    """The address of the database of `database_url` for who may change its tables."""
    if database_url.startswith("sqlite"):
        return database_url
    return str(request.getfixturevalue("postgres_owner_url"))


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a SQLite database with all tables and no rows."""
    path = tmp_path / "nps_ivr.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """An open database, on SQLite and on PostgreSQL in turn."""
    database = Database(database_url, hash_key=lambda: HASH_KEY)
    yield database
    await database.close()


@pytest.fixture
async def sqlite_db(sqlite_url: str) -> AsyncIterator[Database]:
    """An open SQLite database, for what does not depend on which one it is."""
    database = Database(sqlite_url, hash_key=lambda: HASH_KEY)
    yield database
    await database.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    asyncio.run(make_tables(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_database() -> Iterator[str]:
    """The name of a database of this test process; making one per test takes seconds each."""
    try:
        _on_postgres("SELECT 1")
    except psycopg.OperationalError as exc:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL at TEST_POSTGRES_URL: {exc}")
    name = f"ivr_{uuid.uuid4().hex}"
    for role in (OWNER, SERVER):
        _on_postgres(f"CREATE ROLE {name}_{role} LOGIN PASSWORD '{PASSWORD}'")
    _on_postgres(f"CREATE DATABASE {name} OWNER {name}_{OWNER}")
    asyncio.run(make_tables(_postgres_url(name, OWNER), serving=f"{name}_{SERVER}"))
    yield name
    _on_postgres(f"DROP DATABASE {name} WITH (FORCE)")
    for role in (OWNER, SERVER):
        _on_postgres(f"DROP ROLE {name}_{role}")


# Every row goes, also of the jobs, and numbers start again; what a test left open is cut off.
_EMPTY = """
DO $$ DECLARE t record; BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica;
  FOR t IN SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'dbos')
    AND tablename NOT IN ('alembic_version', 'dbos_migrations')
  LOOP EXECUTE format('DELETE FROM %I.%I', t.schemaname, t.tablename); END LOOP;
  PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false)
    FROM pg_sequences WHERE schemaname = 'public';
END $$
"""


def _lent(name: str) -> Iterator[str]:
    yield _postgres_url(name, SERVER)
    _on_postgres(_EMPTY, database=name)


def _on_postgres(statement: str, *, database: str | None = None) -> None:
    url = make_url(POSTGRES_URL)
    url = url.set(database=database or url.database)
    address = url.render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True, connect_timeout=3) as connection:
        connection.execute(statement.encode())


def _postgres_url(name: str, role: str) -> str:
    url = make_url(POSTGRES_URL).set(
        drivername="postgresql+asyncpg",
        database=name,
        username=f"{name}_{role}",
        password=PASSWORD,
    )
    return url.render_as_string(hide_password=False)


async def make_tables(url: str, *, serving: str | None = None) -> None:
    """Make the tables as their owner, and let the PostgreSQL role `serving` use them."""
    database = Database(url)
    await database.upgrade(serving=serving)
    await database.close()
    if serving is not None:
        jobs.prepare(url, serving=serving)
