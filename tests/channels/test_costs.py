"""Written conversations: what their answers and messages cost, and what happens when it is spent
(S2.33, S2.36, S2.39).
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ivr.db.tables import Channel, Conversation, Tenant, UsageLog
from tests.channels.test_model import ALL, MIND
from tests.channels.test_web_form import COMPLETE
from tests.channels.world import ANSWERS, JOHN, World, world
from tests.leads.cast import LEAD, rows, until
from tools.emulators.openai import OpenAIEmulator
from tools.scenarios import load

CHANNELS = ("sms", "whatsapp", "chat", "live_chat", "web_form")


@asynccontextmanager
async def with_model(url: str, **limits: int) -> AsyncIterator[tuple[World, OpenAIEmulator]]:
    """A served business with a model, and with these budgets."""
    async with OpenAIEmulator(load("john_doe")) as openai:
        openai.think(MIND)
        key = {"openai_api_key": openai.api_key, "openai_base_url": openai.base_url}
        async with world(url, **key) as w:
            await limit(w, **limits)
            yield w, openai


async def limit(w: World, **limits: int | None) -> Tenant:
    (tenant,) = await rows(w.db, Tenant)
    async with w.db.write() as session:
        row = await session.get_one(Tenant, tenant.id)
        for name, value in limits.items():
            setattr(row, name, value)
        return row


async def month_of(w: World) -> Any:
    (tenant,) = await rows(w.db, Tenant)
    answer = await w.http.get(f"/api/v1/clients/{tenant.id}/usage")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def write(w: World, channel: str, texts: Sequence[str]) -> None:
    """Say all this on a channel, waiting for each answer."""
    if channel in Channel.by_message():
        john = w.texter(whatsapp=channel == "whatsapp")
        for words in texts:
            await w.reply_to(john, words)
        return
    door = "/chat" if channel == "chat" else f"/webhooks/{channel.replace('_', '-')}"
    for words in texts:
        response = await w.http.post(door, json={"message": words, "session_id": "visitor-1"})
        assert response.status_code == 200, response.text


async def test_the_rows_of_texts_and_answers_sum_to_what_the_endpoint_says(
    database_url: str,
) -> None:
    async with with_model(database_url) as (w, openai):
        for channel in ("sms", "chat"):
            await write(w, channel, ["Hi there", ALL])
        await w.submitted()
        await until(lambda: len(w.twilio.messages) == 2)
        await _all_read(w)
        used = await rows(w.db, UsageLog)
        shown = await month_of(w)
        talks = {row.id: row for row in await rows(w.db, Conversation)}

    for row in used:
        assert row.lead_id == talks[row.conversation_id].lead_id
    assert {row.purpose for row in used} == {"reply", "route", "extract", "in", "out"}
    assert shown["tokens"] == sum(row.tokens for row in used) > 0
    assert shown["cost_micros"] == sum(row.cost_micros or 0 for row in used) > 0
    assert shown["unpriced"] == 0
    assert (shown["messages_in"], shown["messages_out"]) == (2, 2)
    assert shown["segments"] == sum(row.quantities.get("segments", 0) for row in used)
    for name, key in (("by_kind", "kind"), ("by_purpose", "purpose"), ("by_model", "model")):
        tokens, micros = Counter[str](), Counter[str]()
        for row in used:
            tokens[getattr(row, key)] += row.tokens
            micros[getattr(row, key)] += row.cost_micros
        assert {it[key]: it["tokens"] for it in shown[name]} == dict(tokens)
        assert {it[key]: it["cost_micros"] for it in shown[name]} == dict(micros)
    (day,) = shown["by_day"]
    assert (day["tokens"], day["cost_usd"]) == (shown["tokens"], shown["cost_usd"])
    whole, _, part = shown["cost_usd"].partition(".")
    assert int(whole) * 1_000_000 + int(part) == shown["cost_micros"]
    requests = [it for it in openai.requests if it["type"].startswith("POST")]
    assert len(requests) == sum(_requests(talk) for talk in talks.values()), "each was counted"


async def test_which_model_a_message_was_for_is_recorded(sqlite_url: str) -> None:
    async with with_model(sqlite_url) as (w, _):
        await write(w, "chat", ["Hi there", ALL])
        used = [row for row in await rows(w.db, UsageLog) if row.purpose in ("reply", "route")]
    by_model = {(row.purpose, row.model) for row in used}
    assert ("reply", "gpt-6-luna") in by_model, "the small one answers what is simple"
    assert ("route", "gpt-6-luna") in by_model


async def test_a_message_that_comes_twice_is_paid_for_once(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter()
        letter = john.letter("Hello")
        for _ in range(3):
            await john.post(letter)
        await until(lambda: len(john.received) == 1)

        async def both_are_noted() -> bool:
            return len(await rows(w.db, UsageLog)) == 2

        await until(both_are_noted)
        await john.post(letter)
        used = await rows(w.db, UsageLog)
    assert sorted((row.purpose, row.model) for row in used) == [
        ("in", "sms-in-us"),
        ("out", "sms-out-us"),
    ]
    assert {row.cost_micros for row in used} == {8_300 * row.quantities["segments"] for row in used}


@pytest.mark.parametrize("channel", CHANNELS)
async def test_with_a_spent_budget_the_lead_is_whole_and_no_model_is_asked(
    database_url: str, channel: str
) -> None:
    async with with_model(database_url, monthly_token_budget=0) as (w, openai):
        if channel == "web_form":
            response = await w.http.post("/webhooks/web-form", json=COMPLETE)
            assert response.json()["response"]
        else:
            said = ANSWERS if channel in Channel.by_message() else _with_number()
            await write(w, channel, said)
        books = await w.submitted()
        await _all_read(w)
        shown = await month_of(w)
    (lead,) = books.succeeded
    assert (lead.channel, lead.lead_data) == (channel, LEAD)
    assert list(openai.requests) == []
    assert shown["budget"]["state"] == "spent" and shown["tokens"] == 0


async def test_money_that_is_spent_in_the_middle_of_a_chat_ends_the_models_part_only(
    sqlite_url: str,
) -> None:
    async with with_model(sqlite_url, monthly_budget_cents=1) as (w, openai):
        await write(w, "chat", ["Hi there"])
        before = len(openai.requests)
        assert before > 0
        await limit(w, monthly_budget_cents=0)
        await write(w, "chat", _with_number())
        books = await w.submitted()
        assert len(openai.requests) == before
    (lead,) = books.succeeded
    assert lead.lead_data == LEAD


async def test_nobody_is_written_to_first_while_the_budget_is_spent(sqlite_url: str) -> None:
    """A person does it: the missed call leaves a task for them."""
    async with world(sqlite_url) as w:
        await limit(w, monthly_budget_cents=0)
        call = {"phone": JOHN, "called": "+18005551212"}
        response = await w.http.post("/webhooks/missed-call", json=call)
        assert response.status_code == 200, response.text

        async def is_decided() -> bool:
            return all(it.state == "blocked" for it in await w.messages()) and bool(
                await w.messages()
            )

        await until(is_decided)
        (message,) = await w.messages()
        assert message.error == "the budget of the month is spent"
    assert len(w.twilio.messages) == 0


def _with_number() -> list[str]:
    """The answers of who writes where nobody sees a number."""
    return [*ANSWERS[:3], "770 555 0123", *ANSWERS[4:]]


def _requests(talk: Conversation) -> int:
    return sum(talk.usage.get(part, {}).get("requests", 0) for part in ("text", "extraction"))


async def _all_read(w: World) -> None:
    """Wait until the road has been through all that is over, and every message is noted."""

    async def is_done() -> bool:
        over = [it for it in await rows(w.db, Conversation) if it.ended_at is not None]
        noted = [it for it in await rows(w.db, UsageLog) if it.kind == "message"]
        return all(it.finished_at for it in over) and len(noted) == len(await w.messages())

    await until(is_done)
