"""The voice model is lost or replaced in the middle of a call: the conversation goes on."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest
import structlog

from ivr.voice.script import GO_ON
from tests.calls.conftest import Limit
from tests.calls.test_model_faults import CUT_OFF, REST, assert_delivered, two_answers
from tests.calls.world import Books, World, brisk, by_gather, talk_through, words, world
from tools.emulators.openai.event_log import Event
from tools.emulators.openai.session import Session
from tools.emulators.twilio import Call
from tools.scenarios import Scenario, load

log = structlog.get_logger(__name__)

SCENARIO = brisk(extraction={})
# Long enough to lose something in the middle.
GREETING = replace(SCENARIO, turns=(load("john_doe").turns[0], *SCENARIO.turns[1:]))
FAREWELL = replace(SCENARIO, turns=(*SCENARIO.turns[:-1], load("john_doe").turns[-1]))
ROWS = {"phone": 3}  # the caller's own, as saved, as confirmed; of other fields as saved
DEATHS = ["abort", "close", "expire"]
ANSWERS = [turn.caller for turn in SCENARIO.turns if turn.caller]


async def die(session: Session, death: str) -> None:
    """End the session's socket in one of the ways in which it can end."""
    result = getattr(session, death)()
    if isinstance(result, Awaitable):
        await result


async def tell_rest(call: Call, *, after: int) -> None:
    """Answer the questions that are left when `after` of them have been answered.

    The next one was heard already.
    """
    for number, answer in enumerate(ANSWERS[after:]):
        if number:
            await call.quiet()
        await call.play(words(answer))


def assert_undisturbed(books: Books, scenario: Scenario = SCENARIO) -> None:
    """Every turn is there once, in its order."""
    said = [turn.text for turn in books.turns]
    expected = [text for turn in scenario.turns for text in (turn.assistant, turn.caller) if text]
    assert said == expected
    assert len({turn.item_id for turn in books.turns}) == len(said)
    assert books.conversations[0].end_reason == "complete"


def assert_nothing_missed(books: Books, scenario: Scenario = SCENARIO) -> None:
    """All was said and heard once, in its order; one answer may be in two pieces."""
    said = "".join(turn.text for turn in books.turns)
    expected = "".join(turn.assistant + turn.caller for turn in scenario.turns)
    assert said.replace(" ", "") == expected.replace(" ", "")
    assert len({turn.item_id for turn in books.turns}) == len(books.turns)
    for name in SCENARIO.expect.lead:
        assert len(books.values_of(name)) == ROWS.get(name, 1), "every tool ran once"


def _has_called(event: Event, argument: str) -> bool:
    """Whether a response is done in which a function was called with this argument or field."""
    output = event["response"]["output"] if event["type"] == "response.done" else []
    return any(argument in item.get("arguments", "") for item in output)


def assert_all_closed(w: World) -> None:
    assert all(session.closed for session in w.openai.sessions)


@pytest.mark.parametrize("death", DEATHS)
async def test_a_session_that_ends_while_the_caller_is_to_speak_is_replaced(
    sqlite_url: str, death: str
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        await die(await w.openai.session(), death)
        await (await w.openai.session(1)).sent_event("session.updated")
        await tell_rest(call, after=2)
        books = await assert_delivered(w, call)
        assert_all_closed(w)
    assert_undisturbed(books)
    assert len(w.openai.sessions) == 2
    assert call.sayings == [], "no other voice was needed"


@pytest.mark.parametrize("answered", [1, 3, 5, 7])
async def test_a_session_that_dies_in_the_middle_of_a_word_is_replaced(
    sqlite_url: str, answered: int
) -> None:
    async with world(sqlite_url, scenario=FAREWELL) as w:
        w.openai.faults.sessions = 1
        call = await w.ring()
        await talk_through(call, w.scenario, turns=answered - 1)
        await call.quiet()
        w.openai.faults.abort = "mid_response"
        await call.play(words(ANSWERS[answered - 1]))
        await (await w.openai.session(1)).sent_event("response.done")
        if answered < len(ANSWERS):
            await call.quiet()
            await tell_rest(call, after=answered)
        books = await assert_delivered(w, call)
        assert_all_closed(w)
    assert_nothing_missed(books, FAREWELL)
    assert call.sayings == []


async def test_a_session_that_dies_in_the_middle_of_the_greeting_is_replaced(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=GREETING, pace=2) as w:
        call = await w.ring()
        await call.hears(1000)
        (await w.openai.session()).abort()
        lost_at = asyncio.get_running_loop().time()
        second = await w.openai.session(1)
        await second.sent_event("response.output_audio.delta")
        without_voice_s = asyncio.get_running_loop().time() - lost_at
        await second.sent_event("response.done")
        await call.quiet()
        await tell_rest(call, after=0)
        books = await assert_delivered(w, call)
    log.info("the caller was without a voice", ms=round(without_voice_s * 1000))
    assert any(GO_ON in str(event) for event in second.received)
    assert_nothing_missed(books, GREETING)


async def test_a_session_that_dies_while_a_tool_runs_leaves_its_result_to_the_next(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        first = await w.openai.session()
        async with w.db.write():  # nobody can save anything now
            await call.play(words(ANSWERS[2]))
            await first.sent.first(lambda event: _has_called(event, "phone"))
            first.abort()
            await (await w.openai.session(1)).sent_event("session.updated")
        await call.quiet()
        await tell_rest(call, after=3)
        books = await assert_delivered(w, call)
        assert_all_closed(w)
    assert_nothing_missed(books)


async def test_a_session_that_dies_after_its_goodbye_is_not_replaced(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=FAREWELL) as w:
        call = await w.ring()
        await talk_through(call, w.scenario)
        session = await w.openai.session()
        await session.sent.first(lambda event: _has_called(event, "reason"))
        last = [item.view["call_id"] for item in session.items if "call_id" in item.view][-1]
        await session.wait(lambda event: event.get("item", {}).get("call_id") == last)
        session.abort()
        books = await assert_delivered(w, call)
    assert_undisturbed(books, FAREWELL)
    assert len(w.openai.sessions) == 1


@pytest.mark.parametrize("death", DEATHS)
async def test_two_losses_leave_the_call_to_gather_with_the_fields_kept(
    sqlite_url: str, death: str
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        for number in (0, 1):
            session = await w.openai.session(number)
            await session.sent_event("session.updated")
            await die(session, death)
        assert await call.said(CUT_OFF)
        await by_gather(call, REST)
        books = await assert_delivered(w, call)
        assert_all_closed(w)
    assert books.values_of("full_name") == ["John Doe"], "known values are not asked for again"
    texts = [turn.text for turn in books.turns]
    assert texts[3] == "30093" and texts[5].startswith(CUT_OFF)
    assert len(w.openai.sessions) == 2


async def test_a_service_that_does_not_take_the_call_again_leaves_it_to_gather(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        w.openai.faults.refuse_upgrade = 401
        (await w.openai.session()).abort()
        assert await call.said(CUT_OFF)
        await by_gather(call, REST)
        await assert_delivered(w, call)
    assert w.openai.upgrades == [101, 401], "no second try"


async def test_sessions_that_follow_one_another_are_not_noticed(
    sqlite_url: str, limit: Limit
) -> None:
    limit(session_s=0.3)
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await talk_through(call, w.scenario)
        books = await assert_delivered(w, call)
        assert_all_closed(w)
    assert len(w.openai.sessions) > 2
    assert_undisturbed(books)
    assert call.sayings == []
