"""Usage is written down once, with the thing that used it, and stands with its lead."""

import asyncio
from contextlib import suppress

from ivr.costs import summary, text, usage
from ivr.costs.text import Request
from ivr.db import Database
from ivr.db.tables import Contact, Lead, UsageLog
from ivr.leads.people import merging
from ivr.leads.profile import load_profile
from ivr.vendors.llm import Usage
from tests.costs.cast import all_of, tokens, use
from tests.leads.cast import NOW, call


async def test_a_row_has_its_tenant_conversation_lead_tokens_and_price(db: Database) -> None:
    conversation = await call(db)
    await use(db, conversation, tokens(1_000_000, key="a"))
    (row,) = await all_of(db, UsageLog)
    assert (row.tenant_id, row.conversation_id) == (conversation.tenant_id, conversation.id)
    assert row.lead_id == conversation.lead_id
    assert (row.kind, row.purpose, row.provider, row.model) == (
        "text",
        "reply",
        "openai",
        "gpt-6-luna",
    )
    assert (row.tokens, row.cost_micros, row.quantities) == (
        1_000_000,
        100_000,
        {"input_tokens": 1_000_000},
    )
    assert (row.source_key, row.at) == ("a", NOW)


async def test_the_same_thing_again_is_not_written_twice(db: Database) -> None:
    conversation = await call(db)
    assert await use(db, conversation, tokens(5, key="a"), tokens(6, key="b"))
    assert not await use(db, conversation, tokens(5, key="a"), tokens(6, key="b"))
    assert await use(db, conversation, tokens(5, key="a"), tokens(7, key="c"))
    assert [row.tokens for row in await all_of(db, UsageLog)] == [5, 6, 7]


async def test_of_two_who_write_the_same_at_once_one_does(db: Database) -> None:
    conversation = await call(db)
    other = Database(db.url)
    try:
        written = await asyncio.gather(
            *(use(one, conversation, tokens(5, key="a")) for one in (db, other) * 4)
        )
    finally:
        await other.close()
    assert sorted(written) == [False] * 7 + [True]
    assert len(await all_of(db, UsageLog)) == 1


async def test_what_is_undone_was_not_used(db: Database) -> None:
    conversation = await call(db)
    with suppress(ZeroDivisionError):
        async with db.write() as session:
            whose = conversation.tenant_id, conversation.id
            await usage.note(session, *whose, [tokens(5)], now=NOW)
            raise ZeroDivisionError
    assert await all_of(db, UsageLog) == []


async def test_an_unknown_price_is_null_and_nothing_used_leaves_no_row(db: Database) -> None:
    conversation = await call(db)
    await use(db, conversation, tokens(9, model="gpt-99"), tokens(0))
    (row,) = await all_of(db, UsageLog)
    assert (row.tokens, row.cost_micros) == (9, None)


async def test_a_lead_costs_what_its_conversations_do(db: Database) -> None:
    one, other = await call(db, sid="CA1"), await call(db, sid="CA2")
    assert one.lead_id == other.lead_id
    await use(db, one, tokens(1_000_000), tokens(3, model="gpt-99"))
    await use(db, other, tokens(500_000))
    used = await all_of(db, UsageLog)
    lead = summary.of_rows(row for row in used if row.lead_id == one.lead_id)
    first = summary.of_rows(row for row in used if row.conversation_id == one.id)
    assert (lead.tokens, lead.usd, lead.unpriced) == (1_500_003, "0.150000", 1)
    assert (first.tokens, first.cost_micros, first.unpriced) == (1_000_003, 100_000, 1)


async def test_usage_follows_its_lead_when_two_become_one_and_back(db: Database) -> None:
    kept = await call(db, sid="CA1", caller="+17705550123")
    gone = await call(db, sid="CA2", caller="+17705550124")
    await use(db, kept, tokens(1))
    await use(db, gone, tokens(20))
    async with db.write() as session:
        contacts = [
            await session.get_one(Contact, (await session.get_one(Lead, it.lead_id)).contact_id)
            for it in (kept, gone)
        ]
        record = await merging.merge(session, *contacts, reason="one person", now=NOW)
        assert record is not None
    leads = {row.lead_id for row in await all_of(db, UsageLog)}
    assert len(leads) == 1
    # What is written for the conversation from now on is the one lead's as well.
    await use(db, gone, tokens(300))
    assert {row.lead_id for row in await all_of(db, UsageLog)} == leads
    async with db.write() as session:
        await merging.split(session, kept.tenant_id, record.id, load_profile, now=NOW)
    by_lead = {row.tokens: row.lead_id for row in await all_of(db, UsageLog)}
    assert (by_lead[1], by_lead[20]) == (kept.lead_id, gone.lead_id)


async def test_requests_for_one_thing_are_a_row_for_each_purpose_and_model() -> None:
    def request(purpose: str, model: str, **used: int) -> Request:
        return Request(purpose=purpose, provider="openai", model=model, usage=Usage(**used))

    found = text.rows(
        [
            request("route", "small", input_tokens=10, output_tokens=1),
            request("reply", "large", input_tokens=100, cached_tokens=60, output_tokens=5),
            request("reply", "large", input_tokens=120, cache_write_tokens=20, output_tokens=7),
        ],
        key="answer:1",
    )
    assert [(it.purpose, it.model, it.tokens) for it in found] == [
        ("route", "small", 11),
        ("reply", "large", 232),
    ]
    assert found[1].quantities == {
        "input_tokens": 140,
        "cached_input_tokens": 60,
        "cache_write_tokens": 20,
        "output_tokens": 12,
    }
    assert len({it.key for it in found}) == 2
