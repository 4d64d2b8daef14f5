"""A month's budget that is spent: the phone is answered, the lead is whole, no model is asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ivr.costs import budget
from ivr.db.tables import Conversation, Tenant, UsageLog, utc_now
from tests.calls.test_model_faults import ALL, assert_delivered
from tests.calls.world import World, brisk, by_gather, short, talk_through, words, world
from tests.costs.cast import tokens, use
from tests.leads.cast import rows, until

SCENARIO = brisk()


@asynccontextmanager
async def spent(database_url: str, **changes: Any) -> AsyncIterator[World]:
    """A world whose business has used up what it allows itself."""
    async with world(database_url, scenario=SCENARIO, **changes) as w:
        await budget_of(w, monthly_token_budget=0)
        yield w


async def budget_of(w: World, **limits: int | None) -> None:
    (tenant,) = await rows(w.db, Tenant)
    async with w.db.write() as session:
        row = await session.get_one(Tenant, tenant.id)
        for name, limit in limits.items():
            setattr(row, name, limit)


def asked(w: World) -> int:
    """How often a model was asked for anything."""
    return len(w.openai.upgrades) + len(w.openai.requests)


async def test_a_call_is_taken_down_by_the_keypad_road_and_no_model_is_asked(
    database_url: str,
) -> None:
    async with spent(database_url) as w:
        call = await w.ring()
        assert "Thank you for calling" in await call.said("first and last name")
        await by_gather(call, ALL)
        await assert_delivered(w, call)
        assert asked(w) == 0
        await until(lambda: not w.live)
        used = await rows(w.db, UsageLog)
    assert {row.purpose for row in used} <= {"call", "listening"}, "the line itself is paid for"


async def test_no_model_is_asked_either_where_the_month_takes_too_long_to_add_up(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "MOST_SECONDS", 0)
    async with world(sqlite_url, scenario=SCENARIO) as w:
        await budget_of(w, monthly_token_budget=10)
        first = await w.ring()
        await first.quiet()
        await first.hang_up()
        await w.finished(first)
        (tenant,), (conversation,) = await rows(w.db, Tenant), await rows(w.db, Conversation)
        await use(w.db, conversation, tokens(10), at=utc_now())

        async def is_spent() -> bool:
            return not await budget.may_spend(w.db, tenant, utc_now())

        await until(is_spent)
        await use(w.db, conversation, tokens(1), at=utc_now())
        second = await w.ring()
        assert await second.said("first and last name")
        await second.hang_up()
        await until(lambda: not w.live)
    assert w.openai.upgrades == [101], "of the first call, while nothing was known"


async def test_a_call_under_way_is_brought_to_its_end_by_the_voice(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        call = await w.ring()
        await talk_through(call, w.scenario, turns=1)
        await budget_of(w, monthly_token_budget=0)
        for turn in w.scenario.turns[1:]:
            if turn.caller:
                await call.quiet()
                await call.play(words(turn.caller))
        assert await call.ended() == "completed"
        page = await w.finished(call)
    assert w.openai.upgrades == [101]
    assert page.conversation is not None and page.conversation.usage["extraction"]["requests"] == 0
    assert page.conversation.end_reason == "complete"


async def test_with_the_next_month_or_a_larger_budget_the_voice_is_back(sqlite_url: str) -> None:
    async with spent(sqlite_url) as w:
        first = await w.ring()
        assert await first.said("first and last name")
        await first.hang_up()
        await budget_of(w, monthly_token_budget=1_000_000)
        second = await w.ring()
        await second.quiet()
        await second.hang_up()
        await w.finished(second)
    assert w.openai.upgrades == [101]
