"""Transactions on both databases, and the migrations that make the tables."""

import asyncio
import socket
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, func, select

from ivr import tenants
from ivr.db import Database, engine
from ivr.db.engine import patiently
from ivr.db.tables import Contact, Tenant, utc_now
from ivr.errors import DatabaseDown
from tests.db.wire import Wire, wire_to
from tests.leads.cast import NOW, settings_for


async def _count(db: Database, table: type[SQLModel]) -> int:
    async with db.read() as session:
        return (await session.exec(select(func.count()).select_from(table))).one()


async def test_the_migrations_make_exactly_the_tables_of_the_code(db: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return [d for d in compare_metadata(context, SQLModel.metadata) if "dbos" not in str(d)]

    async with db.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_what_a_failing_block_wrote_is_undone(db: Database) -> None:
    tenant = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    with pytest.raises(ZeroDivisionError):
        async with db.write() as session:
            session.add(Contact(tenant_id=tenant.id, created_at=NOW))
            await session.flush()
            raise ZeroDivisionError
    assert await _count(db, Contact) == 0


async def test_what_a_reading_block_wrote_is_undone(db: Database) -> None:
    tenant = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    async with db.read() as session:
        session.add(Contact(tenant_id=tenant.id, created_at=NOW))
        await session.flush()
    assert await _count(db, Contact) == 0


async def test_fifty_writers_at_once_all_get_through(db: Database) -> None:
    tenant = await tenants.ensure_default(db, settings_for(db.url), now=NOW)

    async def write() -> None:
        async with db.write() as session:
            count = (await session.exec(select(func.count()).select_from(Contact))).one()
            session.add(Contact(tenant_id=tenant.id, name=str(count), created_at=NOW))

    await asyncio.gather(*(write() for _ in range(50)))
    assert await _count(db, Contact) == 50


async def test_what_was_started_ends_with_the_database(database_url: str) -> None:
    database = Database(database_url)
    begun = asyncio.Event()

    async def read_for_ever() -> None:
        async with database.read() as session:
            await session.exec(select(func.count()).select_from(Contact))
            begun.set()
            await asyncio.Event().wait()

    task = database.for_tenant(uuid.uuid4()).start(read_for_ever())
    async with asyncio.timeout(30):
        await begun.wait()
        await database.close()
    assert task.cancelled()


async def test_two_processes_may_write_one_sqlite_file(sqlite_url: str) -> None:
    first, second = Database(sqlite_url), Database(sqlite_url)
    tenant = await tenants.ensure_default(first, settings_for(sqlite_url), now=NOW)

    async def write(db: Database) -> None:
        for _ in range(20):
            async with db.write() as session:
                count = (await session.exec(select(func.count()).select_from(Contact))).one()
                session.add(Contact(tenant_id=tenant.id, name=str(count), created_at=NOW))

    await asyncio.gather(write(first), write(second))
    async with first.read() as session:
        names = (await session.exec(select(Contact.name))).all()
    await first.close()
    await second.close()
    assert sorted(map(int, filter(None, names))) == list(range(40)), "nobody read a stale count"


async def test_times_come_back_aware_and_the_same(db: Database) -> None:
    now = utc_now()
    await tenants.ensure_default(db, settings_for(db.url), now=now)
    async with db.read() as session:
        tenant = (await session.exec(select(Tenant))).one()
    assert tenant.created_at == now
    assert tenant.created_at.utcoffset() is not None


async def test_a_row_of_no_tenant_is_refused(db: Database) -> None:
    import uuid

    with pytest.raises(IntegrityError):
        async with db.write() as session:
            session.add(Contact(tenant_id=uuid.uuid4(), created_at=NOW))


# When it is away


async def _say_something(db: Database) -> int:
    async with db.write() as session:
        return int((await session.exec(select(1))).one())


@pytest.fixture
def wired(postgres_url: str) -> Iterator[tuple[Wire, str]]:
    with wire_to(postgres_url) as wired:
        yield wired


@pytest.fixture
def wire(wired: tuple[Wire, str]) -> Wire:
    return wired[0]


@pytest.fixture
async def wired_db(wired: tuple[Wire, str]) -> AsyncIterator[Database]:
    database = Database(wired[1])
    yield database
    await database.close()


async def test_a_database_that_nobody_can_connect_to_is_down(
    wire: Wire, wired_db: Database
) -> None:
    wire.cut()
    with pytest.raises(DatabaseDown):
        await _say_something(wired_db)
    with pytest.raises(DatabaseDown):
        async with wired_db.read() as session:
            await session.exec(select(1))


async def test_a_connection_cut_in_a_transaction_is_a_database_that_is_down(
    wire: Wire, wired_db: Database
) -> None:
    with pytest.raises(DatabaseDown):
        async with wired_db.write() as session:
            wire.cut()
            await session.exec(select(1))
    wire.mend()
    assert await _say_something(wired_db) == 1


async def test_a_write_that_hears_nothing_any_more_ends(
    wire: Wire, wired_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It takes two seconds more: for so long SQLAlchemy tries to take leave of a dead connection.
    monkeypatch.setattr(engine, "WRITE_SECONDS", 0.2)
    with pytest.raises(DatabaseDown):
        async with asyncio.timeout(10), wired_db.write() as session:
            wire.is_hung = True
            await session.exec(select(1))


async def test_what_we_had_locked_when_our_machine_died_is_let_go(postgres_url: str) -> None:
    db = Database(postgres_url)
    async with db.write() as session:
        limit = await session.scalar(text("SHOW idle_in_transaction_session_timeout"))
        idle = await session.scalar(text("SHOW tcp_keepalives_idle"))
    await db.close()
    assert (limit, idle) == ("30s", "30")


async def test_a_locked_database_is_down(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_PRAGMAS", ("PRAGMA busy_timeout=0",))
    db = Database(sqlite_url)
    other = sqlite3.connect(sqlite_url.partition("///")[2], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseDown):
        await _say_something(db)
    other.close()
    assert await _say_something(db) == 1
    await db.close()


async def test_patience_outlasts_an_outage(
    wire: Wire, wired_db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_SECONDS", 0.01)

    async def work() -> int:
        try:
            return await _say_something(wired_db)
        except DatabaseDown:
            wire.mend()
            raise

    wire.cut()
    assert await patiently(work) == 1


async def test_patience_has_an_end(wire: Wire, wired_db: Database) -> None:
    wire.cut()
    with pytest.raises(DatabaseDown):
        await patiently(lambda: _say_something(wired_db), seconds=0)


# How its address is written


@pytest.mark.parametrize("word", ["sslmode", "ssl"])
async def test_tls_is_asked_for_in_either_spelling(word: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        db = Database(f"postgresql+asyncpg://u:p@127.0.0.1:{port}/n?{word}=require")
        asking = asyncio.create_task(_say_something(db))
        near, _ = await asyncio.to_thread(listener.accept)
        with near:
            assert await asyncio.to_thread(near.recv, 8) == SSL_REQUEST
        with pytest.raises(DatabaseDown):
            await asking
    await db.close()


# PostgreSQL: frontend/backend protocol, message formats, SSLRequest
SSL_REQUEST = bytes([0, 0, 0, 8]) + (80877103).to_bytes(4)


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=disable",
        "ssl=disable",
        "sslmode=prefer&channel_binding=prefer&connect_timeout=3",
        "sslmode=disable&prepared_statement_cache_size=0",
    ],
)
async def test_the_words_of_libpq_may_stand_in_the_address(postgres_url: str, query: str) -> None:
    db = Database(f"{postgres_url}?{query}")
    assert await _say_something(db) == 1
    await db.close()
