"""Who picks up for a caller knows why, and has the caller only when they press the key."""

import uuid

import pytest

from ivr.db.tables import Conversation, Lead, Lifecycle, utc_now
from ivr.leads.attention import escalations as attention
from tests.calls.test_admission import tasks
from tests.calls.test_resumed_call import LEAD, go_on
from tests.calls.transfers import (
    ASKS,
    KEYED,
    NOBODY_FREE,
    coming_back,
    edit,
    escalations,
    is_over,
    rings,
    wishing,
)
from tests.calls.world import PUBLIC, by_gather, short, talk_through, world
from tests.leads.cast import rows, until


async def test_who_picks_up_hears_who_calls_and_the_lead_is_theirs(
    database_url: str, with_person: str
) -> None:
    scenario = wishing(short())
    async with world(database_url, scenario=scenario, profile=with_person) as w:
        call = await w.ring()
        await talk_through(call, scenario)
        assert await call.ended() == "completed"
        page = await w.finished(call)
        await until(lambda: is_over(w))
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
        await until(lambda: is_over(w))
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
