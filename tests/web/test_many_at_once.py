"""Many who come at once: nobody is refused, nobody is made twice, nobody keeps others waiting."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, text
from sqlmodel import col, select, update

from ivr.db import Database, engine
from ivr.db.tables import Lead, Tenant
from ivr.doors.idempotency import Answered, once
from ivr.leads import entry
from ivr.leads.people import at_once
from tests.channels.world import JOHN, World, world
from tests.leads.cast import NOW, rows, until
from tests.web.lead_door import DOOR, WHOLE, finished

MANY, FEW = 20, 5
_WAITING = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
)


@pytest.fixture
async def w(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as opened:
        yield opened


@pytest.fixture
async def postgres_w(postgres_url: str) -> AsyncIterator[World]:
    async with world(postgres_url) as opened:
        yield opened


async def test_twenty_that_hand_in_one_whole_person_at_once_make_one_lead(w: World) -> None:
    """Its first one is on its way to the buyer while the others still wait for their turn."""
    answers = await asyncio.gather(*(w.http.post(DOOR, json=WHOLE) for _ in range(MANY)))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses == {201: 1, 200: MANY - 1}, [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1
    await finished(w)
    await w.submitted()
    assert len([lead for lead in await rows(w.db, Lead) if lead.lifecycle != "MERGED"]) == 1
    assert len(w.npa.leads) == 1


async def test_who_comes_after_the_lead_was_handed_over_has_a_new_one(w: World) -> None:
    first = (await w.http.post(DOOR, json=WHOLE)).json()
    await w.submitted()
    again = await w.http.post(DOOR, json=WHOLE)
    assert again.status_code == 201 and again.json()["id"] != first["id"]


async def test_who_waits_for_a_turn_keeps_nothing_from_others(
    postgres_w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No connection is held, and no time limit runs; only other processes are waited for there."""
    w, came = postgres_w, Counter[str]()
    (tenant,), names_of = await rows(w.db, Tenant), entry.turn_names

    def noted(*given: Any, **more: Any) -> list[str]:
        came["in"] += 1
        return names_of(*given, **more)

    async def count_waiting() -> int:
        async with w.db.read() as session:
            return int(await (await session.connection()).scalar(_WAITING) or 0)

    async def all_are_in() -> bool:
        return came["in"] == FEW and await count_waiting() > 0

    monkeypatch.setattr(entry, "turn_names", noted)
    monkeypatch.setattr(engine, "WRITE_SECONDS", 120)  # for the one that waits for the process
    (name,) = at_once.turn_names(tenant.id, [JOHN])
    async with w.db.read() as another_process:
        key = func.hashtextextended(name, 0)
        await another_process.exec(select(func.pg_advisory_xact_lock(key)))
        posts = [asyncio.create_task(w.http.post(DOOR, json=WHOLE)) for _ in range(FEW)]
        await until(all_are_in, seconds=60)
        assert (await w.http.get(DOOR)).status_code == 200
        assert await count_waiting() == 1
    statuses = Counter(answer.status_code for answer in await asyncio.gather(*posts))
    assert statuses == {201: 1, 200: FEW - 1}


async def test_of_two_that_wait_for_each_other_both_are_done(postgres_url: str) -> None:
    """PostgreSQL undoes one of them; without an `Idempotency-Key`, too, it is done again."""
    db = Database(postgres_url)
    async with db.write() as session:
        tenants = [
            Tenant(slug=slug, name=slug, profile="p", timezone="UTC", created_at=NOW)
            for slug in ("one", "other")
        ]
        session.add_all(tenants)
    began: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]

    async def crosswise(first: int) -> int:
        async def work(session: Any) -> Answered:
            for number in (first, 1 - first):
                renamed = update(Tenant).where(col(Tenant.id) == tenants[number].id)
                await session.exec(renamed.values(name="renamed"))
                began[first].set()
                await began[1 - first].wait()
            return Answered(200, {})

        return (await once(db, tenants[first].id, None, [], work)).status_code

    assert list(await asyncio.gather(crosswise(0), crosswise(1))) == [200, 200]
    await db.close()
