"""Of a number that several people use, one is forgotten and the others lose nothing of theirs."""

from datetime import timedelta

import pytest

from ivr.agent.dialogue import STATE
from ivr.conversations import Said, write_turn
from ivr.db import Database
from ivr.db.tables import (
    Channel,
    ConsentAction,
    ConsentEvent,
    Contact,
    Conversation,
    FieldValue,
    Lead,
    ReviewItem,
    Role,
    Turn,
    UsageLog,
)
from ivr.errors import NotFound
from ivr.leads.people import forgetting
from ivr.leads.people.addresses import TYPED
from ivr.leads.people.departure import OURS_SINCE
from ivr.leads.people.forgetting import Forgotten
from ivr.leads.people.person import CONCLUDED_AT
from ivr.messages import consent
from tests.db.every_table import all_rows, fill
from tests.leads.cast import JOHN, NOW, rows
from tests.leads.people.acquaintances import HOME, comes, contact_of, denies, lead_of, says

# By a number or a key that is no person's here, or of the business itself.
ABOUT_NOBODY = frozenset(
    "tenants phone_numbers api_keys qualification_rules alerts webhook_endpoints usage_logs "
    "lead_counts consent_events suppressions idempotency_records".split()
)
LATER = NOW + timedelta(hours=2)
# What a conversation's state keeps of him: as an import left it, as he typed, as it was concluded.
AHMEDS = {
    "imported": {"lead_data": {"hobby": "Ahmed's falcons"}},
    TYPED: {"name": "Ahmed Ali"},
    STATE: {"values": {"full_name": "Ahmed Ali"}},
    "lead_data": {"full_name": "Ahmed Ali", "zip_code": "30093"},
    "extraction": {"found": {"full_name": {"quote": "I am Ahmed"}}},
    "concluded_episode": 1,
    CONCLUDED_AT: (NOW + timedelta(hours=1)).isoformat(),
}


async def forget(db: Database, conversation: Conversation) -> Forgotten:
    """Forget whose conversation it is."""
    contact_id = await contact_of(db, conversation)
    return await forgetting.forget(
        db, conversation.tenant_id, contact_id, actor="test", now=LATER, force=True
    )


async def test_of_a_family_on_one_landline_one_is_forgotten(db: Database) -> None:
    john = await comes(db, Channel.VOICE, "CA1", number=HOME)
    await says(db, john, {"full_name": "John Doe", "zip_code": "30093"})
    jane = await comes(db, Channel.VOICE, "CA2", number=HOME, now=LATER)
    jane = await says(db, jane, {"full_name": "Jane Doe", "vehicle_year": "2020"}, now=LATER)
    async with db.write() as session:
        await consent.record(
            session,
            jane.tenant_id,
            address=HOME,
            channel="sms",
            action=ConsentAction.REVOKED,
            source="keyword",
            evidence="STOP",
            now=LATER,
        )
    known, johns = await lead_of(db, jane), await contact_of(db, john)
    await forget(db, john)
    assert await lead_of(db, jane) == known
    assert [one.id for one in await rows(db, Conversation)] == [jane.id]
    assert [one.id for one in await rows(db, Lead)] == [jane.lead_id]
    assert len(await rows(db, ConsentEvent)) == 1, "it is her number as well"
    with pytest.raises(NotFound):
        await forgetting.look(db, jane.tenant_id, johns, now=LATER)


async def two_on_one_number(db: Database) -> tuple[Lead, Lead, Conversation]:
    """Ahmed texts; later somebody else has his number and goes on in the same conversation."""
    text = await comes(db, Channel.SMS, JOHN, number=JOHN)
    await says(db, text, {"full_name": "Ahmed Ali", "zip_code": "30093"})
    ahmed = text.lead_id
    async with db.write() as session:
        row = await session.get_one(Conversation, text.id)
        row.state, row.summary = {**row.state, **AHMEDS}, "Ahmed wants to sell"
        for position, (words, at) in enumerate((("I am Ahmed", NOW), ("Not Ahmed", LATER))):
            await write_turn(session, row, Said(f"t{position}", position, Role.CALLER, words, at))
    text = await says(db, text, {"vehicle_year": "2020"}, now=LATER)
    text = await denies(db, text, recycled=True, now=LATER)
    assert text.lead_id != ahmed
    async with db.read() as session:
        return (
            await session.get_one(Lead, ahmed),
            await session.get_one(Lead, text.lead_id),
            text,
        )


async def test_who_had_the_number_before_is_forgotten_from_the_conversation(db: Database) -> None:
    ahmed, other, text = await two_on_one_number(db)
    await forgetting.forget(db, text.tenant_id, ahmed.contact_id, actor="test", now=LATER)
    assert [turn.text for turn in await rows(db, Turn)] == ["Not Ahmed"]
    assert [one.id for one in await rows(db, Lead)] == [other.id]
    assert {row.lead_id for row in await rows(db, FieldValue)} == {other.id}
    assert not [row for row in await rows(db, FieldValue) if "Ahmed" in repr(row)]


async def test_what_was_found_out_of_who_had_the_number_before_goes_too(db: Database) -> None:
    ahmed, _, text = await two_on_one_number(db)
    await forgetting.forget(db, text.tenant_id, ahmed.contact_id, actor="test", now=LATER)
    (kept,) = await rows(db, Conversation)
    assert "Ahmed" not in repr(kept) and "30093" not in repr(kept)
    assert kept.state["concluded_episode"] == 1  # it is not read once more
    assert kept.state[CONCLUDED_AT] == kept.state[OURS_SINCE] == AHMEDS[CONCLUDED_AT]


async def test_what_was_found_out_of_who_has_the_number_now_stays(db: Database) -> None:
    ahmed, _, text = await two_on_one_number(db)
    theirs = {
        "lead_data": {"vehicle_year": "2020"},
        "extraction": {"found": {"vehicle_year": {"quote": "a 2020 one"}}},
        "concluded_episode": 2,
        CONCLUDED_AT: (LATER + timedelta(hours=1)).isoformat(),
    }
    async with db.write() as session:
        row = await session.get_one(Conversation, text.id)
        row.state = {**row.state, **theirs}
    await forgetting.forget(db, text.tenant_id, ahmed.contact_id, actor="test", now=LATER)
    (kept,) = await rows(db, Conversation)
    assert kept.state == {**theirs, OURS_SINCE: AHMEDS[CONCLUDED_AT]}


async def test_who_has_the_number_now_is_forgotten_and_the_conversation_is_the_others_again(
    db: Database,
) -> None:
    ahmed, other, text = await two_on_one_number(db)
    await forgetting.forget(db, text.tenant_id, other.contact_id, actor="test", now=LATER)
    assert [turn.text for turn in await rows(db, Turn)] == ["I am Ahmed"]
    (kept,) = await rows(db, Conversation)
    assert (kept.id, kept.lead_id) == (text.id, ahmed.id)
    assert (await lead_of(db, kept))["full_name"] == "Ahmed Ali"
    assert [one.id for one in await rows(db, Lead)] == [ahmed.id]


async def test_the_question_whether_somebody_else_is_this_person_goes_too(db: Database) -> None:
    one = await comes(
        db, Channel.WEB_FORM, "f1", number=JOHN, name="Zebulon Ali", profile="courses"
    )
    form = await comes(db, Channel.WEB_FORM, "f2", number=JOHN, name="أحمد علي", profile="courses")
    (item,) = await rows(db, ReviewItem)
    assert item.conversation_id == form.id and "Zebulon" in repr(item.detail)
    await forget(db, one)
    assert await rows(db, ReviewItem) == []
    assert len(await rows(db, Contact)) == 1


async def test_of_all_tables_only_those_that_are_about_nobody_keep_a_row(db: Database) -> None:
    """A new table that refers to a person, a lead or a conversation must be erased as well."""
    of_one = await fill(db)
    tenant_id, contact_id = of_one["tenants"]["id"], of_one["contacts"]["id"]
    now = NOW + timedelta(days=1)
    await forgetting.forget(db, tenant_id, contact_id, actor="test", now=now)
    left = {name for name, found in (await all_rows(db, tenant_id)).items() if found}
    assert left == ABOUT_NOBODY
    (used,) = await rows(db, UsageLog)
    assert (used.lead_id, used.conversation_id) == (None, None)
    assert of_one["usage_logs"]["source_key"] not in used.source_key
