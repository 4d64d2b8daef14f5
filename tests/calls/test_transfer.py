"""A caller is put through to a person: who picks up knows why, and who meets nobody comes back."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from ivr.agent.cut_off import NOBODY_FREE
from ivr.db.tables import Escalation, Lead, Lifecycle, Message, Purpose
from ivr.leads import profile
from ivr.voice.reception import NOBODY_THERE
from tests.calls.test_admission import tasks
from tests.calls.test_resumed_call import LEAD, SCENARIO, go_on
from tests.calls.world import PUBLIC, World, by_gather, short, talk_through, world
from tests.leads.cast import rows, until
from tools.emulators.twilio import Call
from tools.scenarios import Call as Function
from tools.scenarios import Scenario

PERSON, DESK = "+18005550100", "+18005550111"
WISH = Function("transfer_to_person", {"reason": "wants to talk to a person"})
ASKS = "I want to speak to a real person"
KEYED = (
    ("first and last name", "John Doe"),
    ("ZIP code", "30093#"),
    ("number you are calling from", "yes"),
    ("year", "2020"),
    ("make", "Yamaha"),
    ("model", "MT-07"),
)


@pytest.fixture
def with_person(tmp_path: Path) -> str:
    """The path of the powersports profile, with somebody to put callers through to."""
    shipped = Path(profile.__file__).parent / "profiles" / "powersports.toml"
    path = tmp_path / "powersports.toml"
    text = shipped.read_text(encoding="utf-8")
    path.write_text(text.replace("[target]", f'transfer_number = "{PERSON}"\n\n[target]', 1))
    return str(path)


def wishing(scenario: Scenario, *, times: int = 1) -> Scenario:
    """Return the scenario with a wish for a person after its second answer."""
    told = list(scenario.turns)
    told[2] = replace(
        told[2], assistant="I will put you through.", caller="", then_calls=(WISH,) * times
    )
    return replace(scenario, turns=tuple(told))


def coming_back() -> Scenario:
    """Return a conversation that goes on, with the next answer, after the wish for a person."""
    told = SCENARIO.turns
    wish = replace(told[2], assistant="I will put you through.", then_calls=(WISH,))
    return replace(SCENARIO, turns=(*told[:2], wish, *told[3:]))


async def escalations(w: World) -> Sequence[Escalation]:
    async with w.db.read() as session:
        query = select(Escalation).order_by(col(Escalation.created_at))
        return (await session.exec(query)).all()


async def texts_to_staff(w: World) -> list[str]:
    messages: list[Message] = await rows(w.db, Message)
    return [message.body for message in messages if message.purpose == Purpose.STAFF]


async def rings(call: Call) -> None:
    await call.until(lambda: "dial" in [entry.what for entry in call.log], "the person rang")


async def test_who_picks_up_hears_who_calls_and_the_lead_is_theirs(
    database_url: str, with_person: str
) -> None:
    scenario = wishing(short())
    async with world(database_url, scenario=scenario, profile=with_person) as w:
        call = await w.ring()
        await talk_through(call, scenario)
        assert await call.ended() == "completed"
        page = await w.finished(call)
        await until(lambda: _is_over(w))
        (escalation,) = await escalations(w)
        (lead,) = await rows(w.db, Lead)
        assert await tasks(w) == []
    (whisper,) = call.whispers
    assert "John Doe" in whisper and "30093" not in whisper
    assert (escalation.trigger, escalation.assignee) == ("asked_for_human", "whoever picked up")
    assert escalation.resolution == "talked on the phone"
    assert page.conversation is not None and page.conversation.end_reason == "transfer"
    assert page.succeeded is not None and len(w.npa.requests) == 1
    assert lead.lifecycle == Lifecycle.HANDED_OFF


async def _is_over(w: World) -> bool:
    return all(row.resolved_at is not None for row in await escalations(w))


@pytest.mark.parametrize("status", ["no-answer", "busy", "failed", "canceled"])
async def test_who_meets_nobody_comes_back_and_the_lead_is_complete(
    sqlite_url: str, with_person: str, status: str
) -> None:
    scenario = coming_back()
    changes: dict[str, Any] = {"profile": with_person, "staff_phone_number": DESK}
    async with world(sqlite_url, scenario=scenario, **changes) as w:
        w.twilio.account.dial_status = status
        call = await w.ring()
        await talk_through(call, scenario, turns=2)
        await call.stream(2)
        await go_on(call, scenario, answered=2)
        assert await call.ended() == "completed"
        page = await w.finished(call)
        (task,) = await tasks(w)
        (escalation,) = await escalations(w)
        (told,) = await texts_to_staff(w)
    assert page.succeeded is not None and page.succeeded.lead_data == LEAD
    assert len(w.npa.requests) == 1 and page.conversation is not None
    assert (page.conversation.episode, page.conversation.streams) == (1, 2)
    said = [turn.text for turn in page.turns if turn.text.startswith(NOBODY_FREE)]
    assert len(said) == 1 and "phone number" in said[0]
    assert task.reason == escalation.resolution
    assert "nobody was there" in task.reason
    assert told.startswith("Nobody picked up") and "John Doe" in told
    assert call.whispers == []


async def test_on_the_keypad_road_who_meets_nobody_is_asked_for_the_rest(
    database_url: str, with_person: str
) -> None:
    async with world(
        database_url, scenario=SCENARIO, door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.dial_status = "no-answer"
        call = await w.ring()
        await call.answer(speech=ASKS)
        await by_gather(call, [(NOBODY_FREE, "John Doe"), *KEYED[1:]])
        assert await call.ended() == "completed"
        page = await w.finished(call)
        assert len(await tasks(w)) == 1
    assert page.succeeded is not None and page.succeeded.lead_data == LEAD


async def test_the_second_time_nobody_picks_up_the_call_ends(
    sqlite_url: str, with_person: str
) -> None:
    async with world(
        sqlite_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.dial_status = "busy"
        call = await w.ring()
        await by_gather(call, [("name", ASKS), (NOBODY_FREE, ASKS)])
        assert await call.ended() == "completed"
        await w.finished(call)
        assert len(await tasks(w)) == 1
        states = [row.state for row in await escalations(w)]
    assert call.sayings[-1] == NOBODY_THERE
    assert states == ["resolved", "resolved"]


async def test_a_repeated_webhook_sends_nobody_away(sqlite_url: str, with_person: str) -> None:
    async with world(
        sqlite_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.dial_status = "no-answer"
        call = await w.ring()
        await call.gathering()
        w.twilio.account.faults.duplicate_webhook = "together"
        await call.answer(speech=ASKS)
        assert NOBODY_FREE in (await call.gathering()).children[0].text
        await call.hang_up()
        await w.finished(call)
        assert len(await tasks(w)) == len(await escalations(w)) == 1
    assert NOBODY_THERE not in call.sayings


async def test_who_rings_off_before_somebody_picks_up_is_called_back(
    database_url: str, with_person: str
) -> None:
    scenario = wishing(short())
    async with world(database_url, scenario=scenario, profile=with_person) as w:
        w.twilio.account.ring_ms = 3600_000
        call = await w.ring()
        await talk_through(call, scenario)
        await rings(call)
        await call.hang_up()
        page = await w.finished(call)
        late = {**call.status_callbacks[0].fields, "DialCallStatus": "no-answer"}
        after = await w.twilio.account.webhooks.send(f"{PUBLIC}/twilio/voice/after", late)
        (task,) = await tasks(w)
        (escalation,) = await escalations(w)
    assert after.body.endswith(b"<Response><Hangup /></Response>")
    assert "rang off" in task.reason and escalation.resolved_at is not None
    assert page.succeeded is not None and call.whispers == []


async def test_a_tool_that_is_called_twice_rings_once(sqlite_url: str, with_person: str) -> None:
    scenario = wishing(short(), times=2)
    async with world(sqlite_url, scenario=scenario, profile=with_person) as w:
        call = await w.ring()
        await talk_through(call, scenario)
        assert await call.ended() == "completed"
        await w.finished(call)
        assert len(await escalations(w)) == 1
    assert [entry.detail for entry in call.log if entry.what == "dial"] == [PERSON]


async def test_two_people_are_connected_even_if_there_is_nothing_to_whisper(
    sqlite_url: str, with_person: str
) -> None:
    async with world(sqlite_url, scenario=short(), profile=with_person) as w:
        for query in ("", "?conversation=nonsense", f"?conversation={uuid.uuid4()}"):
            url = f"{PUBLIC}/twilio/voice/whisper{query}"
            exchange = await w.twilio.account.webhooks.send(url, {"CallSid": "CA" + "1" * 32})
            assert exchange.status == 200 and exchange.body.endswith(b"<Response />")


async def test_a_whisper_that_twilio_did_not_ask_for_is_refused(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        w.twilio.account.faults.missing_signature = True
        exchange = await w.twilio.account.webhooks.send(
            f"{PUBLIC}/twilio/voice/whisper", {"CallSid": "CA" + "1" * 32}
        )
    assert exchange.status == 403
