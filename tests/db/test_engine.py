"""Transactions on both databases, and the migrations that make the tables."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, func, select

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import Contact, Tenant, utc_now
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
