"""A caller is put through to a person: who meets nobody comes back, whatever breaks meanwhile."""

from typing import Any

import pytest

from ivr.db.tables import Conversation, Lead, Lifecycle
from ivr.voice import transfer
from ivr.voice.reception import Reception
from tests.calls.test_admission import tasks
from tests.calls.test_resumed_call import LEAD, SCENARIO, go_on
from tests.calls.transfers import (
    ASKS,
    DESK,
    KEYED,
    NOBODY_FREE,
    NOBODY_THERE,
    PERSON,
    broken_once,
    coming_back,
    dialled,
    escalations,
    noting_the_wait,
    press_key,
    rings,
    texts_to_staff,
    wishing,
)
from tests.calls.world import PUBLIC, by_gather, short, talk_through, world
from tests.leads.cast import rows


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


@pytest.mark.parametrize("first", ["status", "after"])
async def test_who_rings_off_in_the_moment_in_which_the_key_is_pressed_is_called_back(
    database_url: str, with_person: str, first: str
) -> None:
    async with world(
        database_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.ring_ms = 3600_000
        call = await w.ring()
        await call.answer(speech=ASKS)
        await rings(call)
        await press_key(w, call)
        if first == "status":
            await call.hang_up()
            await w.until_page(call, lambda page: bool(call.status_callbacks))
        told = {"CallStatus": "completed", "DialCallStatus": "completed", "DialBridged": "false"}
        fields = {"CallSid": call.sid, "From": call.from_, "To": call.to, **told}
        await w.twilio.account.webhooks.send(f"{PUBLIC}/twilio/voice/after", fields)
        if first == "after":
            await call.hang_up()
        await w.finished(call)
        (task,) = await tasks(w)
        (escalation,) = await escalations(w)
        (lead,) = await rows(w.db, Lead)
    assert "rang off" in task.reason and escalation.resolved_at is not None
    if first == "after":
        assert escalation.resolution == task.reason and lead.lifecycle != Lifecycle.HANDED_OFF


async def test_a_tool_that_is_called_twice_rings_once(sqlite_url: str, with_person: str) -> None:
    scenario = wishing(short(), times=2)
    async with world(sqlite_url, scenario=scenario, profile=with_person) as w:
        call = await w.ring()
        await talk_through(call, scenario)
        assert await call.ended() == "completed"
        await w.finished(call)
        assert len(await escalations(w)) == 1
    assert [entry.detail for entry in call.log if entry.what == "dial"] == [PERSON]


async def test_who_rings_off_in_the_moment_of_taking_the_call_leaves_the_caller_to_us(
    sqlite_url: str, with_person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: dict[str, bool] = {}
    for step in ("_after_transfer", "_go_on"):
        monkeypatch.setattr(Reception, step, noting_the_wait(getattr(Reception, step), waits))
    async with world(
        sqlite_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.faults.callee_gone = True
        call = await w.ring()
        await by_gather(call, [("name", ASKS)])
        assert NOBODY_FREE in (await call.gathering()).children[0].text
        (lead,) = await rows(w.db, Lead)
        (conversation,) = await rows(w.db, Conversation)
        assert lead.lifecycle != Lifecycle.HANDED_OFF, "nobody has it"
        assert conversation.ended_at is None and not conversation.assistant_paused
        await by_gather(call, [(NOBODY_FREE, "John Doe"), *KEYED[1:]])
        assert await call.ended() == "completed"
        page = await w.finished(call)
        assert len(await tasks(w)) == 1
    assert waits == {"_after_transfer": True, "_go_on": True}, "the lead is not sent half"
    assert page.conversation is not None and page.conversation.episode == 1
    assert page.succeeded is not None and page.succeeded.lead_data == LEAD


async def test_a_key_that_is_written_down_when_the_caller_is_back_ends_nothing(
    database_url: str, with_person: str
) -> None:
    async with world(
        database_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.dial_status = "no-answer"
        call = await w.ring()
        await call.answer(speech=ASKS)
        assert NOBODY_FREE in (await call.gathering()).children[0].text
        await press_key(w, call)
        (conversation,) = await rows(w.db, Conversation)
        await by_gather(call, [(NOBODY_FREE, "John Doe"), *KEYED[1:]])
        assert await call.ended() == "completed"
        page = await w.finished(call)
    assert (conversation.ended_at, conversation.end_reason) == (None, None)
    assert page.conversation is not None and page.conversation.episode == 1
    assert page.succeeded is not None and page.succeeded.lead_data == LEAD


async def test_who_was_connected_though_it_could_not_be_written_down_has_been_talked_to(
    database_url: str, with_person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "picked_up", broken_once(transfer.picked_up))
    async with world(
        database_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        call = await w.ring()
        await call.answer(speech=ASKS)
        assert await call.ended() == "completed"
        await w.finished(call)
        (escalation,) = await escalations(w)
        (lead,) = await rows(w.db, Lead)
        assert await tasks(w) == []
    assert not any(NOBODY_FREE in saying for saying in call.sayings)
    assert escalation.assignee == "whoever picked up"
    assert escalation.resolution == "talked on the phone"
    assert lead.lifecycle == Lifecycle.HANDED_OFF


async def test_after_a_talk_nobody_is_rung_again_though_its_end_was_not_written_at_once(
    database_url: str, with_person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "over", broken_once(transfer.over))
    async with world(
        database_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        call = await w.ring()
        await call.answer(speech=ASKS)
        assert await call.ended() == "completed"
        await w.finished(call)
        (escalation,) = await escalations(w)
        assert await tasks(w) == []
    assert dialled(call) == [PERSON]
    assert escalation.resolution == "talked on the phone"


async def test_who_met_nobody_comes_back_though_the_answer_to_that_was_lost(
    sqlite_url: str, with_person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reception, "_go_on", broken_once(Reception._go_on))
    async with world(
        sqlite_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.dial_status = "no-answer"
        call = await w.ring()
        await call.answer(speech=ASKS)
        assert NOBODY_FREE in (await call.gathering()).children[0].text
        await call.hang_up()
        await w.finished(call)
        assert len(await tasks(w)) == len(await escalations(w)) == 1
    assert dialled(call) == [PERSON]
