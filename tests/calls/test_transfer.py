"""A caller is put through to a person: who picks up knows why, and who meets nobody comes back."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, select

from ivr.agent.cut_off import NOBODY_FREE
from ivr.db.tables import Conversation, Escalation, Lead, Lifecycle, Message, Purpose, utc_now
from ivr.leads import profile
from ivr.leads.attention import escalations as attention
from ivr.voice import transfer
from ivr.voice.reception import NOBODY_THERE, Reception
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
    shipped = Path(profile.__file__).parents[1] / "profiles" / "powersports.toml"
    path = tmp_path / "powersports.toml"
    text = shipped.read_text(encoding="utf-8")
    path.write_text(text.replace("[target]", f'transfer_number = "{PERSON}"\n\n[target]', 1))
    return str(path)


def edit(profile_path: str, before: str, after: str) -> None:
    path = Path(profile_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


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


def broken_once(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return what fails the first time, as if the database had been away, and then does `work`."""
    failures = [True]

    async def first_fails(*args: Any, **facts: Any) -> Any:
        if failures:
            failures.pop()
            raise ZeroDivisionError
        return await work(*args, **facts)

    return first_fails


def noting_the_wait(
    step: Callable[..., Awaitable[str]], waits: dict[str, bool]
) -> Callable[..., Awaitable[str]]:
    """Return a step that notes, before it is done, whether nobody may finish the conversation."""

    async def noted(self: Reception, *args: Any) -> str:
        (conversation,) = await rows(self.state["db"], Conversation)
        assert conversation.finish_after is not None
        waits[step.__name__] = conversation.finish_after > utc_now()
        return await step(self, *args)

    return noted


async def press_key(w: World, call: Call) -> None:
    """Have Twilio say that whoever picked up for the caller has pressed the key."""
    (conversation,) = await rows(w.db, Conversation)
    url = f"{PUBLIC}/twilio/voice/whisper?conversation={conversation.id}&key=1"
    fields = {"CallSid": "CA" + "1" * 32, "ParentCallSid": call.sid, "Digits": "1"}
    await w.twilio.account.webhooks.send(url, fields)


def dialled(call: Call) -> list[str]:
    return [entry.detail for entry in call.log if entry.what == "dial"]


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
    assert "asked for a person" in whisper and whisper.endswith("Press 1 to take the call.")
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


@pytest.mark.parametrize("door", ["/twilio/voice", "/twilio/voice-ivr"])
async def test_who_meets_a_voicemail_comes_back(
    database_url: str, with_person: str, door: str
) -> None:
    scenario = coming_back()
    async with world(database_url, scenario=scenario, door=door, profile=with_person) as w:
        w.twilio.account.presses = ""
        call = await w.ring()
        if door == "/twilio/voice":
            await talk_through(call, scenario, turns=2)
            await call.stream(2)
            await go_on(call, scenario, answered=2)
        else:
            await call.answer(speech=ASKS)
            await by_gather(call, [(NOBODY_FREE, "John Doe"), *KEYED[1:]])
        assert await call.ended() == "completed"
        page = await w.finished(call)
        (task,) = await tasks(w)
        (escalation,) = await escalations(w)
    assert [entry.what for entry in call.log].count("joined") == 0
    assert len(call.whispers) == 2 and len(set(call.whispers)) == 1
    assert (escalation.assignee, escalation.resolution) == (None, task.reason)
    assert "nobody was there" in task.reason
    assert page.succeeded is not None and page.succeeded.lead_data == LEAD
    assert len(w.npa.requests) == 1


async def test_a_voicemail_is_none_though_somebody_has_taken_the_caller_at_the_desk(
    sqlite_url: str, with_person: str
) -> None:
    scenario = coming_back()
    async with world(sqlite_url, scenario=scenario, profile=with_person) as w:
        w.twilio.account.presses = ""
        call = await w.ring()
        await talk_through(call, scenario, turns=2)
        await rings(call)
        (escalation,) = await escalations(w)
        async with w.db.write() as session:
            number = str(escalation.id)
            await attention.take(session, escalation.tenant_id, number, "ann", now=utc_now())
        await call.stream(2)
        await go_on(call, scenario, answered=2)
        assert await call.ended() == "completed"
        assert len(await tasks(w)) == 1


async def test_who_presses_another_key_does_not_want_the_call(
    sqlite_url: str, with_person: str
) -> None:
    async with world(
        sqlite_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.presses = "2"
        call = await w.ring()
        await call.answer(speech=ASKS)
        assert NOBODY_FREE in (await call.gathering()).children[0].text
        await call.hang_up()
        (escalation,) = await escalations(w)
    assert len(call.whispers) == 1 and escalation.assignee is None


async def test_where_no_key_is_asked_for_whatever_answers_has_the_caller(
    sqlite_url: str, with_person: str
) -> None:
    edit(with_person, "[target]", "transfer_screening = false\n\n[target]")
    async with world(
        sqlite_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        w.twilio.account.presses = ""
        call = await w.ring()
        await call.answer(speech=ASKS)
        assert await call.ended() == "completed"
        await w.finished(call)
        await until(lambda: _is_over(w))
        (escalation,) = await escalations(w)
    assert call.whispers == ["A call for you."]
    assert escalation.assignee == "whoever picked up"


async def test_the_key_is_asked_for_in_the_language_of_the_business(
    sqlite_url: str, with_person: str
) -> None:
    edit(with_person, 'language = "en-US"', 'language = "ar-SA"')
    async with world(
        sqlite_url, scenario=short(), door="/twilio/voice-ivr", profile=with_person
    ) as w:
        call = await w.ring()
        await call.answer(speech=ASKS)
        assert await call.ended() == "completed"
        await w.finished(call)
    assert call.whispers == ["مكالمة لك. المتصل يطلب التحدث إلى شخص. اضغط 1 لاستلام المكالمة."]


async def test_a_phone_that_rings_for_another_call_is_told_nothing_and_takes_nobody(
    sqlite_url: str, with_person: str
) -> None:
    scenario = wishing(short())
    async with world(sqlite_url, scenario=scenario, profile=with_person) as w:
        w.twilio.account.ring_ms = 3600_000
        call = await w.ring()
        await talk_through(call, scenario)
        await rings(call)
        (conversation,) = await rows(w.db, Conversation)
        url = f"{PUBLIC}/twilio/voice/whisper?conversation={conversation.id}&key=1"
        fields = {"CallSid": "CA" + "1" * 32, "ParentCallSid": "CA" + "2" * 32}
        send = w.twilio.account.webhooks.send
        asked = await send(url, fields)
        taken = await send(url, {**fields, "Digits": "1"})
        (escalation,) = await escalations(w)
        await call.hang_up()
    assert b"John Doe" not in asked.body and b"Press 1" in asked.body
    assert taken.body.endswith(b"<Response />") and escalation.acknowledged_at is None


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


async def test_two_people_are_connected_even_if_there_is_nothing_to_whisper(
    sqlite_url: str, with_person: str
) -> None:
    async with world(sqlite_url, scenario=short(), profile=with_person) as w:
        for query in ("", "?conversation=nonsense", f"?conversation={uuid.uuid4()}"):
            url = f"{PUBLIC}/twilio/voice/whisper{query}"
            exchange = await w.twilio.account.webhooks.send(url, {"CallSid": "CA" + "1" * 32})
            assert exchange.status == 200 and exchange.body.endswith(b"<Response />")


async def test_without_words_of_its_own_the_whisper_asks_for_the_key_all_the_same(
    sqlite_url: str, with_person: str
) -> None:
    async with world(sqlite_url, scenario=short(), profile=with_person) as w:
        url = f"{PUBLIC}/twilio/voice/whisper?conversation={uuid.uuid4()}&key=1"
        send, sid = w.twilio.account.webhooks.send, "CA" + "1" * 32
        asked = await send(url, {"CallSid": sid})
        taken = await send(url, {"CallSid": sid, "Digits": "1"})
    assert b"Press 1 to take the call." in asked.body and asked.body.count(b"<Gather") == 2
    assert taken.body.endswith(b"<Response />")


async def test_a_whisper_that_twilio_did_not_ask_for_is_refused(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        w.twilio.account.faults.missing_signature = True
        exchange = await w.twilio.account.webhooks.send(
            f"{PUBLIC}/twilio/voice/whisper", {"CallSid": "CA" + "1" * 32}
        )
    assert exchange.status == 403
