"""Calls and messages belong to whose number it is, whatever names they carry (invariant 15)."""

import uuid

import pytest
from sqlmodel import select

from ivr.db.tables import (
    Channel,
    Contact,
    ContactPoint,
    Direction,
    InboundEvent,
    Message,
    MessageState,
    Purpose,
)
from tests.calls.world import SID
from tests.isolation.routes import CLIENT
from tests.isolation.telephone import CALLER, call_of, signed, twilio
from tests.isolation.town import Resident, Town
from tests.leads.cast import NOW, until

DOORS = {
    "/twilio/voice": {"CallStatus": "ringing"},
    "/twilio/voice-realtime-proxied": {"CallStatus": "ringing"},
    "/twilio/voice/after": {"CallStatus": "completed"},
    "/twilio/voice/status": {"CallStatus": "completed", "CallDuration": "1"},
    "/twilio/voice-ivr": {"CallStatus": "in-progress"},
    "/twilio/voice-ivr/collect": {"CallStatus": "in-progress", "SpeechResult": "Mallory"},
}


@pytest.mark.parametrize("path", DOORS)
async def test_a_call_to_us_touches_no_call_of_theirs_of_the_same_sid(
    town: Town, path: str
) -> None:
    await twilio(town, "/twilio/voice", town.theirs, CallSid="CA1", CallStatus="ringing")
    before = await town.rows_of(town.theirs)
    answer = await twilio(town, path, town.ours, CallSid="CA1", **DOORS[path])
    assert answer.is_success, answer.text
    assert await town.rows_of(town.theirs) == before
    assert (await call_of(town, "CA1", town.ours)).from_number == CALLER


async def test_a_message_to_us_of_a_sid_of_theirs_is_a_message_to_us(town: Town) -> None:
    await twilio(town, "/twilio/sms", town.theirs, MessageSid="SM1", Body="Hello")
    await _answered(town, town.theirs)
    before = await town.rows_of(town.theirs)
    await twilio(town, "/twilio/sms", town.ours, MessageSid="SM1", Body="Hello to you")
    await _answered(town, town.ours)
    assert await town.rows_of(town.theirs) == before


async def test_one_person_who_writes_to_two_clients_is_two_contacts(town: Town) -> None:
    for resident in (town.ours, town.theirs):
        await twilio(town, "/twilio/sms", resident, MessageSid=f"SM{resident.id}", Body="Hello")
        await _answered(town, resident)
    contacts = set()
    for resident, name in ((town.ours, "Oak Realty"), (town.theirs, "Thorn Realty")):
        (message,) = await _sent(town, resident)
        assert message.sender == resident.things["number"]
        assert name in message.body
        async with town.world.db.read() as session:
            query = (
                select(Contact.id)
                .join(ContactPoint)
                .where(Contact.tenant_id == resident.id, ContactPoint.value == CALLER)
            )
            contacts.add((await session.exec(query)).one())
    assert len(contacts) == 2


async def test_a_receipt_under_our_number_is_none_for_a_message_of_theirs(town: Town) -> None:
    message = await _message_of(town, town.theirs)
    before = await town.rows_of(town.theirs)
    fields = {
        "AccountSid": SID,
        "From": town.ours.things["number"],
        "To": CALLER,
        "MessageSid": str(message.provider_id),
        "MessageStatus": "undelivered",
        "ErrorCode": "30007",
    }
    path = "/twilio/message-status?message="
    for message_id in (message.id, uuid.uuid4()):
        answer = await signed(town, f"{path}{message_id}", fields)
        assert (answer.status_code, answer.text) == (204, "")
    assert await town.rows_of(town.theirs) == before
    fields["From"] = town.theirs.things["number"]
    await signed(town, f"{path}{message.id}", fields)
    assert (await _sent(town, town.theirs))[0].error_code == 30007, "whose it is hears of it"


async def test_a_call_stays_whose_it_was_when_its_number_moves_to_another_client(
    town: Town,
) -> None:
    sids = {path: f"CA{number}" for number, path in enumerate(DOORS)}
    for sid in sids.values():
        await twilio(town, "/twilio/voice", town.theirs, CallSid=sid, CallStatus="ringing")
    await _move_number(town)
    before = await town.rows_of(town.ours)
    for path, sid in sids.items():
        answer = await twilio(town, path, town.theirs, CallSid=sid, **DOORS[path])
        assert answer.is_success, answer.text
        over = {"CallSid": sid, "CallStatus": "completed"}
        await twilio(town, "/twilio/voice/status", town.theirs, **over)
        assert (await call_of(town, sid, town.theirs)).line_closed_at is not None, path
    assert await town.rows_of(town.ours) == before, "no lead of a call that others had"
    await twilio(town, "/twilio/voice", town.theirs, CallSid="CA99", CallStatus="ringing")
    assert await call_of(town, "CA99", town.ours), "who calls now calls the new one"


async def test_nobody_picks_up_a_transfer_whose_number_has_moved(town: Town) -> None:
    await twilio(town, "/twilio/voice", town.theirs, CallSid="CA1", CallStatus="ringing")
    await _move_number(town)
    before = await town.rows_of(town.ours)
    form = {"CallStatus": "in-progress", "DialCallStatus": "no-answer"}
    answer = await twilio(town, "/twilio/voice/after", town.theirs, CallSid="CA1", **form)
    assert answer.is_success and "Hangup" not in answer.text, "the caller comes back to us"
    assert await town.rows_of(town.ours) == before


async def test_a_receipt_finds_its_message_when_the_number_has_moved(town: Town) -> None:
    message = await _message_of(town, town.theirs)
    await _move_number(town)
    before = await town.rows_of(town.ours)
    fields = {
        "AccountSid": SID,
        "From": town.theirs.things["number"],
        "To": CALLER,
        "MessageSid": str(message.provider_id),
        "MessageStatus": "undelivered",
        "ErrorCode": "30007",
    }
    await signed(town, f"/twilio/message-status?message={message.id}", fields)
    assert [sent.error_code for sent in await _sent(town, town.theirs)] == [30007]
    assert await town.rows_of(town.ours) == before


async def _move_number(town: Town) -> None:
    """Have an operator give the number of theirs to us."""
    moved = [town.ours.things["number"], town.theirs.things["number"]]
    for resident, numbers in ((town.theirs, []), (town.ours, moved)):
        path = CLIENT.format(client_id=resident.id)
        body = {"phone_numbers": numbers}
        answer = await town.ask("PATCH", path, town.admin_key, json=body)
        assert answer.status_code == 200, answer.text


async def _message_of(town: Town, resident: Resident) -> Message:
    """Add a message that is on its way."""
    message = Message(
        tenant_id=resident.id,
        conversation_id=uuid.UUID(resident.things["conversation"]),
        direction=Direction.OUT,
        channel=Channel.SMS,
        purpose=Purpose.REPLY,
        sender=resident.things["number"],
        recipient=CALLER,
        body="Hello",
        provider_id="SM1",
        state=MessageState.SENT,
        created_at=NOW,
        updated_at=NOW,
    )
    async with town.world.db.write() as session:
        session.add(message)
    return message


async def test_a_missed_call_that_twilio_tells_is_the_called_clients(town: Town) -> None:
    before = await town.rows_of(town.theirs)
    await twilio(town, "/webhooks/missed-call", town.ours, CallSid="CA2", CallStatus="no-answer")
    assert await town.rows_of(town.theirs) == before
    async with town.world.db.read() as session:
        query = select(InboundEvent.tenant_id).where(InboundEvent.provider_id == "CA2")
        assert (await session.exec(query)).one() == town.ours.id


async def test_who_names_a_number_of_theirs_writes_from_its_own(town: Town) -> None:
    body = {"phone": CALLER, "called": town.theirs.things["number"]}
    answer = await town.ask("POST", "/webhooks/missed-call", town.ours.key, json=body)
    assert answer.is_success, answer.text
    await _answered(town, town.ours)
    (message,) = await _sent(town, town.ours)
    assert message.sender == town.ours.things["number"]
    assert await _sent(town, town.theirs) == []


async def _sent(town: Town, resident: Resident) -> list[Message]:
    async with town.world.db.read() as session:
        query = select(Message).where(Message.tenant_id == resident.id, Message.recipient == CALLER)
        return list((await session.exec(query)).all())


async def _answered(town: Town, resident: Resident) -> None:
    """Wait until the answer has arrived, and nothing more happens to it."""
    last = {MessageState.DELIVERED}

    async def is_so() -> bool:
        sent = await _sent(town, resident)
        return bool(sent) and {message.state for message in sent} <= last

    await until(is_so)
