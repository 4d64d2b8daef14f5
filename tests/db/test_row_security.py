"""The second wall: on PostgreSQL no query, however wrong, reaches another tenant's rows."""

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
from sqlalchemy import delete, func, make_url, text, update
from sqlalchemy.exc import ProgrammingError
from sqlmodel import select

from ivr.db import Database, row_security
from ivr.db.tables import Contact, Lead, Tenant
from ivr.errors import DatabaseDown
from tests.db.every_table import NAMES, TABLES, Rows, all_rows, fill, values, whose
from tests.db.wire import wire_to
from tests.leads.cast import NOW

NEW_TABLE = "a table with tenant_id needs, in its migration, what revision 0006 does to the others"


@dataclass(frozen=True, slots=True)
class Town:
    """Two tenants with rows in every table, and the database as the first one sees it."""

    db: Database
    ours: Rows
    theirs: Rows
    bound: Database

    @property
    def our_id(self) -> uuid.UUID:
        return uuid.UUID(str(self.ours["tenants"]["id"]))

    @property
    def their_id(self) -> uuid.UUID:
        return uuid.UUID(str(self.theirs["tenants"]["id"]))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    db = Database(url)
    try:
        yield db
    finally:
        await db.close()


@pytest.fixture
async def town(postgres_url: str) -> AsyncIterator[Town]:
    async with opened(postgres_url) as db:
        ours, theirs = await fill(db), await fill(db)
        yield Town(db, ours, theirs, db.for_tenant(ours["tenants"]["id"]))


async def test_every_table_of_tenants_is_protected_from_its_owner_too(postgres_url: str) -> None:
    async with opened(postgres_url) as db, db.engine.connect() as connection:
        found = await connection.execute(
            text(
                "SELECT relname, relrowsecurity AND relforcerowsecurity AND EXISTS"
                " (SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND polcmd = '*')"
                " FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
                " WHERE nspname = 'public' AND relkind IN ('r', 'p')"
            )
        )
        protected = {name for name, is_protected in found if is_protected}
    tenants = {one.name for one in TABLES if one.name == "tenants" or "tenant_id" in one.columns}
    assert protected == tenants, NEW_TABLE
    assert tenants == set(NAMES), "every row belongs to a tenant"


async def test_an_unfiltered_select_sees_one_tenant_in_every_table(town: Town) -> None:
    async with town.bound.read() as session:
        for one in TABLES:
            seen = set(await session.exec(select(whose(one))))
            assert seen == {town.our_id}, one.name
    async with town.db.read() as session:
        for one in TABLES:
            seen = set(await session.exec(select(whose(one))))
            assert seen == {town.our_id, town.their_id}, one.name


async def test_a_writing_session_sees_one_tenant_too_after_a_commit_as_well(town: Town) -> None:
    async with town.bound.write() as session:
        for _ in range(2):
            assert await session.scalar(select(func.count()).select_from(Contact)) == 1
            await session.commit()


async def test_no_statement_of_one_tenant_changes_or_deletes_a_row_of_another(town: Town) -> None:
    before, ours = await all_rows(town.db, town.their_id), await all_rows(town.db, town.our_id)
    async with town.bound.write() as session:
        connection = await session.connection()
        for one in TABLES:
            touched = await connection.execute(update(one).values({whose(one).name: whose(one)}))
            assert touched.rowcount == len(ours[one.name]), f"{one.name}: our own, and no other"
            gone = await connection.execute(delete(one).where(whose(one) == town.their_id))
            assert gone.rowcount == 0, one.name
    assert await all_rows(town.db, town.their_id) == before


async def test_no_row_can_be_inserted_for_another_tenant_or_given_to_it(town: Town) -> None:
    before = await all_rows(town.db, town.their_id)
    async with town.bound.write() as session:
        connection = await session.connection()
        for one in TABLES:
            for statement in (
                one.insert().values(values(one, town.theirs)),
                update(one).values({whose(one).name: town.their_id}),
            ):
                with pytest.raises(ProgrammingError, match="row-level security"):
                    async with connection.begin_nested():
                        await connection.execute(statement)
        session.add(Contact(tenant_id=town.our_id, created_at=NOW))
    assert await all_rows(town.db, town.their_id) == before


async def test_who_says_nothing_sees_nothing_and_writes_nothing(town: Town) -> None:
    connection = await asyncpg.connect(_plain(town.db.url))
    for name in NAMES:
        assert await connection.fetchval(f"SELECT count(*) FROM {name}") == 0, name
        assert await connection.execute(f"DELETE FROM {name}") == "DELETE 0", name
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
        await connection.execute(
            "INSERT INTO contacts (id, tenant_id, created_at) VALUES ($1, $2, now())",
            uuid.uuid4(),
            town.our_id,
        )
    await connection.close()


async def test_the_owner_is_bound_as_well(town: Town, postgres_owner_url: str) -> None:
    connection = await asyncpg.connect(_plain(postgres_owner_url))
    assert await connection.fetchval("SELECT count(*) FROM tenants") == 0
    await connection.close()
    async with opened(postgres_owner_url) as owner:
        async with owner.for_tenant(town.our_id).read() as session:
            assert list(await session.exec(select(Lead.tenant_id))) == [town.our_id]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE leads DISABLE ROW LEVEL SECURITY",
        "DROP POLICY of_tenant ON leads",
        "CREATE POLICY mine ON leads USING (true)",
        "TRUNCATE leads CASCADE",
        "DROP TABLE alerts",
        "CREATE TABLE mine (id int)",
        "UPDATE alembic_version SET version_num = '0001'",
        "SET row_security = off; SELECT * FROM leads",
    ],
    ids=lambda statement: "_".join(re.findall(r"\w+", statement)[:3]),
)
async def test_the_role_of_the_server_cannot_open_the_wall(town: Town, statement: str) -> None:
    with pytest.raises(ProgrammingError):
        async with town.db.write() as session:
            for one in statement.split("; "):
                await (await session.connection()).execute(text(one))


async def test_what_one_tenant_sees_leads_to_no_other(town: Town) -> None:
    with pytest.raises(AssertionError):
        town.bound.for_tenant(town.their_id)
    with pytest.raises(AssertionError):
        async with town.bound.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(select(1))
    assert town.bound.for_tenant(town.our_id).tenant_id == town.our_id


async def test_a_connection_that_one_tenant_used_serves_the_next(town: Town) -> None:
    """All of them from one pool, at once and one after another, also after an error."""

    async def look(tenant_id: uuid.UUID, *, fails: bool) -> None:
        bound = town.db.for_tenant(tenant_id)
        try:
            async with bound.write() as session:
                assert list(await session.exec(select(Contact.tenant_id))) == [tenant_id]
                if fails:
                    await (await session.connection()).execute(text("SELECT 1/0"))
        except Exception:
            assert fails

    turns = [(town.our_id, False), (town.their_id, True), (town.their_id, False)] * 20
    await asyncio.gather(*(look(tenant_id, fails=fails) for tenant_id, fails in turns))
    async with town.db.read() as session:
        assert len(list(await session.exec(select(Tenant.id)))) == 2


async def test_an_outage_that_one_tenant_meets_is_known_to_all(postgres_url: str) -> None:
    with wire_to(postgres_url) as (wire, url):
        async with opened(url) as db:
            wire.cut()
            with pytest.raises(DatabaseDown):
                async with db.for_tenant(uuid.uuid4()).write():
                    pass
            assert db.failed_at > 0


async def test_on_sqlite_all_tenants_share_one_writer(sqlite_db: Database) -> None:
    rows = await fill(sqlite_db)
    bound = sqlite_db.for_tenant(rows["tenants"]["id"])

    async def write() -> None:
        async with bound.write() as session:
            session.add(Contact(tenant_id=rows["tenants"]["id"], created_at=NOW))

    async with sqlite_db.write():
        waits = asyncio.create_task(write())
        await asyncio.sleep(0)
        assert not waits.done()
    await waits


# The role


async def test_the_role_of_the_server_is_strong_enough_and_no_stronger(town: Town) -> None:
    async with town.db.engine.connect() as connection:
        assert await row_security.weakness(connection) is None


async def test_a_role_that_could_open_the_wall_is_told(postgres_owner_url: str) -> None:
    async with opened(postgres_owner_url) as owner, owner.engine.connect() as connection:
        found = await row_security.weakness(connection)
    assert found == "owns the tables, so it could switch row-level security off"


# The indexes

QUERIES = {
    "leads of a tenant by age": (
        "SELECT * FROM leads WHERE tenant_id = :tenant AND created_at < :now"
        " ORDER BY created_at DESC LIMIT 50"
    ),
    "a person by number": (
        "SELECT * FROM contact_points WHERE tenant_id = :tenant AND kind = 'phone' AND value = 'x'"
    ),
    "a lead by id": "SELECT * FROM leads WHERE id = :tenant",
    "a call by its sid": (
        "SELECT * FROM conversation_sessions"
        " WHERE tenant_id = :tenant AND channel = 'voice' AND session_key = 'CA1'"
    ),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=list(QUERIES))
@pytest.mark.parametrize("for_one", [True, False], ids=["one tenant", "every tenant"])
async def test_the_policies_leave_the_indexes_to_the_queries(
    town: Town, query: str, for_one: bool
) -> None:
    given = {"tenant": town.our_id, "now": NOW}
    async with (town.bound if for_one else town.db).read() as session:
        await (await session.connection()).execute(text("SET LOCAL enable_seqscan = off"))
        plan = await session.scalar(
            text(f"EXPLAIN (FORMAT JSON) {query}"), {k: v for k, v in given.items() if k in query}
        )
    scans = [node for node in _nodes(plan[0]["Plan"]) if "Relation Name" in node]
    assert [node["Node Type"] for node in scans] == ["Index Scan"], json.dumps(plan)
    assert "Index Cond" in scans[0]
    assert "InitPlan" in scans[0]["Filter"] or "$0" in scans[0]["Filter"], "once a query"


def _nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    below = [deeper for child in node.get("Plans", []) for deeper in _nodes(child)]
    return [node, *below]


def _plain(url: str) -> str:
    parsed = make_url(url).set(drivername="postgresql")
    return parsed.render_as_string(hide_password=False)
