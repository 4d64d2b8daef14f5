"""The voice model refuses, dies, babbles or says nothing: somebody answers, the lead is kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import ivr.offline
from ivr.errors import Unavailable
from tests.calls.conftest import Limit
from tests.calls.world import (
    Books,
    World,
    brisk,
    by_gather,
    read_books,
    short,
    talk_through,
    words,
    world,
)
from tests.nobody import nobody
from tools.emulators.twilio import Call

SCENARIO = brisk(extraction={})
LEAD = dict(SCENARIO.expect.lead)
# Names of questions of the profile, and what John says to them.
NAME = ("first and last name", "John Doe")
ZIP = ("What is your ZIP code", "30093")
ZIP_RIGHT = ("3 0 0 9 3", "yes")
PHONE = ("number you are calling from", "yes")
VEHICLE = [("What year", "2020"), ("What make", "Yamaha"), ("which model", "MT-07")]
ALL = [NAME, ZIP, ZIP_RIGHT, PHONE, *VEHICLE]
REST = [PHONE, *VEHICLE]
CUT_OFF = "Sorry, we were cut off."


async def assert_delivered(w: World, call: Call, lead: dict[str, Any] = LEAD) -> Books:
    """The call ended well, and its one lead went out once, complete."""
    assert await call.ended() == "completed"
    page = await w.finished(call)
    assert page.succeeded is not None and page.succeeded.lead_data == lead
    assert len(w.npa.requests) == 1
    books = await w.books()
    assert [(s.state, s.attempts) for s in books.submissions] == [("succeeded", 1)]
    assert {c.episode for c in books.conversations} == {1}
    return books


async def two_answers(w: World) -> Call:
    """Ring, and tell name and ZIP code; the third question was heard."""
    call = await w.ring()
    await talk_through(call, w.scenario, turns=2)
    await call.quiet()
    return call


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_a_model_that_refuses_leaves_the_call_to_gather(sqlite_url: str, status: int) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        w.openai.faults.refuse_upgrade = status
        call = await w.ring()
        assert "Thank you for calling" in await call.said("first and last name")
        await by_gather(call, ALL)
        await assert_delivered(w, call)


async def test_a_model_that_cannot_be_reached_leaves_the_call_to_gather(
    database_url: str,
) -> None:
    with nobody() as nowhere:
        async with world(database_url, scenario=SCENARIO, openai_base_url=f"{nowhere}/v1") as w:
            call = await w.ring()
            await by_gather(call, ALL)
            books = await assert_delivered(w, call)
    assert [turn.role for turn in books.turns] == ["assistant", "user"] * 7 + ["assistant"]
    assert "Goodbye" in books.turns[-1].text


async def test_without_a_model_everything_can_be_keyed_in_but_words(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        w.openai.faults.refuse_upgrade = 500
        call = await w.ring()
        keyed = [NAME, (ZIP[0], "30093#"), (PHONE[0], "1#"), ("What year", "2020#"), *VEHICLE[1:]]
        await by_gather(call, keyed)
        books = await assert_delivered(w, call)
    assert {v.source for v in books.values if v.name == "zip_code"} <= {"typed", "confirmed"}


async def test_a_model_that_dies_in_the_middle_of_a_word_is_followed_by_gather(
    database_url: str,
) -> None:
    async with world(database_url, scenario=SCENARIO) as w:
        call = await two_answers(w)
        w.openai.faults.abort = "mid_response"
        await call.play(words("770 555 0123"))
        assert await call.said(CUT_OFF)
        w.openai.faults.abort = None
        await by_gather(call, [("", "yes")])
        while not call.over:
            await by_gather(call, [step for step in VEHICLE if step[0] in call.sayings[-1]][:1])
            await call.until(lambda: call.over or call.question is not None, "the next question")
        await assert_delivered(w, call)


@pytest.mark.parametrize(
    ("fault", "value"),
    [("garbage", "text"), ("garbage", "truncated"), ("garbage", "binary"), ("unknown_event", True)],
)
async def test_babble_of_the_model_is_passed_over(
    sqlite_url: str, fault: str, value: str | bool
) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        setattr(w.openai.faults, fault, value)
        call = await w.ring()
        await talk_through(call, w.scenario)
        lead = {**dict.fromkeys(LEAD), **w.scenario.expect.lead, "phone": w.scenario.caller}
        books = await assert_delivered(w, call, lead)
    assert books.conversations[0].usage["voice"]["unknown_messages"] >= 3


async def test_a_model_that_is_silent_from_the_start_is_given_up(
    sqlite_url: str, limit: Limit
) -> None:
    limit(ready_s=0.3)
    async with world(sqlite_url, scenario=SCENARIO) as w:
        w.openai.faults.silent = True
        call = await w.ring()
        assert "Thank you for calling" in await call.said("first and last name")
        await by_gather(call, ALL)
        await assert_delivered(w, call)


async def test_a_model_that_falls_silent_is_given_up(sqlite_url: str, limit: Limit) -> None:
    limit(answer_s=2.0, silence_s=2.0)  # a busy machine pauses too
    # It has made calls that it never told us of, so the emulator finds our question out of place.
    async with world(sqlite_url, scenario=SCENARIO, allow_violations=True) as w:
        call = await two_answers(w)
        w.openai.faults.silent = True
        await call.play(words("770 555 0123"))
        assert await call.said(CUT_OFF)
        await by_gather(call, REST)
        await assert_delivered(w, call)


async def test_a_model_whose_responses_fail_is_given_up(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        w.openai.faults.response_fails = "server_error"
        call = await w.ring()
        await by_gather(call, ALL)
        await assert_delivered(w, call)


async def test_one_failed_response_is_asked_for_again(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        w.openai.faults.response_fails = "server_error"
        call = await w.ring()
        model = await w.openai.session()
        await model.sent_event("response.created")
        w.openai.faults.response_fails = None
        await talk_through(call, w.scenario)
        lead = {**dict.fromkeys(LEAD), **w.scenario.expect.lead, "phone": w.scenario.caller}
        await assert_delivered(w, call, lead)
    assert call.sayings == []


@pytest.mark.parametrize(
    "fault",
    ["no_transcription", "transcription_failed", "transcription_late"]
    + ["transcription_out_of_order"],
)
async def test_transcripts_that_fail_or_come_late_cost_no_lead(sqlite_url: str, fault: str) -> None:
    async with world(sqlite_url, scenario=short(extraction={})) as w:
        setattr(w.openai.faults, fault, True)
        call = await w.ring()
        await talk_through(call, w.scenario)
        lead = {**dict.fromkeys(LEAD), **w.scenario.expect.lead, "phone": w.scenario.caller}
        books = await assert_delivered(w, call, lead)
    said = [turn.text for turn in books.turns]
    asked = [turn.assistant for turn in w.scenario.turns]
    if fault in ("no_transcription", "transcription_failed"):
        assert said == asked
    else:
        assert said == [asked[0], "John Doe", asked[1], "30093", asked[2]]


async def test_the_whole_profile_goes_through_the_door_without_a_model(database_url: str) -> None:
    async with world(database_url, scenario=SCENARIO, door="/twilio/voice-ivr") as w:
        call = await w.ring()
        await by_gather(call, ALL)
        await assert_delivered(w, call)
    assert w.openai.upgrades == []


async def test_without_key_and_without_offline_voice_gather_answers(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def no_voice(*_: object) -> AsyncIterator[str]:
        raise Unavailable("the demo extra is not installed")
        yield ""

    monkeypatch.setattr(ivr.offline, "offline_voice", no_voice)
    async with world(sqlite_url, scenario=SCENARIO, openai_api_key=None) as w:
        call = await w.ring()
        await by_gather(call, ALL)
        await assert_delivered(w, call)


async def test_silence_on_the_road_without_a_model_ends_the_call(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO, door="/twilio/voice-ivr") as w:
        call = await w.ring()
        await by_gather(call, [NAME])
        async with asyncio.timeout(20):
            while not call.over:
                await by_gather(call, [("", "")])
                await call.until(lambda: call.over or call.question is not None, "a question")
        assert await call.ended() == "completed"
        page = await w.finished(call)
    assert "Goodbye" in call.sayings[-1]
    assert page.succeeded is not None and page.succeeded.lead_data["full_name"] == "John Doe"


async def test_who_hangs_up_on_the_road_without_a_model_leaves_the_lead_so_far(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=SCENARIO, door="/twilio/voice-ivr") as w:
        call = await w.ring()
        await by_gather(call, [NAME, ZIP])
        await call.gathering()
        await call.hang_up()
        page = await w.finished(call)
    assert page.succeeded is not None
    known = {"full_name": "John Doe", "zip_code": "30093", "phone": SCENARIO.caller}
    assert page.succeeded.lead_data == {**dict.fromkeys(LEAD), **known}
    assert len((await read_books(sqlite_url)).submissions) == 1
