"""The database goes away in the middle of a call, for a few seconds: nothing is lost."""

from typing import Any

import pytest
import structlog

from ivr import conversations, turns
from ivr.db import engine
from ivr.turns import TurnWriter
from ivr.voice import endpoints
from tests.calls.world import GRACE, short, talk_through, words, world
from tests.db.wire import wire_to
from tests.leads.cast import until

SCENARIO = short()


async def test_the_end_of_a_call_is_written_again_until_it_stands(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_SECONDS", 0.01)
    failures, real = [True, True, True], conversations.stream_closed

    async def stream_closed(*args: Any, **facts: Any) -> None:
        if failures:
            failures.pop()
            raise ConnectionRefusedError
        await real(*args, **facts)

    monkeypatch.setattr(conversations, "stream_closed", stream_closed)
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await talk_through(call, SCENARIO)
        page = await w.finished(call)
    assert page.conversation is not None
    assert (page.conversation.end_reason, page.conversation.streaming) == ("complete", False)


async def test_the_end_of_a_call_is_written_even_if_its_last_words_cannot_be(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close(writer: TurnWriter) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(TurnWriter, "close", close)
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await talk_through(call, SCENARIO)
        page = await w.finished(call)
    assert page.conversation is not None
    assert page.conversation.end_reason == "complete"


# It takes some seconds: Twilio could tell nobody that the call is over, so time has to tell.
async def test_turns_and_the_end_of_a_call_outlast_an_outage(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (turns, engine):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    with wire_to(postgres_url) as (wire, url):
        async with world(url, scenario=SCENARIO, episode_grace_seconds=GRACE) as w:
            with structlog.testing.capture_logs() as logs:
                call = await w.ring()
                await talk_through(call, SCENARIO, turns=1)
                await call.quiet()
                await w.until_page(call, lambda page: len(page.turns) == 3)
                wire.cut()
                monkeypatch.setattr(endpoints, "ANSWER_SECONDS", 0.2)  # sorry, call again
                await call.play(words("30093"))
                await call.ended()
                await until(lambda: str(logs).count("turns not written yet") > 3)
                wire.mend()
                page = await w.finished(call)
                conversation = page.conversation

    assert [(turn.role, turn.text) for turn in page.turns] == [
        ("assistant", "May I have your full name?"),
        ("user", "John Doe"),
        ("assistant", "What is your ZIP code?"),
        ("user", "30093"),
        ("assistant", "Goodbye!"),
    ]
    assert "tool failed" in str(logs), "nothing is called saved that is not"
    assert conversation is not None
    assert (conversation.end_reason, conversation.streaming) == ("complete", False)
    assert page.succeeded is not None
