"""What Twilio tells twice, late or at once happens once."""

import asyncio
from typing import Literal

import pytest

from tests.calls.world import PUBLIC, brisk, read_books, short, talk_through, words, world


@pytest.mark.parametrize("when", ["after", "together"])
async def test_every_webhook_twice_is_one_call(
    database_url: str, when: Literal["after", "together"]
) -> None:
    async with world(database_url, scenario=short()) as w:
        w.twilio.faults.duplicate_webhook = when
        w.twilio.faults.status_twice = True
        call = await w.ring()
        await talk_through(call, w.scenario)
        assert await call.ended() == "completed"
        await w.finished(call)
    assert [exchange.status for exchange in call.webhooks] == [200] * len(call.webhooks)
    assert call.webhooks[0].body == call.webhooks[1].body, "both answers have the same token"
    books = await read_books(database_url)
    assert len(books.contacts) == len(books.leads) == len(books.conversations) == 1
    assert len(books.events) == 1
    assert [(s.state, s.attempts) for s in books.submissions] == [("succeeded", 1)]
    assert len(w.npa.requests) == 1
    assert w.openai.upgrades == [101]


@pytest.mark.parametrize("when", ["after", "together"])
async def test_every_answer_twice_on_the_road_without_a_model(
    database_url: str, when: Literal["after", "together"]
) -> None:
    """Twilio repeats a webhook whose answer it did not get; the caller gave that answer once."""
    async with world(database_url, scenario=brisk(extraction={}), door="/twilio/voice-ivr") as w:
        w.twilio.faults.duplicate_webhook = when
        call = await w.ring()
        await call.answer(speech="John Doe")
        await call.until(lambda: len(call.webhooks) >= 4, "the answer was told twice")
        await call.hang_up()
        await w.finished(call)
    books = await read_books(database_url)
    assert set(books.values_of("full_name")) == {"John Doe"}
    if when == "after":
        assert call.webhooks[0].body == call.webhooks[1].body
        assert call.webhooks[2].body == call.webhooks[3].body
        assert books.values_of("full_name") == ["John Doe"] and books.values_of("zip_code") == []
        assert [turn.text for turn in books.turns].count("John Doe") == 1
    assert len(w.npa.requests) == 1
    assert [(s.state, s.attempts) for s in books.submissions] == [("succeeded", 1)]


async def test_two_calls_of_one_person_at_once_are_one_lead(database_url: str) -> None:
    async with world(database_url, scenario=brisk(extraction={})) as w:
        first, second = await asyncio.gather(w.ring(), w.ring())
        await first.quiet()
        await second.quiet()
        await first.play(words("John Doe"))
        await first.quiet()
        await first.hang_up()
        await second.hang_up()
        await asyncio.gather(w.finished(first), w.finished(second))
    books = await read_books(database_url)
    assert len(books.contacts) == len(books.leads) == 1
    assert len(books.conversations) == 2
    assert len(books.succeeded) == len(w.npa.requests) == 1
    assert books.succeeded[0].lead_data["full_name"] == "John Doe"


async def test_a_ring_after_the_call_is_over_changes_nothing(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        call = await w.ring()
        await call.quiet()
        await call.hang_up()
        before = await w.finished(call)
        for _ in range(2):
            again = await w.twilio.account.webhooks.send(
                f"{PUBLIC}/twilio/voice-realtime-proxied", call.webhooks[0].fields
            )
            assert again.status == 200
        after = await w.page(call)
    assert after.conversation == before.conversation
    assert len((await read_books(sqlite_url)).submissions) == 1


async def test_one_person_who_calls_again_gets_a_new_lead_after_the_first_was_delivered(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        for _ in range(2):
            call = await w.ring()
            await talk_through(call, w.scenario)
            assert await call.ended() == "completed"
            await w.finished(call)
    books = await read_books(sqlite_url)
    assert len(books.contacts) == 1
    assert len(books.leads) == len(books.succeeded) == len(w.npa.requests) == 2
