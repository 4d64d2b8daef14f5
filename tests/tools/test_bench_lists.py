"""The leads that the lists are measured with are as the product would have written them."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import make_url
from sqlmodel import col, func, select

from ivr.db import Database
from ivr.db.tables import Contact, ContactPoint, Lead, LeadCount, LeadWord, Lifecycle
from ivr.leads.progress import search
from tests.leads.cast import rows
from tools.bench import lists
from tools.bench.road import postgres
from tools.bench.seed import seed
from tools.bench.seed_rows import SHARES

COUNT = 200


@pytest.fixture(params=["sqlite", "postgresql"])
def scratch_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database for who may do anything in it: seeding heeds no foreign key."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    with postgres() as url:
        if url is None:
            pytest.skip("no PostgreSQL")
        plain = make_url(url).set(drivername="postgresql+asyncpg")
        yield plain.render_as_string(hide_password=False)


async def test_seeded_leads_are_counted_and_found_as_real_ones(scratch_url: str) -> None:
    db = Database(scratch_url)
    await db.upgrade()
    seeded = await seed(scratch_url, COUNT)
    try:
        assert set(seeded.tenants) == set(SHARES)
        leads = await rows(db, Lead)
        assert len(leads) == COUNT == seeded.rows["leads"]
        shares = Counter(lead.tenant_id for lead in leads)
        assert shares[seeded.tenants["large"]] > COUNT * 0.8
        written = await words(db)
        async with db.write() as session:
            for lead in leads:
                await search.keep(session, lead)
        assert await words(db) == written
        kept = [lead for lead in leads if lead.lifecycle != Lifecycle.MERGED]
        counts = Counter((lead.tenant_id, lead.stage) for lead in kept)
        assert await counted(db) == counts
        assert len(await rows(db, Contact)) == COUNT <= len(await rows(db, ContactPoint))
    finally:
        await db.close()


async def words(db: Database) -> dict[object, set[str]]:
    found = defaultdict(set)
    for row in await rows(db, LeadWord):
        found[row.lead_id, row.created_at].add(row.word)
    return found


async def counted(db: Database) -> dict[object, int]:
    columns = (LeadCount.tenant_id, LeadCount.stage)
    query = select(*columns, func.sum(LeadCount.leads)).group_by(*map(col, columns))
    async with db.read() as session:
        return {(key, stage): int(many) for key, stage, many in (await session.exec(query)).all()}


async def test_the_same_number_gives_the_same_leads(sqlite_url: str, tmp_path: Path) -> None:
    again = f"sqlite+aiosqlite:///{tmp_path}/again.db"
    (tmp_path / "again.db").write_bytes((tmp_path / "nps_ivr.db").read_bytes())
    seen = []
    for url in (sqlite_url, again):
        await seed(url, 20)
        db = Database(url)
        seen.append([lead.model_dump() for lead in await rows(db, Lead)])
        await db.close()
    assert seen[0] == seen[1]


async def test_every_case_can_be_asked(sqlite_url: str) -> None:
    seeded = await seed(sqlite_url, 50)
    db, chance = Database(sqlite_url), random.Random(1)
    async with db.read() as session:
        for case in lists.CASES:
            await case.query(session, seeded.tenants["large"], case.ask(chance))
    await db.close()


def test_cases_are_measured_over_http_and_explained(
    scratch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = tuple(replace(case, times=2) for case in lists.CASES[::6])
    monkeypatch.setattr(lists, "CASES", cases)
    page = StringIO()
    lists.measure_lists(COUNT, [scratch_url], Console(width=110, file=page))
    for case in cases:
        assert page.getvalue().count(case.name) >= 2  # in the table, and above its plan
    # Which index depends on the size of the table; that one is named, or the table, does not.
    assert re.search(r"USING (COVERING )?INDEX|(Index|Bitmap|Seq) .*Scan", page.getvalue())
