"""What is written down before anybody is greeted."""

import asyncio

import pytest

from ivr.db import Database
from ivr.db.tables import (
    Contact,
    ContactPoint,
    Conversation,
    FieldValue,
    InboundEvent,
    Lead,
    Transition,
)
from ivr.leads.intake import caller_number
from tests.leads.cast import JOHN, call, rows


async def test_a_call_is_a_contact_a_lead_and_a_conversation(db: Database) -> None:
    conversation = await call(db)
    [lead] = await rows(db, Lead)
    [point] = await rows(db, ContactPoint)
    [moved] = await rows(db, Transition)
    [value] = await rows(db, FieldValue)
    assert conversation.lead_id == lead.id
    assert (point.kind, point.value, point.contact_id) == ("phone", JOHN, lead.contact_id)
    assert (moved.from_value, moved.to_value, moved.seq) == (None, "NEW", 1)
    assert (value.name, value.value, value.source) == ("phone", JOHN, "caller_id")


async def test_the_same_call_twice_is_one_conversation(db: Database) -> None:
    first, second = await call(db, sid="CA1"), await call(db, sid="CA1")
    assert first.id == second.id
    assert len(await rows(db, InboundEvent)) == 1


async def test_the_same_call_ten_times_at_once_is_one_conversation(db: Database) -> None:
    await call(db, sid="CA0", caller=None)
    conversations = await asyncio.gather(*(call(db, sid="CA1") for _ in range(10)))
    assert len({conversation.id for conversation in conversations}) == 1
    assert len(await rows(db, Conversation)) == 2


async def test_one_person_calling_again_keeps_the_open_lead(db: Database) -> None:
    first, second = await call(db, sid="CA1"), await call(db, sid="CA2")
    assert first.id != second.id
    assert first.lead_id == second.lead_id
    assert len(await rows(db, Contact)) == 1


async def test_a_withheld_number_is_a_new_person_each_time(db: Database) -> None:
    await call(db, sid="CA1", caller=None)
    await call(db, sid="CA2", caller=None)
    assert len(await rows(db, Lead)) == 2
    assert await rows(db, ContactPoint) == []
    assert await rows(db, FieldValue) == []


async def test_a_number_that_the_profile_would_refuse_is_no_phone_number_of_the_lead(
    db: Database,
) -> None:
    conversation = await call(db, caller="+447911123456")
    assert await rows(db, FieldValue) == []
    assert conversation.from_number == "+447911123456"


@pytest.mark.parametrize(
    ("raw", "number"),
    [
        (JOHN, JOHN),
        ("anonymous", None),
        ("+266696687", None),
        ("sip:john@example.com", None),
        ("client:john", None),
        ("", None),
        (None, None),
    ],
)
def test_only_a_real_number_is_a_callers_number(raw: str | None, number: str | None) -> None:
    assert caller_number(raw) == number
