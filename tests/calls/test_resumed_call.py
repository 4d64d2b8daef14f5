"""The stream of a call is lost, the call is not: it goes on in a new one, where it was."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from websockets.asyncio.client import ClientConnection

from ivr.db import engine
from ivr.db.tables import Conversation
from ivr.voice import stream_token
from ivr.voice.reception import MOST_STREAMS
from tests.calls.world import PUBLIC, Books, World, brisk, talk_through, words, world
from tests.leads.cast import until
from tools.emulators.twilio import Call
from tools.scenarios import Scenario

SCENARIO = brisk(extraction={})
LEAD = dict(SCENARIO.expect.lead)
SORRY = "Sorry, we were cut off."
PHONE_WANTED = f"{SORRY} You were giving me the phone number."


async def two_answers(w: World) -> Call:
    """Ring, and tell name and ZIP code; the third question was heard."""
    call = await w.ring()
    await talk_through(call, w.scenario, turns=2)
    await call.quiet()
    await until(lambda: _are_written(w, call, 5))
    return call


async def _are_written(w: World, call: Call, turns: int) -> bool:
    return len((await w.page(call)).turns) >= turns


async def go_on(call: Call, scenario: Scenario, *, answered: int) -> None:
    """Give the answers that are left."""
    for turn in scenario.turns[answered:]:
        if turn.caller:
            await call.quiet()
            await call.play(words(turn.caller))


async def assert_delivered(w: World, call: Call) -> Books:
    """The call ended well, and its one lead went out once, complete."""
    assert await call.ended() == "completed"
    page = await w.finished(call)
    assert page.succeeded is not None and page.succeeded.lead_data == LEAD
    assert len(w.npa.requests) == 1
    books = await w.books()
    assert [(s.state, s.attempts) for s in books.submissions] == [("succeeded", 1)]
    assert [(c.status, c.episode, c.streaming) for c in books.conversations] == [
        ("finished", 1, False)
    ]
    assert len(books.leads) == 1
    return books


async def test_a_call_outlives_the_server_and_goes_on_where_it_was(database_url: str) -> None:
    async with world(database_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        await w.stop()
        await w.start()
        await call.stream(2)
        await go_on(call, SCENARIO, answered=2)
        books = await assert_delivered(w, call)

    assert books.conversations[0].streams == 2
    asked = [turn.assistant for turn in SCENARIO.turns]
    said = [turn.caller for turn in SCENARIO.turns]
    before = [asked[0], said[0], asked[1], said[1], asked[2]]
    turns = sorted(books.turns, key=lambda turn: turn.position)
    assert [turn.text for turn in turns][:7] == [*before, PHONE_WANTED, said[2]]
    assert [turn.position for turn in turns] == list(range(len(turns)))
    assert books.values_of("full_name") == ["John Doe"], "known values are not asked for again"
    assert call.sayings == [], "no other voice was needed"


async def test_the_new_stream_is_told_what_was_said_and_what_is_known(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        await call.lose_stream()
        model = await w.openai.session(1)
        created = await model.received_event("response.create", within=10)
        replayed = [event["item"] for event in model.received.of("conversation.item.create")]
        instructions = model.config.view["instructions"]
        await call.hang_up()
        await w.finished(call)

    assert [(item["role"], item["content"][0]["text"]) for item in replayed] == [
        ("assistant", SCENARIO.turns[0].assistant),
        ("user", "John Doe"),
        ("assistant", SCENARIO.turns[1].assistant),
        ("user", "30093"),
        ("assistant", SCENARIO.turns[2].assistant),
    ]
    assert 'zip_code = "30093"' in instructions
    assert created["response"]["instructions"].endswith(PHONE_WANTED)


async def test_a_stream_that_breaks_under_a_caller_is_followed_by_another(
    database_url: str,
) -> None:
    async with world(database_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        await call.lose_stream()
        await call.stream(2)
        await go_on(call, SCENARIO, answered=2)
        await assert_delivered(w, call)


@pytest.mark.parametrize("how", ["after", "together"])
async def test_a_repeated_webhook_opens_no_second_stream(sqlite_url: str, how: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        w.twilio.faults.duplicate_webhook = how
        await call.lose_stream()
        await call.stream(2)
        w.twilio.faults.duplicate_webhook = False
        await go_on(call, SCENARIO, answered=2)
        books = await assert_delivered(w, call)
    assert len(call.streams) == books.conversations[0].streams == 2
    assert call.sayings == []


async def test_a_call_that_keeps_losing_its_stream_is_handed_to_gather_and_stays_there(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        for lost in range(1, MOST_STREAMS):
            await call.lose_stream()
            await call.stream(lost + 1)
            await call.quiet()
        await call.lose_stream()
        assert await call.said(SORRY)
        again = await _ask_after(w, call)
        await call.hang_up()
        page = await w.finished(call)
    assert "<Gather" in again and "<Stream" not in again
    assert page.conversation is not None and page.conversation.streams == MOST_STREAMS
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"
    assert len(w.npa.requests) == 1


async def _ask_after(w: World, call: Call) -> str:
    fields = {**call.webhooks[-1].fields, "CallStatus": "in-progress"}
    answer = await w.twilio.account.webhooks.send(f"{PUBLIC}/twilio/voice/after", fields)
    return answer.body.decode()


async def test_a_new_stream_that_never_opens_is_not_offered_for_ever(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        w.twilio.faults.wrong_signature = "stream"
        await call.lose_stream()
        assert await call.said(SORRY)
        await call.hang_up()
        await w.finished(call)
    assert len(call.streams) == 3


async def test_a_server_that_stops_before_the_first_stream_has_begun_costs_nobody_the_voice(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        dial = w.twilio.account.dial_stream

        async def dial_into_a_deploy(url: str, **options: Any) -> ClientConnection:
            monkeypatch.undo()
            socket = await dial(url, **options)
            await w.stop()  # nothing was sent yet, the token neither
            await w.start()
            return socket

        monkeypatch.setattr(w.twilio.account, "dial_stream", dial_into_a_deploy)
        call = await w.ring()
        await call.quiet()
        await call.hang_up()
        page = await w.finished(call)

    assert page.conversation is not None
    assert (len(call.streams), page.conversation.streams) == (2, 1)
    assert page.turns[0].text == SCENARIO.turns[0].assistant
    assert call.sayings == [], "no other voice was needed"


async def test_a_stream_that_opens_while_the_database_is_down_for_a_moment_is_carried(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_SECONDS", 0.01)
    failures, real = [True, True, True], stream_token.redeem

    async def redeem(*args: Any, **facts: Any) -> Conversation | None:
        if failures:
            failures.pop()
            raise ConnectionRefusedError
        return await real(*args, **facts)

    monkeypatch.setattr(stream_token, "redeem", redeem)
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await call.quiet()
        await call.hang_up()
        await w.finished(call)
    assert failures == []
    assert len(call.streams) == 1


async def test_a_caller_who_was_cut_off_before_a_word_was_said_is_greeted(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        w.openai.faults.silent = True
        call = await w.ring()
        await (await w.openai.session()).received_event("session.update")
        w.openai.faults.silent = False
        await call.lose_stream()
        await call.stream(2)
        await go_on(call, SCENARIO, answered=0)
        books = await assert_delivered(w, call)
    assert SORRY not in " ".join(turn.text for turn in books.turns)


async def test_a_call_that_has_lasted_long_enough_is_not_taken_up_again(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        async with w.db.write() as session:
            row = (await w.page(call)).conversation
            assert row is not None
            earlier = row.started_at - timedelta(seconds=w.settings.max_call_seconds)
            await session.exec(update(Conversation).values(started_at=earlier))
        await call.lose_stream()
        assert await call.said("Goodbye!")
        assert await call.ended() == "completed"
        page = await w.finished(call)
    assert len(call.streams) == 1
    assert page.succeeded is not None
    assert page.conversation is not None and page.conversation.end_reason == "length_cap"


async def test_who_had_told_everything_is_only_said_goodbye_to(sqlite_url: str) -> None:
    last = replace(SCENARIO.turns[-1], assistant="Please do stay on the line. " * 9 + "Goodbye!")
    scenario = replace(SCENARIO, turns=(*SCENARIO.turns[:-1], last))
    async with world(sqlite_url, scenario=scenario) as w:
        call = await w.ring()
        await talk_through(call, scenario)
        await until(lambda: _knows(w, "vehicle_model"))
        await call.lose_stream()
        await call.stream(2)
        books = await assert_delivered(w, call)
    assert books.turns[-1].text.startswith(f"{SORRY} Thank you.")


async def _knows(w: World, name: str) -> bool:
    return bool((await w.books()).values_of(name))
