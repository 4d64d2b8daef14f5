"""What a business has used in a month: what is added up once, and what at each look (S2.33)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, func
from sqlmodel import col, select

from ivr.costs import sums, usage
from ivr.costs.months import month_at
from ivr.costs.sums import GROWS, Sums
from ivr.costs.usage import SoFar
from ivr.db import Database
from ivr.db.tables import Conversation, UsageLog
from tests.costs.cast import tokens, use
from tests.leads.cast import NOW, call

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


async def sums_at(db: Database, conversation: Conversation, now: datetime = NOW) -> Sums:
    async with db.read() as session:
        month = month_at(now, "UTC")
        return await sums.sums_of(session, conversation.tenant_id, month, now=now)


async def truth(db: Database) -> tuple[int, int]:
    """Every row of the one month of these tests."""
    amounts = (func.sum(col(UsageLog.tokens)), func.sum(col(UsageLog.cost_micros)))
    async with db.read() as session:
        many, micros = (await session.exec(select(*amounts))).one()
        return int(many), int(micros)


async def grow(db: Database, conversation: Conversation, many: int, at: datetime) -> None:
    """Have the one call that goes on take so much by now."""
    so_far = SoFar(conversation.tenant_id, conversation.id, [tokens(many, key="voice")])
    async with db.write() as session:
        await usage.note_so_far(session, [so_far], now=at)


async def forget_before(db: Database, moment: datetime) -> None:
    """Take the older rows away, as by hand: what is read again then shows."""
    async with db.write() as session:
        await session.exec(delete(UsageLog).where(col(UsageLog.at) < moment))


async def test_at_every_look_the_sums_are_those_of_the_rows(db: Database) -> None:
    conversation = await call(db)
    for hour in range(24):
        now = NOW + hour * HOUR
        await use(db, conversation, tokens(900 + hour), tokens(7, model="gpt-99"), at=now)
        await grow(db, conversation, 100 * min(hour + 1, 6), now)
        found = await sums_at(db, conversation, now)
        assert (found.tokens, found.cost_micros) == await truth(db)


async def test_what_is_old_is_added_up_once_an_hour(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await call(db)
    await use(db, conversation, tokens(100), at=NOW - GROWS - SECOND)
    await use(db, conversation, tokens(10), at=NOW - GROWS)
    assert (await sums_at(db, conversation)).tokens == 110
    await forget_before(db, NOW)
    assert (await sums_at(db, conversation)).tokens == 100, "what may grow is read at each look"
    monkeypatch.setattr(sums, "ANEW_SECONDS", 0)
    assert (await sums_at(db, conversation)).tokens == 0


async def test_a_new_month_begins_with_nothing(db: Database) -> None:
    conversation = await call(db)
    december = datetime(2026, 12, 1, tzinfo=UTC)
    await use(db, conversation, tokens(5), at=december - SECOND)
    await use(db, conversation, tokens(3), at=december)
    assert (await sums_at(db, conversation, december - SECOND)).tokens == 5
    assert (await sums_at(db, conversation, december)).tokens == 3
    assert (await sums_at(db, conversation, december - SECOND)).tokens == 5


async def test_a_month_is_added_up_from_an_index_alone(sqlite_db: Database) -> None:
    conversation = await call(sqlite_db)
    seen: list[tuple[str, Any]] = []

    def look(_conn: Any, _cursor: Any, statement: str, given: Any, *_: Any) -> None:
        seen.append((statement, given))

    event.listen(sqlite_db.engine.sync_engine, "before_cursor_execute", look)
    for moment in (NOW, NOW + HOUR):
        await sums_at(sqlite_db, conversation, moment)
    queries = [one for one in seen if "usage_logs" in one[0]]
    assert len(queries) == 2
    async with sqlite_db.read() as session:
        connection = await session.connection()
        for query, given in queries:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", given)
            assert "USING COVERING INDEX usage_of_month" in str(plan.all())
