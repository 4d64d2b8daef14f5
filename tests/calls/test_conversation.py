"""How a call goes on and ends: keys, silence, length, goodbyes, a person."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ivr.leads import profile
from tests.calls.conftest import Limit
from tests.calls.world import World, brisk, short, talk_through, words, world
from tools.call_page import Page
from tools.emulators.twilio import Call
from tools.scenarios import Call as Function
from tools.scenarios import Scenario, Turn

PERSON = "+17705550199"


async def ended(w: World, call: Call) -> Page:
    assert await call.ended() == "completed"
    return await w.finished(call)


def reason(page: Page) -> str | None:
    assert page.conversation is not None
    return page.conversation.end_reason


def slowly(sentence: str) -> str:
    """Return so many words that there is time to speak into them."""
    return " ".join([sentence] * 6)


def last_turn(scenario: Scenario, **changes: Any) -> Scenario:
    return replace(scenario, turns=(*scenario.turns[:-1], replace(scenario.turns[-1], **changes)))


async def test_digits_that_are_keyed_in_are_an_answer(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        call = await w.ring()
        await talk_through(call, w.scenario, turns=1)
        await call.quiet()
        await call.press("30093#")
        page = await ended(w, call)
        model = await w.openai.session()
    keyed = [
        event["item"]["content"][0]["text"]
        for event in model.received.of("conversation.item.create")
        if event["item"].get("role") == "user"
    ]
    assert keyed == ["The caller keyed in: 30093"]
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"
    assert [turn.text for turn in page.turns if turn.role == "user"][-1].endswith("30093")


async def test_keys_without_an_end_are_taken_after_a_pause(sqlite_url: str, limit: Limit) -> None:
    limit(keys_s=1.5)  # a busy machine pauses between keys
    told = short()
    question = replace(told.turns[1], assistant=slowly("What is your ZIP code?"))
    turns = (told.turns[0], question, told.turns[2])
    async with world(sqlite_url, scenario=replace(told, turns=turns)) as w:
        call = await w.ring()
        await talk_through(call, w.scenario, turns=1)
        await call.hears(1000, since=len(call.heard))  # in the middle of the question
        await call.press("30093")
        page = await ended(w, call)
    assert call.clear_count == 1
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"


async def test_a_silent_caller_is_asked_twice_and_then_wished_well(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short(), silence_nudge_seconds=0.3) as w:
        call = await w.ring()
        page = await ended(w, call)
        model = await w.openai.session()
    assert reason(page) == "silence"
    created = [event["response"] for event in model.received.of("response.create")]
    asked = [response.get("instructions", "") for response in created]
    assert len(asked) == 4  # the greeting, two nudges, the farewell
    assert "still there" in asked[1] and "still there" in asked[2]
    assert "Goodbye" in asked[3]
    assert bytes(call.heard) == model.audio_sent(), "the farewell was heard to its end"
    assert page.succeeded is not None, "the number to call back is a lead"


async def test_a_call_that_takes_too_long_ends_with_a_farewell(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short(), max_call_seconds=4.0) as w:
        call = await w.ring()
        await talk_through(call, w.scenario, turns=1)
        page = await ended(w, call)
        model = await w.openai.session()
    assert reason(page) == "length_cap"
    assert "Goodbye" in model.received.of("response.create")[-1]["response"]["instructions"]
    assert page.succeeded is not None and page.succeeded.lead_data["full_name"] == "John Doe"


@pytest.mark.parametrize(
    ("words_", "calls", "why"),
    [
        ("Goodbye!", (), "goodbye"),
        ("We are done.", (Function("end_call", {"reason": "complete"}),), "complete"),
        ("Goodbye!", (Function("end_call", {"reason": "incomplete"}),), "incomplete"),
    ],
    ids=["phrase", "tool", "both"],
)
async def test_a_goodbye_is_heard_before_the_call_ends(
    sqlite_url: str, words_: str, calls: tuple[Function, ...], why: str
) -> None:
    scenario = last_turn(short(), assistant=words_, then_calls=calls)
    async with world(sqlite_url, scenario=scenario) as w:
        call = await w.ring()
        await talk_through(call, scenario)
        page = await ended(w, call)
        model = await w.openai.session()
    assert reason(page) == why
    assert bytes(call.heard) == model.audio_sent()
    assert page.turns[-1].role == "assistant" and not page.turns[-1].cut
    assert call.log[-1].what == "ended" and call.errors == []


async def test_marks_that_never_come_back_do_not_keep_the_call_open(
    sqlite_url: str, limit: Limit
) -> None:
    limit(mark_grace_s=0.2)
    scenario = replace(short(), turns=(Turn(assistant="Thank you, goodbye!"),))
    async with world(sqlite_url, scenario=scenario) as w:
        w.twilio.faults.marks_never = True
        call = await w.ring()
        page = await ended(w, call)
    assert reason(page) == "goodbye"


async def test_who_speaks_into_the_goodbye_is_listened_to(sqlite_url: str) -> None:
    told = short()
    polite = f"{slowly('Thank you so much for your time.')} Have a great day, and goodbye!"
    turns = (
        told.turns[0],
        replace(told.turns[1], assistant=polite, then_calls=()),
        told.turns[2],
    )
    async with world(sqlite_url, scenario=replace(told, turns=turns)) as w:
        call = await w.ring()
        await talk_through(call, w.scenario, turns=1)
        await call.hears(2000, since=len(call.heard))
        await call.play(words("30093"))
        await call.clears(1)
        page = await ended(w, call)
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"
    assert [turn.cut for turn in page.turns] == [False, False, True, False, False]


@pytest.fixture
def with_person(tmp_path: Path) -> str:
    """The path of the powersports profile, with somebody to put callers through to."""
    text = (Path(profile.__file__).parents[1] / "profiles" / "powersports.toml").read_text(
        encoding="utf-8"
    )
    path = tmp_path / "powersports.toml"
    path.write_text(text.replace("[target]", f'transfer_number = "{PERSON}"\n\n[target]', 1))
    return str(path)


async def test_a_caller_is_put_through_to_a_person(sqlite_url: str, with_person: str) -> None:
    calls = (Function("transfer_to_person", {"reason": "wants to talk to a person"}),)
    scenario = last_turn(short(), assistant="I will put you through.", then_calls=calls)
    async with world(sqlite_url, scenario=scenario, profile=with_person) as w:
        call = await w.ring()
        await talk_through(call, scenario)
        page = await ended(w, call)
    assert [line.detail for line in call.log if line.what == "dial"] == [PERSON]
    assert reason(page) == "transfer"
    assert call.sayings == []
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"
    assert len(w.npa.requests) == 1


async def test_the_keypad_road_puts_through_as_well(sqlite_url: str, with_person: str) -> None:
    async with world(sqlite_url, door="/twilio/voice-ivr", profile=with_person) as w:
        call = await w.ring()
        await call.answer(speech="I want to speak to a real person")
        page = await ended(w, call)
    assert [line.detail for line in call.log if line.what == "dial"] == [PERSON]
    assert page.succeeded is not None


@pytest.fixture
def in_spanish(with_person: str) -> str:
    """The path of the same profile for callers who speak Spanish."""
    path = Path(with_person)
    path.write_text(path.read_text().replace('language = "en-US"', 'language = "es-MX"', 1))
    return with_person


async def test_a_caller_is_put_through_in_the_language_of_the_profile(
    sqlite_url: str, in_spanish: str
) -> None:
    async with world(sqlite_url, door="/twilio/voice-ivr", profile=in_spanish) as w:
        call = await w.ring()
        await call.answer(speech="I want to speak to a real person")
        await ended(w, call)
    (document,) = [webhook.body for webhook in call.webhooks if b"<Dial" in webhook.body]
    assert b'<Say language="es-MX">' in document


async def test_without_a_person_no_transfer_is_offered(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        call = await w.ring()
        await call.quiet()
        model = await w.openai.session()
        update = await model.received_event("session.update")
        await call.hang_up()
        await w.finished(call)
    names = [tool["name"] for tool in update["session"]["tools"]]
    assert "promise_call_back" in names and "transfer_to_person" not in names


async def test_a_refused_value_is_told_to_the_model_and_not_kept(sqlite_url: str) -> None:
    alaska = Function("save_field", {"name": "zip_code", "value": "99501", "heard_as": "99501"})
    scenario = short(extraction={})
    turns = (*scenario.turns[:2], replace(scenario.turns[2], calls=(alaska,)))
    async with world(sqlite_url, scenario=replace(scenario, turns=turns)) as w:
        call = await w.ring()
        await talk_through(call, w.scenario)
        page = await ended(w, call)
        model = await w.openai.session()
    outputs = [item.view["output"] for item in model.items if "output" in item.view]
    assert '"saved": false' in outputs[1] and "Alaska" in outputs[1]
    (attempt,) = [value for value in page.values if value.name == "zip_code"]
    assert attempt.value is None and attempt.problem is not None and "Alaska" in attempt.problem
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] is None


async def test_the_number_that_called_is_asked_for_once_only(sqlite_url: str) -> None:
    scenario = brisk()
    async with world(sqlite_url, scenario=scenario) as w:
        call = await w.ring(from_="anonymous")
        await talk_through(call, scenario)
        page = await ended(w, call)
    assert page.conversation is not None and page.conversation.from_number is None
    assert page.succeeded is not None
    assert page.succeeded.lead_data == dict(scenario.expect.lead)


async def test_a_withheld_number_and_no_answer_is_a_lead_that_waits(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short(extraction={})) as w:
        call = await w.ring(from_="anonymous")
        await talk_through(call, w.scenario)
        page = await ended(w, call)
    assert w.npa.requests == []
    assert page.succeeded is None and page.failed is not None
    assert "phone number" in page.failed.error_message
    assert page.failed.lead_data["zip_code"] == "30093"
