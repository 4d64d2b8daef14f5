"""`Idempotency-Key` on the REST API: a repeat changes nothing and gets the same answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from ivr.db import Database
from ivr.db.tables import IdempotencyRecord, Lead, Tenant, utc_now
from ivr.doors import idempotency
from ivr.doors.idempotency import Answered, once
from ivr.errors import Conflict, Unprocessable
from tests.channels.world import World, world
from tests.leads.cast import NOW, rows
from tests.web.lead_door import DOOR

BODY = {"name": "John Doe", "email": "john@example.com"}


@pytest.fixture
async def w(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as opened:
        yield opened


async def send(w: World, body: Any = BODY, *, key: str = "order-1") -> Any:
    return await w.http.post(DOOR, json=body, headers={"Idempotency-Key": key})


async def test_a_repeat_gets_the_first_answer_word_for_word(w: World) -> None:
    first = await send(w)
    again = await send(w)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(first.json()["conversations"]) == 1


async def test_the_same_words_in_another_order_are_the_same(w: World) -> None:
    await send(w)
    again = await send(w, dict(reversed(BODY.items())))
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_another_request_under_the_same_name_is_refused(w: World) -> None:
    await send(w)
    other = await send(w, {**BODY, "name": "Jane Roe"})
    assert other.status_code == 422 and "Idempotency-Key" in other.json()["detail"]
    assert len(await rows(w.db, Lead)) == 1
    assert (await send(w, {**BODY, "name": "John Doe"}, key="order-2")).status_code == 200


async def test_a_refused_request_may_be_corrected_under_the_same_name(w: World) -> None:
    assert (await send(w, {"phone": "12"})).status_code == 422
    assert await rows(w.db, IdempotencyRecord) == []
    assert (await send(w)).status_code == 201


async def test_twenty_at_once_under_one_name_make_one_lead(w: World) -> None:
    answers = await asyncio.gather(*(send(w) for _ in range(20)))
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {201, 409} and 201 in statuses
    done = [answer.json() for answer in answers if answer.status_code == 201]
    assert all(one == done[0] for one in done)
    assert len(await rows(w.db, Lead)) == 1 and len(await rows(w.db, IdempotencyRecord)) == 1
    assert (await send(w)).json() == done[0]


@pytest.mark.parametrize("key", ["", "x" * 256], ids=["empty", "too long"])
async def test_a_name_has_1_to_255_characters(w: World, key: str) -> None:
    answer = await send(w, key=key)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


async def make_tenant(db: Database, slug: str) -> Tenant:
    async with db.write() as session:
        tenant = Tenant(slug=slug, name=slug, profile="powersports", timezone="UTC", created_at=NOW)
        session.add(tenant)
    return tenant


async def answer_with(db: Database, tenant: Tenant, number: int, **how: Any) -> dict[str, Any]:
    async def work(_: Any) -> Answered:
        return Answered(200, {"number": number})

    response = await once(db, tenant.id, "key", ["/path"], work, **how)
    found: dict[str, Any] = json.loads(bytes(response.body))
    return found


async def test_a_name_is_one_business_s_own(db: Database) -> None:
    one, other = await make_tenant(db, "one"), await make_tenant(db, "other")
    assert await answer_with(db, one, 1) == {"number": 1}
    assert await answer_with(db, other, 2) == {"number": 2}
    assert await answer_with(db, one, 3) == {"number": 1}


async def test_after_a_day_a_name_is_free_again(db: Database) -> None:
    tenant = await make_tenant(db, "one")
    now = utc_now()
    assert await answer_with(db, tenant, 1, clock=lambda: now) == {"number": 1}
    almost, later = now + idempotency.KEPT - timedelta(seconds=1), now + idempotency.KEPT
    assert await answer_with(db, tenant, 2, clock=lambda: almost) == {"number": 1}
    assert await answer_with(db, tenant, 3, clock=lambda: later) == {"number": 3}
    assert len(await rows(db, IdempotencyRecord)) == 1


async def test_work_that_fails_leaves_neither_work_nor_record(db: Database) -> None:
    tenant = await make_tenant(db, "one")

    async def fail(session: Any) -> Answered:
        session.add(Tenant(slug="x", name="", profile="p", timezone="UTC", created_at=NOW))
        await session.flush()
        raise Unprocessable("no")

    with pytest.raises(Unprocessable):
        await once(db, tenant.id, "key", [], fail)
    assert await rows(db, IdempotencyRecord) == []
    assert [row.slug for row in await rows(db, Tenant)] == ["one"]


async def test_while_the_first_is_under_way_nothing_is_done_twice(db: Database) -> None:
    tenant = await make_tenant(db, "one")
    began, may_end = asyncio.Event(), asyncio.Event()
    worked: list[int] = []

    async def slow(session: Any) -> Answered:
        worked.append(1)
        await session.exec(select(Tenant))
        began.set()
        await may_end.wait()
        return Answered(201, {"done": True})

    first = asyncio.create_task(once(db, tenant.id, "key", [], slow))
    await began.wait()
    second = asyncio.create_task(once(db, tenant.id, "key", [], slow))
    if not db.is_sqlite:
        with pytest.raises(Conflict, match="under way"):
            await second
        may_end.set()
        assert (await first).status_code == 201
    else:  # one writes at a time there: the second waits
        may_end.set()
        assert (await first).status_code == 201
        assert (await second).headers[idempotency.REPLAYED] == "true"
    assert worked == [1]
