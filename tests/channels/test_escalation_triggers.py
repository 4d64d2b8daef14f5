"""Each rule that hands a written conversation over, at its limit, through a real door."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ivr.db.tables import Escalation
from tests.channels.world import World, world
from tests.leads.cast import rows, until
from tools.emulators.openai import OpenAIEmulator, Say, by_message

DESK = "+18005550111"
UNSURE = "I think we buy those."


@asynccontextmanager
async def by_model(url: str, **table: Say) -> AsyncIterator[World]:
    """A world in which a model answers each of these messages so, and "Okay." to all others."""
    async with OpenAIEmulator() as openai:
        openai.think(by_message({text: [it] for text, it in table.items()}, default=Say("Okay.")))
        key = {"openai_api_key": openai.api_key, "openai_base_url": openai.base_url}
        async with world(url, staff_phone_number=DESK, **key) as w:
            yield w


async def talks_on(w: World, said: dict[str, Any]) -> None:
    """The assistant has the conversation as before, and nobody was told."""
    assert said["response"] and not said["with_person"]
    assert await rows(w.db, Escalation) == []
    assert w.texter(DESK).received == []


async def handed_over(w: World, said: dict[str, Any], trigger: str, reason: str) -> None:
    """A person has it: the contact and staff are told, and then there is silence."""
    assert "a person from our team" in said["response"] and said["with_person"]
    (row,) = await rows(w.db, Escalation)
    assert (row.trigger, row.state, row.reason) == (trigger, "open", reason)
    later = await w.chat("Hello?", conversation_id=said["conversation_id"])
    assert later["response"] == "" and later["with_person"]
    desk = w.texter(DESK)
    await until(lambda: len(desk.received) == 1)
    assert f"waits for you: {reason}." in desk.received[0]["body"]


async def test_a_model_that_is_unsure_hands_over_below_sixty_percent(database_url: str) -> None:
    answers = {
        "a boat": f"{UNSURE}\n[confidence: 0.60]",
        "a yacht": f"{UNSURE}\n[confidence: 0.59]",
    }
    async with by_model(database_url, **{text: Say(it) for text, it in answers.items()}) as w:
        sure = await w.chat("a boat")
        assert sure["response"] == UNSURE
        await talks_on(w, sure)
        unsure = await w.chat("a yacht", conversation_id=sure["conversation_id"])
        assert UNSURE not in unsure["response"]
        await handed_over(w, unsure, "low_confidence", "the assistant is unsure (0.59)")


async def test_a_model_that_is_unsure_hands_over_by_sms(sqlite_url: str) -> None:
    async with by_model(sqlite_url, yacht=Say(f"{UNSURE}\n[confidence: 0.59]")) as w:
        john, desk = w.texter(), w.texter(DESK)
        said = await w.reply_to(john, "yacht")
        await until(lambda: len(desk.received) == 1)
        await john.text("Hello?")
        await until(lambda: _is_all_read(w))
        (row,) = await rows(w.db, Escalation)
        conversation = await w.conversation("sms")
    assert "a person from our team" in said and len(john.received) == 1
    assert row.trigger == "low_confidence" and conversation.assistant_paused


async def _is_all_read(w: World) -> bool:
    return all(event.answered_at for event in (await w.books()).events)


async def test_a_budget_above_five_million_is_for_a_person(database_url: str) -> None:
    async with world(database_url, profile="real_estate", staff_phone_number=DESK) as w:
        modest = await w.chat("I want to buy a villa, my budget is 5 million SAR")
        assert modest["lead_data"]["budget"] == "5000000 SAR"
        await talks_on(w, modest)
        rich = await w.chat("I want to buy a villa, my budget is 6 million SAR")
        assert rich["lead_data"]["budget"] == "6000000 SAR"
        await handed_over(w, rich, "high_value", "worth more than 5,000,000 SAR")


async def test_a_budget_in_another_currency_is_not_taken_for_ours(sqlite_url: str) -> None:
    async with world(sqlite_url, profile="real_estate") as w:
        rupees = await w.chat("I want to buy a villa, my budget is 9 million PKR")
        assert rupees["lead_data"]["budget"] == "9000000 PKR"
        await talks_on(w, rupees)


async def test_the_twenty_first_exchange_is_for_a_person(sqlite_url: str) -> None:
    async with by_model(sqlite_url) as w:
        said = await w.chat("Hm")
        for _ in range(19):
            said = await w.chat("Hm", conversation_id=said["conversation_id"])
        assert said["turn_count"] == 20
        await talks_on(w, said)
        said = await w.chat("Hm", conversation_id=said["conversation_id"])
        await handed_over(w, said, "long_conversation", "more than 20 exchanges")


async def test_a_manager_is_a_word_for_a_person_and_a_travel_agent_is_none(
    database_url: str,
) -> None:
    async with world(database_url, staff_phone_number=DESK) as w:
        said = await w.chat("I am a travel agent")
        await talks_on(w, said)
        said = await w.chat("Is the manager in?", conversation_id=said["conversation_id"])
        await handed_over(w, said, "keyword", "said 'manager'")
