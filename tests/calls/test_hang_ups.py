"""The caller hangs up, at every moment, however Twilio tells of it or not (S3.40)."""

from dataclasses import replace

import pytest

from tests.calls.world import (
    GRACE,
    PUBLIC,
    Books,
    World,
    brisk,
    read_books,
    talk_through,
    words,
    world,
)
from tools.call_page import Page
from tools.emulators.twilio import Call
from tools.scenarios import Scenario

SCENARIO = brisk(extraction={})  # what was not saved in the call is found by nobody afterwards
ANSWERS = [turn.caller for turn in SCENARIO.turns]
LAST = len(SCENARIO.turns) - 1
CALLER = SCENARIO.caller
WAYS = [
    "normally",
    "network_only",
    "stop_without_close",
    "close_without_stop",
    "status_before_close",
    "status_twice",
    "status_never",
]


def collected(answers: int) -> dict[str, str | None]:
    """Return the lead after so many answers: saved ones, and the number that the network showed."""
    saved = [
        call.arguments["name"]
        for turn in SCENARIO.turns[: answers + 1]
        for call in turn.calls
        if call.name == "save_field"
    ]
    known = {key: SCENARIO.expect.lead[key] for key in saved} | {"phone": CALLER}
    return {key: known.get(key) for key in SCENARIO.expect.lead}


def assert_one_finish(w: World, books: Books, lead: dict[str, str | None]) -> None:
    """One conversation, one lead, one submission, one request, and nothing left to do."""
    assert len(books.conversations) == len(books.leads) == len(books.contacts) == 1
    (conversation,) = books.conversations
    assert (conversation.status, conversation.episode) == ("finished", 1)
    assert not conversation.streaming
    assert [(s.state, s.attempts) for s in books.submissions] == [("succeeded", 1)]
    assert [row.lead_data for row in books.succeeded] == [lead]
    assert books.failed == [] and books.reviews == []
    assert len(w.npa.requests) == 1


def said(page: Page) -> list[tuple[str, str]]:
    return [(turn.role, turn.text) for turn in page.turns]


async def hang_up(w: World, call: Call, way: str) -> None:
    if hasattr(w.twilio.faults, way):
        setattr(w.twilio.faults, way, True)
    await call.hang_up(network_only=way == "network_only")


@pytest.mark.parametrize("answers", range(LAST))
async def test_a_hang_up_after_any_question_leaves_the_lead_so_far(
    sqlite_url: str, answers: int
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await talk_through(call, SCENARIO, turns=answers)
        await call.quiet()
        await hang_up(w, call, "normally")
        page = await w.finished(call)

    assert_one_finish(w, await read_books(sqlite_url), collected(answers))
    expected = []
    for turn in SCENARIO.turns[: answers + 1]:
        expected += [("assistant", turn.assistant), ("user", turn.caller)]
    assert said(page) == expected[: 2 * answers + 1]


@pytest.mark.parametrize("way", WAYS)
async def test_however_the_hang_up_is_told_the_call_is_finished_once(
    database_url: str, way: str
) -> None:
    async with world(database_url, scenario=SCENARIO, episode_grace_seconds=GRACE) as w:
        call = await w.ring()
        await talk_through(call, SCENARIO, turns=2)
        await call.quiet()
        await hang_up(w, call, way)
        page = await w.finished(call)

    assert_one_finish(w, await read_books(database_url), collected(2))
    assert len(said(page)) == 5
    assert page.conversation is not None and page.conversation.end_reason == "caller_hung_up"


@pytest.mark.parametrize("answers", range(LAST + 1))
async def test_a_hang_up_in_the_middle_of_the_assistants_words(
    sqlite_url: str, answers: int
) -> None:
    scenario = drawn_out(answers)
    async with world(sqlite_url, scenario=scenario) as w:
        call = await w.ring()
        await talk_through(call, scenario, turns=answers)
        await call.hears(1000, since=len(call.heard))
        await call.hang_up(mid_word=True)
        page = await w.finished(call)

    assert_one_finish(w, await read_books(sqlite_url), collected(answers))
    last = page.turns[-1]
    spoken = scenario.turns[answers].assistant
    assert last.role == "assistant" and last.cut
    assert last.text and len(last.text) < len(spoken) and spoken.startswith(last.text)
    assert [turn.role for turn in page.turns].count("user") == answers


def drawn_out(number: int) -> Scenario:
    """Return the conversation with much said in one of the assistant's turns."""
    turns = list(SCENARIO.turns)
    slowly = " ".join(["Please do take your time."] * 5)
    turns[number] = replace(turns[number], assistant=f"{slowly} {turns[number].assistant}")
    return replace(SCENARIO, turns=tuple(turns))


@pytest.mark.parametrize("answers", range(LAST))
async def test_a_hang_up_in_the_middle_of_the_callers_words(sqlite_url: str, answers: int) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await talk_through(call, SCENARIO, turns=answers)
        await call.quiet()
        session = await w.openai.session()
        await call.start_playing(words(ANSWERS[answers]) * 50)
        await session.sent_event("input_audio_buffer.speech_started", nth=answers)
        await hang_up(w, call, "normally")
        page = await w.finished(call)

    assert_one_finish(w, await read_books(sqlite_url), collected(answers))
    assert said(page)[-1] == ("user", ANSWERS[answers])


async def test_the_callers_last_words_are_read_even_if_no_tool_saved_them(
    database_url: str,
) -> None:
    scenario = replace(SCENARIO, extraction={"full_name": "John Doe", "zip_code": "30093"})
    async with world(database_url, scenario=scenario) as w:
        call = await w.ring()
        await talk_through(call, scenario, turns=1)
        await call.quiet()
        session = await w.openai.session()
        await call.start_playing(words("30093") * 50)
        await session.sent_event("input_audio_buffer.speech_started", nth=1)
        await hang_up(w, call, "normally")
        await w.finished(call)

    lead = {**collected(1), "zip_code": "30093"}
    books = await read_books(database_url)
    assert_one_finish(w, books, lead)
    assert [row.source for row in books.values if row.name == "zip_code"] == ["extracted"]


async def test_a_caller_who_hangs_up_while_it_rings_is_a_lead_to_call_back(
    database_url: str,
) -> None:
    async with world(database_url, scenario=SCENARIO) as w:
        w.openai.faults.silent = True
        call = await w.ring()
        await hang_up(w, call, "normally")
        page = await w.finished(call)

    assert_one_finish(w, await read_books(database_url), collected(0))
    assert said(page) == []


async def test_a_late_status_reopens_nothing(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await call.quiet()
        await hang_up(w, call, "normally")
        before = await w.finished(call)
        fields = call.status_callbacks[0].fields
        answer = await w.twilio.account.webhooks.send(f"{PUBLIC}/twilio/voice/status", fields)
        assert answer.status == 204
        after = await w.page(call)

    assert after.conversation == before.conversation
    assert_one_finish(w, await read_books(sqlite_url), collected(0))
