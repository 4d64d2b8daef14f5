"""How many leads stand where is counted by the database itself: it equals a recount (domain 19)."""

import asyncio
import random
from collections import Counter

from sqlalchemy import text
from sqlmodel import col, delete, func, select

from ivr.db import Database
from ivr.db.tables import Contact, Lead, LeadCount, Lifecycle, Tenant
from tests.leads.cast import NOW, rows
from tests.leads.courses import centre

STAGES = ("NEW", "LOST", "ENROLLED")


async def counted(db: Database) -> dict[tuple[object, ...], int]:
    columns = (LeadCount.tenant_id, LeadCount.profile, LeadCount.stage)
    query = select(*columns, func.sum(LeadCount.leads)).group_by(*map(col, columns))
    async with db.read() as session:
        found = (await session.exec(query)).all()
    return {
        (tenant, profile, stage): int(count) for tenant, profile, stage, count in found if count
    }


async def assert_recounted(db: Database) -> None:
    leads = [lead for lead in await rows(db, Lead) if lead.lifecycle != Lifecycle.MERGED]
    assert await counted(db) == Counter((one.tenant_id, one.profile, one.stage) for one in leads)


async def add(db: Database, tenant: Tenant, stage: str) -> Lead:
    async with db.write() as session:
        contact = Contact(tenant_id=tenant.id, created_at=NOW)
        session.add(contact)
        await session.flush()
        times = {"created_at": NOW, "updated_at": NOW}
        lead = Lead(
            tenant_id=tenant.id, contact_id=contact.id, profile="courses", stage=stage, **times
        )
        session.add(lead)
        return lead


async def change(db: Database, lead: Lead, what: str) -> None:
    async with db.write() as session:
        row = await session.get(Lead, lead.id, with_for_update=True)
        if row is None:
            return
        if what == "gone":
            await session.exec(delete(Lead).where(col(Lead.id) == lead.id))
        elif what in STAGES:
            row.stage = what
        else:
            row.lifecycle = what


async def test_whatever_fifty_do_at_once_the_counts_equal_a_recount(db: Database) -> None:
    tenants = [await centre(db), await centre(db, "other")]
    chance = random.Random(3)
    leads = [await add(db, chance.choice(tenants), chance.choice(STAGES)) for _ in range(12)]
    offers = (*STAGES, *STAGES, Lifecycle.MERGED, Lifecycle.NEW, "gone")

    async def worker() -> None:
        for _ in range(4):
            await change(db, chance.choice(leads), chance.choice(offers))

    await asyncio.gather(*(worker() for _ in range(50)))
    await assert_recounted(db)


async def test_what_is_undone_is_not_counted(db: Database) -> None:
    lead = await add(db, await centre(db), "NEW")
    async with db.read() as session:
        (await session.get_one(Lead, lead.id)).stage = "LOST"
        await session.flush()
    await assert_recounted(db)


async def test_many_moves_are_made_one_row_per_stage(db: Database) -> None:
    lead = await add(db, await centre(db), "NEW")
    move = text("UPDATE leads SET stage = :stage WHERE lifecycle <> :merged")
    async with db.write() as session:
        connection = await session.connection()
        for place in range(1001):
            words = {"stage": STAGES[place % 2], "merged": Lifecycle.MERGED}
            await connection.execute(move, words)
    assert len(await rows(db, LeadCount)) < 1010  # of 2003
    await assert_recounted(db)
    await change(db, lead, "gone")
    assert await counted(db) == {}


async def test_who_moves_a_lead_waits_for_nobody_who_moves_another(postgres_url: str) -> None:
    db = Database(postgres_url)
    try:
        tenant = await centre(db)
        one, other = await add(db, tenant, "NEW"), await add(db, tenant, "NEW")
        async with db.write() as first:
            (await first.get_one(Lead, one.id)).stage = "LOST"
            await first.flush()
            async with asyncio.timeout(30):
                await change(db, other, "LOST")
        await assert_recounted(db)
    finally:
        await db.close()
