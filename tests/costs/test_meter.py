"""What calls on the line have used is written down now and then, and counts (S2.33)."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ivr.costs import budget, usage
from ivr.costs.budget import BudgetState
from ivr.costs.meter import BATCH, Meter
from ivr.costs.usage import SoFar, Used
from ivr.db import Database
from ivr.db.tables import Conversation, UsageLog, utc_now
from ivr.leads.people import forgetting
from tests.costs.cast import all_of, tenant_of, tokens
from tests.leads.cast import call
from tests.leads.people.acquaintances import contact_of


class Talk:
    """A conversation that goes on: `used` is what it has used by now."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.used = 0
        self._key = f"voice:{conversation.id}"

    def so_far(self) -> list[Used]:
        return [tokens(self.used, key=self._key)]

    @asynccontextmanager
    async def on(self, meter: Meter) -> AsyncIterator[None]:
        ids = self.conversation.tenant_id, self.conversation.id
        async with meter.counts(*ids, self.so_far):
            yield

    async def end(self, db: Database) -> None:
        ids = self.conversation.tenant_id, self.conversation.id
        async with db.write() as session:
            await usage.note_so_far(session, [SoFar(*ids, self.so_far())], now=utc_now())


async def written(db: Database) -> list[int]:
    return [row.tokens for row in await all_of(db, UsageLog)]


async def test_a_call_that_goes_on_is_one_row_that_grows_and_a_budget_sees_it(
    db: Database,
) -> None:
    talk, meter = Talk(await call(db)), Meter(db)
    tenant = await tenant_of(db, talk.conversation, monthly_token_budget=1000)
    async with talk.on(meter):
        await meter.read()
        assert await written(db) == [], "nothing is used yet"
        for used, state in [(700, BudgetState.OK), (1000, BudgetState.SPENT)]:
            talk.used = used
            await meter.read()
            (row,) = await all_of(db, UsageLog)
            assert (row.tokens, row.quantities) == (used, {"input_tokens": used})
            assert row.cost_micros == used // 10
            assert (await budget.standing(db, tenant, row.at)).state == state
    talk.used = 1300
    await talk.end(db)
    await meter.read()
    assert await written(db) == [1300]


async def test_the_calls_of_all_are_written_and_one_that_rests_is_not_again(db: Database) -> None:
    talks = [Talk(await call(db, sid=f"CA{number}")) for number in range(BATCH + 2)]
    meter = Meter(db)
    async with _all_on(talks, meter):
        for number, talk in enumerate(talks, start=1):
            talk.used = number
        await meter.read()
        assert sorted(await written(db)) == list(range(1, BATCH + 3))
        async with db.write() as session:  # whatever is written again would show
            for row in await all_of(db, UsageLog):
                await session.delete(await session.get_one(UsageLog, row.id))
        talks[0].used = 50
        await meter.read()
        assert await written(db) == [50]


async def test_a_call_of_somebody_who_was_forgotten_keeps_no_other_from_being_written(
    db: Database,
) -> None:
    talks = [Talk(await call(db, sid=f"CA{number}")) for number in range(BATCH + 2)]
    talks[1].conversation.id = uuid.uuid4()  # its row is gone
    meter = Meter(db)
    async with _all_on(talks, meter):
        for number, talk in enumerate(talks, start=1):
            talk.used = number
        await meter.read()
    assert sorted(await written(db)) == [1, *range(3, BATCH + 3)]


async def test_a_call_that_is_anothers_by_now_is_counted_once_though_one_is_forgotten(
    db: Database,
) -> None:
    talk, meter = Talk(await call(db)), Meter(db)
    jane = await call(db, sid="CA2", caller="+14045550177")
    john = await contact_of(db, talk.conversation)
    async with talk.on(meter):
        talk.used = 700
        await meter.read()
        async with db.write() as session:  # whom the caller turns out to be
            row = await session.get_one(Conversation, talk.conversation.id)
            row.lead_id, row.streaming = jane.lead_id, True
        await forgetting.forget(db, row.tenant_id, john, actor="test", now=utc_now())
        talk.used = 1000
        await meter.read()
    (row,) = await all_of(db, UsageLog)
    assert (row.tokens, row.lead_id) == (1000, None)


@asynccontextmanager
async def _all_on(talks: list[Talk], meter: Meter) -> AsyncIterator[None]:
    if not talks:
        yield
        return
    async with talks[0].on(meter), _all_on(talks[1:], meter):
        yield


async def test_the_end_of_a_call_waits_for_what_is_being_written_of_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk, meter = Talk(await call(db)), Meter(db)
    talk.used = 10
    is_over, writes, may_write = asyncio.Event(), asyncio.Event(), asyncio.Event()
    write = usage.note_so_far

    async def slowly(*args: Any, **kwargs: Any) -> None:
        writes.set()
        await may_write.wait()
        await write(*args, **kwargs)

    async def carry() -> None:
        async with talk.on(meter):
            await is_over.wait()

    monkeypatch.setattr(usage, "note_so_far", slowly)
    carrying = asyncio.create_task(carry())
    await asyncio.sleep(0)  # it begins
    reading = asyncio.create_task(meter.read())
    await writes.wait()
    is_over.set()
    for _ in range(10):  # turns of the loop
        await asyncio.sleep(0)
    assert not carrying.done()
    may_write.set()
    await asyncio.gather(carrying, reading)
    assert await written(db) == [10]
