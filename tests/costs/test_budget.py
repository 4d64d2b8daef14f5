"""Budgets of a month: how far they are used, and who is told once (S2.33, S2.37, S2.38)."""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from ivr.costs import budget
from ivr.costs.budget import BudgetState
from ivr.db import Database
from ivr.db.tables import (
    Alert,
    Conversation,
    Message,
    OutboxEvent,
    Purpose,
    Tenant,
    WebhookEndpoint,
    utc_now,
)
from ivr.leads.attention.budget_alerts import BudgetAlerts
from ivr.leads.profile import load_profile
from tests.costs.cast import all_of, tenant_of, tokens, use
from tests.leads.cast import NOW, call, settings_for, until
from tools.emulators.serving import listen

STAFF = "+17705559999"
NOWHERE = "postgresql+asyncpg://nobody@127.0.0.1:1/nothing"


async def state_of(db: Database, tenant: Tenant, at: datetime = NOW) -> BudgetState:
    return (await budget.standing(db, tenant, at)).state


def alerts_of(db: Database, at: datetime = NOW, **settings: str) -> BudgetAlerts:
    given = settings_for(db.url, staff_phone_number=STAFF, **settings)
    return BudgetAlerts(db, load_profile, given, clock=lambda: at)


@contextmanager
def statements_of(db: Database) -> Iterator[list[str]]:
    """Every statement that is sent while the block runs."""
    seen: list[str] = []

    def look(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(db.engine.sync_engine, "before_cursor_execute", look)
    yield seen
    event.remove(db.engine.sync_engine, "before_cursor_execute", look)


async def kinds(db: Database) -> list[tuple[str, str]]:
    return [(row.kind, row.period) for row in await all_of(db, Alert)]


@pytest.mark.parametrize(
    ("used", "state", "percent", "alerts"),
    [
        (7_999, BudgetState.OK, 79.99, []),
        (8_000, BudgetState.WARNING, 80.0, ["budget_80"]),
        (9_999, BudgetState.WARNING, 99.99, ["budget_80"]),
        (10_000, BudgetState.SPENT, 100.0, ["budget_80", "budget_100"]),
        (12_345, BudgetState.SPENT, 123.45, ["budget_80", "budget_100"]),
    ],
    ids=str,
)
async def test_a_token_budget_is_ok_below_80_percent_and_spent_at_100(
    db: Database, used: int, state: BudgetState, percent: float, alerts: list[str]
) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=10_000)
    await use(db, conversation, tokens(used))
    stands = await budget.standing(db, tenant, NOW)
    assert (stands.state, stands.used_percent) == (state, percent)
    assert await budget.may_spend(db, tenant, NOW) == (state is not BudgetState.SPENT)
    await alerts_of(db).look()
    assert [kind for kind, _ in await kinds(db)] == alerts


async def test_a_money_budget_is_in_cents_and_what_has_no_price_counts_as_tokens_only(
    db: Database,
) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_budget_cents=10)
    await use(db, conversation, tokens(799_999), tokens(10**9, model="gpt-99"))
    assert (await budget.standing(db, tenant, NOW)).used_percent == 80.0, "0.0800 by rounding"
    await use(db, conversation, tokens(200_001))
    assert await state_of(db, tenant) is BudgetState.SPENT
    tenant = await tenant_of(db, conversation, monthly_budget_cents=20)
    assert await state_of(db, tenant) is BudgetState.OK
    tenant = await tenant_of(db, conversation, monthly_token_budget=10**9)
    assert await state_of(db, tenant) is BudgetState.SPENT, "the worse of the two"


async def test_without_a_budget_the_database_is_not_even_asked(db: Database) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation)
    away = Database(NOWHERE)
    assert await budget.may_spend(away, tenant, NOW)
    assert away.failed_at == -math.inf
    assert await state_of(db, tenant) is BudgetState.UNLIMITED
    await away.close()


async def test_a_budget_of_0_allows_no_model_at_all(db: Database) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=0)
    assert not await budget.may_spend(db, tenant, NOW)
    assert (await budget.standing(db, tenant, NOW)).used_percent == 100.0


async def test_what_this_process_writes_is_seen_at_once(db: Database) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=10)
    for used in range(10):
        assert (await budget.standing(db, tenant, NOW)).sums.tokens == used
        await use(db, conversation, tokens(1))
    assert not await budget.may_spend(db, tenant, NOW)


async def test_a_call_does_not_wait_for_a_database_that_is_away(db: Database) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=10)
    away = Database(NOWHERE)
    try:
        assert await budget.may_spend(away, tenant, NOW)
    finally:
        await away.close()


async def test_a_call_does_not_wait_for_a_database_that_says_nothing(db: Database) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=0)
    with listen() as silent:  # it takes connections, and never a word
        host, port = silent.getsockname()
        asleep = Database(f"postgresql+asyncpg://nobody@{host}:{port}/nothing")
        async with asyncio.timeout(budget.MOST_SECONDS + 2):  # on a busy machine
            assert await budget.may_spend(asleep, tenant, NOW)
        await asleep.close()


async def test_a_budget_that_takes_too_long_to_add_up_ends_all_the_same(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=10)
    await use(db, conversation, tokens(10))
    monkeypatch.setattr(budget, "MOST_SECONDS", 0)
    assert await budget.may_spend(db, tenant, NOW), "nothing is known of it yet"

    async def is_spent() -> bool:
        return not await budget.may_spend(db, tenant, NOW)

    await until(is_spent)
    for _ in range(3):
        await use(db, conversation, tokens(1))
        assert await is_spent(), "while the new sum is not there, the last one counts"


async def test_many_looks_at_once_add_up_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MOST_SECONDS", 30)
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=10)
    await use(db, conversation, tokens(10))
    with statements_of(db) as seen:
        looks = [budget.may_spend(db, tenant, NOW) for _ in range(20)]
        assert not any(await asyncio.gather(*looks))
    assert len([one for one in seen if "usage_logs" in one]) == 1


async def test_what_is_known_of_a_month_holds_while_the_database_is_away(db: Database) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=10)
    await use(db, conversation, tokens(10))
    assert await state_of(db, tenant) is BudgetState.SPENT
    await use(db, conversation, tokens(1))
    away = Database(NOWHERE)
    try:
        assert not await budget.may_spend(away, tenant, NOW)
        assert await budget.may_spend(away, tenant, NOW + timedelta(days=31)), "another month"
    finally:
        await away.close()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Riyadh"])
async def test_the_next_month_begins_with_the_whole_budget_at_midnight_there(
    db: Database, zone: str
) -> None:
    conversation = await call(db)
    tenant = await tenant_of(db, conversation, monthly_token_budget=10, timezone=zone)
    midnight = {
        "America/New_York": datetime(2026, 12, 1, 5, tzinfo=UTC),
        "Asia/Riyadh": datetime(2026, 11, 30, 21, tzinfo=UTC),
    }[zone]
    moment = timedelta(seconds=1)
    await use(db, conversation, tokens(10), at=midnight - moment)
    assert await state_of(db, tenant, midnight - moment) is BudgetState.SPENT
    assert await state_of(db, tenant, midnight) is BudgetState.OK
    await use(db, conversation, tokens(8), at=midnight)
    assert await state_of(db, tenant, midnight) is BudgetState.WARNING
    await alerts_of(db, midnight - moment).look()
    await alerts_of(db, midnight).look()
    assert await kinds(db) == [
        ("budget_80", "2026-11"),
        ("budget_100", "2026-11"),
        ("budget_80", "2026-12"),
    ]


async def test_each_alert_is_raised_once_in_a_month_however_many_processes_look(
    db: Database,
) -> None:
    conversation = await call(db)
    await tenant_of(db, conversation, monthly_token_budget=10_000)
    await _listen(db, conversation)
    others = [Database(db.url) for _ in range(3)]
    try:
        for _ in range(13):  # 80 % are crossed once, 100 % once, with everybody looking
            await asyncio.gather(*(use(one, conversation, tokens(250)) for one in (db, *others)))
            await asyncio.gather(*(alerts_of(one).look() for one in (db, *others) * 2))
    finally:
        for other in others:
            await other.close()
    assert await kinds(db) == [("budget_80", "2026-11"), ("budget_100", "2026-11")]
    events = await all_of(db, OutboxEvent)
    assert sorted(event.type for event in events) == ["budget.alert", "budget.exhausted"]
    (warned,) = [event.payload for event in events if event.type == "budget.alert"]
    assert warned["month"] == "2026-11" and warned["token_budget"] == 10_000
    assert 80 <= warned["used_percent"] < 100
    told = [row for row in await all_of(db, Message) if row.purpose == Purpose.STAFF]
    assert {row.recipient for row in told} == {STAFF}
    assert len(told) == 2 and sum("no AI model is asked" in row.body for row in told) == 1


async def test_a_running_process_tells_by_itself(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ivr.leads.attention.budget_alerts.LOOK_SECONDS", 0.01)
    conversation = await call(db)
    await tenant_of(db, conversation, monthly_token_budget=10)
    async with BudgetAlerts.open(db, load_profile, settings_for(db.url)):
        await use(db, conversation, tokens(9), at=utc_now())

        async def is_told() -> bool:
            return bool(await all_of(db, Alert))

        await until(is_told)
    assert [kind for kind, _ in await kinds(db)] == ["budget_80"]


async def test_what_a_dead_process_did_not_tell_is_told_by_the_next(db: Database) -> None:
    conversation = await call(db)
    await tenant_of(db, conversation, monthly_token_budget=10)
    await use(db, conversation, tokens(10))
    budget.changed()  # with the process it is forgotten
    assert await alerts_of(db).look(budget.changed()) == 0
    assert await alerts_of(db).look() == 2
    assert await alerts_of(db).look() == 0


async def _listen(db: Database, conversation: Conversation) -> None:
    async with db.write() as session:
        session.add(
            WebhookEndpoint(
                tenant_id=conversation.tenant_id,
                url="https://crm.example/events",
                secret="whsec_c2VjcmV0",
                created_at=NOW,
            )
        )
