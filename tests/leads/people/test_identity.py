"""Who is one person, who is not, and what nobody may be shown."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from ivr.db import Database
from ivr.db.tables import (
    Channel,
    Contact,
    ContactPoint,
    Conversation,
    Lead,
    Lifecycle,
    MergeRecord,
    ReviewItem,
    ReviewKind,
    Source,
    Submission,
    SubmissionState,
    Tenant,
)
from ivr.errors import Conflict, NotFound
from ivr.leads import values
from ivr.leads.attention import merge_review
from ivr.leads.people import identity
from ivr.leads.profile import load_profile
from tests.leads.cast import JOHN, NOW, rows
from tests.leads.people.acquaintances import (
    HOME,
    comes,
    contact_of,
    denies,
    lead_of,
    owner_of,
    picture,
    says,
    sees,
    settled,
)

LATER = NOW + timedelta(hours=1)


async def open_leads(db: Database) -> list[Lead]:
    return [lead for lead in await rows(db, Lead) if lead.closed_at is None]


async def questions(db: Database) -> list[ReviewItem]:
    return [item for item in await rows(db, ReviewItem) if item.kind == ReviewKind.MERGE]


async def test_one_number_by_phone_sms_and_whatsapp_is_one_contact_with_one_open_lead(
    db: Database,
) -> None:
    for channel in (Channel.VOICE, Channel.SMS, Channel.WHATSAPP, Channel.MISSED_CALL):
        await comes(db, channel, f"{channel}-1", number=JOHN)
    (contact,) = await rows(db, Contact)
    (lead,) = await rows(db, Lead)
    (point,) = await rows(db, ContactPoint)
    assert (point.kind, point.verified, lead.contact_id) == ("phone", True, contact.id)
    assert lead.last_inbound_at == NOW


async def test_web_form_then_sms_then_call_is_one_contact_with_one_open_lead(db: Database) -> None:
    await comes(db, Channel.WEB_FORM, "form-1", number=JOHN, name="John Doe", email="j@example.com")
    (point, _) = sorted(await rows(db, ContactPoint), key=lambda it: it.kind, reverse=True)
    assert (point.value, point.verified) == (JOHN, False)
    text = await comes(db, Channel.SMS, JOHN, number=JOHN, now=LATER)
    call = await comes(db, Channel.VOICE, "CA1", number=JOHN, now=LATER)
    assert text.lead_id == call.lead_id
    assert len(await rows(db, Contact)) == len(await open_leads(db)) == 1
    assert (await sees(db, call))["full_name"] == "John Doe"


async def test_a_chat_that_gives_the_number_joins_the_caller_and_the_older_lead_stays(
    db: Database,
) -> None:
    call = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, call, {"full_name": "John Doe", "zip_code": "30093"})
    chat = await comes(db, Channel.CHAT, "s1", now=LATER)
    chat = await says(
        db, chat, {"full_name": "John", "phone": JOHN, "vehicle_year": "2020"}, now=LATER
    )
    assert chat.lead_id == call.lead_id
    assert await contact_of(db, chat) == await contact_of(db, call)
    known = await lead_of(db, call)
    assert (known["zip_code"], known["vehicle_year"]) == ("30093", "2020")
    (merged,) = [lead for lead in await rows(db, Lead) if lead.closed_at is not None]
    assert merged.lifecycle == Lifecycle.MERGED
    assert merged.lost_reason == f"merged into {call.lead_id}"


async def test_who_types_anothers_email_gets_nothing_of_theirs_shown(db: Database) -> None:
    theirs = await comes(db, Channel.CHAT, "s1", profile="courses", email="sara@example.com")
    await says(db, theirs, {"name": "Sara Khan", "goal": "to be rich"}, profile="courses")
    attacker = await comes(db, Channel.CHAT, "s2", profile="courses", now=LATER)
    async with db.write() as session:
        row = await session.get_one(Conversation, attacker.id)
        row.state = {**row.state, identity.TYPED: {"email": "Sara@example.com"}}
    attacker = await settled(db, attacker, profile="courses", now=LATER)
    assert attacker.lead_id == theirs.lead_id, "nothing contradicts: it is one lead"
    assert await sees(db, attacker) == {}
    again = await comes(db, Channel.CHAT, "s2", profile="courses", now=LATER)
    assert await sees(db, again) == {}
    await says(db, attacker, {"goal": "to know"}, profile="courses", now=LATER)
    assert await sees(db, attacker) == {"goal": "to know"}


async def test_who_types_anothers_number_gets_nothing_of_theirs_shown_but_not_the_reverse(
    db: Database,
) -> None:
    call = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, call, {"full_name": "John Doe", "zip_code": "30093"})
    chat = await comes(db, Channel.CHAT, "s1", now=LATER)
    chat = await says(db, chat, {"phone": JOHN, "vehicle_year": "2020"}, now=LATER)
    assert await sees(db, chat) == {"phone": JOHN, "vehicle_year": "2020"}
    text = await comes(db, Channel.SMS, JOHN, number=JOHN, now=LATER)
    assert set(await sees(db, text)) == {"full_name", "zip_code", "phone", "vehicle_year"}


async def test_a_family_on_one_landline_is_several_people(db: Database) -> None:
    john = await comes(db, Channel.VOICE, "CA1", number=HOME)
    await says(db, john, {"full_name": "John Doe", "zip_code": "30093"})
    jane = await comes(db, Channel.VOICE, "CA2", number=HOME, now=LATER)
    assert jane.lead_id == john.lead_id
    jane = await says(db, jane, {"full_name": "Jane Doe", "vehicle_year": "2020"}, now=LATER)
    assert jane.lead_id != john.lead_id
    assert await lead_of(db, jane) == {
        "full_name": "Jane Doe",
        "phone": HOME,
        "vehicle_year": "2020",
    }
    assert (await lead_of(db, john))["zip_code"] == "30093"
    assert "vehicle_year" not in await lead_of(db, john)
    assert await owner_of(db, "phone", HOME) == await contact_of(db, john)
    again = await comes(db, Channel.VOICE, "CA3", number=HOME, now=LATER)
    assert await sees(db, again) == {}, "nobody knows yet which of them it is"
    again = await says(db, again, {"full_name": "Jane"}, now=LATER)
    assert again.lead_id == jane.lead_id
    assert (await sees(db, again))["vehicle_year"] == "2020"
    assert len(await rows(db, Contact)) == 2


async def test_a_recycled_number_goes_to_who_has_it_now(db: Database) -> None:
    ahmed = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, ahmed, {"full_name": "Ahmed Ali", "zip_code": "30093"})
    other = await comes(db, Channel.VOICE, "CA2", number=JOHN, now=LATER)
    await says(db, other, {"vehicle_year": "2020"}, now=LATER)
    other = await denies(db, other, recycled=True, now=LATER)
    assert (await lead_of(db, other))["vehicle_year"] == "2020"
    assert await lead_of(db, ahmed) == {
        "full_name": "Ahmed Ali",
        "zip_code": "30093",
        "phone": JOHN,
    }
    assert await owner_of(db, "phone", JOHN) == await contact_of(db, other)
    assert (await denies(db, other, recycled=True, now=LATER)).lead_id == other.lead_id
    text = await comes(db, Channel.SMS, JOHN, number=JOHN, now=LATER)
    assert text.lead_id == other.lead_id


async def test_this_is_not_ahmed_leaves_his_lead_and_the_number_stays_shared(db: Database) -> None:
    ahmed = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, ahmed, {"full_name": "Ahmed Ali"})
    text = await comes(db, Channel.SMS, JOHN, number=JOHN, now=LATER)
    text = await denies(db, text, now=LATER)
    assert text.lead_id != ahmed.lead_id
    assert await sees(db, text) == {}
    assert await owner_of(db, "phone", JOHN) == await contact_of(db, ahmed)
    assert len(await open_leads(db)) == 2


async def test_a_mistyped_number_of_somebody_else_merges_nobody(db: Database) -> None:
    john = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, john, {"full_name": "John Doe"})
    form = await comes(
        db, Channel.WEB_FORM, "form-1", number=JOHN, name="Mary Major", email="m@example.com"
    )
    assert form.lead_id != john.lead_id
    assert await owner_of(db, "phone", JOHN) == await contact_of(db, john)
    assert await owner_of(db, "email", "m@example.com") == await contact_of(db, form)
    (item,) = await questions(db)
    assert (item.conversation_id, item.detail["verdict"]) == (form.id, "clash")
    await settled(db, form)
    assert len(await questions(db)) == 1, "asked once"
    assert await rows(db, MergeRecord) == []


async def test_a_mistyped_number_is_given_back_when_the_name_comes_later(db: Database) -> None:
    john = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, john, {"full_name": "John Doe", "zip_code": "30093"})
    chat = await comes(db, Channel.CHAT, "s1", now=LATER)
    own = chat.lead_id
    chat = await says(db, chat, {"phone": JOHN, "vehicle_year": "2020"}, now=LATER)
    assert chat.lead_id == john.lead_id
    chat = await says(db, chat, {"full_name": "Mary Major"}, now=LATER)
    assert chat.lead_id == own
    assert await lead_of(db, chat) == {
        "phone": JOHN,
        "vehicle_year": "2020",
        "full_name": "Mary Major",
    }
    assert await lead_of(db, john) == {"full_name": "John Doe", "zip_code": "30093", "phone": JOHN}
    assert await owner_of(db, "chat", "s1") == await contact_of(db, chat)
    assert len(await open_leads(db)) == 2
    assert (await settled(db, chat, now=LATER)).lead_id == own, "and they are left apart"


async def test_the_holder_of_a_number_that_another_only_typed_takes_it(db: Database) -> None:
    chat = await comes(db, Channel.CHAT, "s1")
    await says(db, chat, {"full_name": "Mary Major", "phone": JOHN})
    call = await comes(db, Channel.VOICE, "CA1", number=JOHN, now=LATER)
    call = await says(db, call, {"full_name": "John Doe"}, now=LATER)
    assert call.lead_id != chat.lead_id
    assert await owner_of(db, "phone", JOHN) == await contact_of(db, call)


async def test_names_in_two_scripts_are_a_question_to_a_person(db: Database) -> None:
    await comes(db, Channel.WEB_FORM, "f1", number=JOHN, name="Ahmed Ali", profile="courses")
    form = await comes(db, Channel.WEB_FORM, "f2", number=JOHN, name="أحمد علي", profile="courses")
    (item,) = await questions(db)
    assert (item.conversation_id, item.detail["verdict"]) == (form.id, "unclear")
    assert len(await open_leads(db)) == 2


async def test_a_name_misheard_on_ones_own_number_is_no_other_person(db: Database) -> None:
    first = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, first, {"full_name": "John Doe"})
    second = await comes(db, Channel.VOICE, "CA2", number=JOHN, now=LATER)
    second = await says(db, second, {"full_name": "Jon Doe"}, now=LATER)
    assert second.lead_id == first.lead_id
    assert [item.detail["verdict"] for item in await questions(db)] == ["unclear"]


async def test_a_lead_that_is_being_sent_is_merged_when_its_answer_is_there(db: Database) -> None:
    call = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    async with db.write() as session:
        session.add(
            Submission(
                tenant_id=call.tenant_id,
                lead_id=call.lead_id,
                conversation_id=call.id,
                episode=1,
                target="npa",
                channel="voice",
                state=SubmissionState.IN_FLIGHT,
                created_at=NOW,
                updated_at=NOW,
            )
        )
    chat = await says(db, await comes(db, Channel.CHAT, "s1", now=LATER), {"phone": JOHN})
    assert chat.lead_id != call.lead_id
    async with db.write() as session:
        (sent,) = await rows(db, Submission)
        (await session.get_one(Submission, sent.id)).state = SubmissionState.HELD
    assert (await settled(db, chat, now=LATER)).lead_id == call.lead_id


async def test_the_submission_that_waits_comes_along(db: Database) -> None:
    call = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    chat = await comes(db, Channel.CHAT, "s1", now=LATER)
    async with db.write() as session:
        waiting = Submission(
            tenant_id=chat.tenant_id,
            lead_id=chat.lead_id,
            conversation_id=chat.id,
            episode=1,
            target="npa",
            channel="chat",
            created_at=NOW,
            updated_at=NOW,
        )
        session.add(waiting)
    await says(db, chat, {"phone": JOHN}, now=LATER)
    assert [row.lead_id for row in await rows(db, Submission)] == [call.lead_id]


async def both_say(db: Database, one: Conversation, other: Conversation) -> None:
    """Have two conversations give the number of a third at the same moment, like two workers."""

    async def one_says(conversation: Conversation) -> None:
        await says(db, conversation, {"phone": JOHN, "full_name": "John Doe"}, now=LATER)

    await asyncio.gather(one_says(one), one_says(other))


async def test_two_that_turn_out_to_be_one_at_the_same_moment_are_one(db: Database) -> None:
    for number in range(5):
        call = await comes(db, Channel.VOICE, f"CA{number}", number=JOHN)
        chat = await comes(db, Channel.CHAT, f"chat-{number}", now=LATER)
        other = await comes(db, Channel.LIVE_CHAT, f"live-{number}", now=LATER)
        await both_say(db, chat, other)
        owners = {await contact_of(db, it) for it in (call, chat, other)}
        assert len(owners) == 1
        assert len(await open_leads(db)) == 1


async def arrives(db: Database, number: int) -> Conversation:
    """Have somebody call; who comes at the same moment as another one tries again."""
    try:
        return await comes(db, Channel.VOICE, f"CA{number}", number=JOHN)
    except IntegrityError:
        return await comes(db, Channel.VOICE, f"CA{number}", number=JOHN)


async def test_who_calls_while_two_are_made_one_is_on_the_lead_that_stays(db: Database) -> None:
    call = await comes(db, Channel.VOICE, "CA0", number=JOHN)
    chat = await comes(db, Channel.CHAT, "s1", now=NOW - timedelta(hours=1))
    await asyncio.gather(
        says(db, chat, {"phone": JOHN}, now=LATER), *(arrives(db, number) for number in (1, 2, 3))
    )
    (lead,) = await open_leads(db)
    assert {it.lead_id for it in await rows(db, Conversation)} == {lead.id} == {chat.lead_id}
    assert await contact_of(db, call) == lead.contact_id


def without_stages(picture: dict[str, Any]) -> dict[str, Any]:
    """A picture without what follows from the values, and without their order."""
    return {**picture, "leads": {lead[:5] for lead in picture["leads"]}}


async def test_a_merge_is_undone_by_its_record_once(db: Database) -> None:
    call = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, call, {"full_name": "John Doe", "zip_code": "30093"})
    chat = await comes(db, Channel.CHAT, "s1", now=LATER)
    await says(db, chat, {"full_name": "John"}, now=LATER)
    async with db.write() as session:  # noted, and nobody has looked yet
        row = await session.get_one(Conversation, chat.id)
        row.state = {**row.state, identity.TYPED: {"phone": JOHN}}
    before = await picture(db)
    await settled(db, chat, now=LATER)
    (record,) = await rows(db, MergeRecord)
    async with db.write() as session:
        await identity.split(session, call.tenant_id, record.id, load_profile, now=LATER)
    after = await picture(db)
    assert without_stages(after) == without_stages(before)
    with pytest.raises(Conflict):
        async with db.write() as session:
            await identity.split(session, call.tenant_id, record.id, load_profile, now=LATER)
    with pytest.raises(NotFound):
        async with db.write() as session:
            await identity.split(session, record.kept_id, record.id, load_profile, now=LATER)
    chat = await settled(db, chat, now=LATER)
    assert chat.lead_id != call.lead_id, "a person has decided that they are two"


async def test_a_person_who_corrects_their_name_is_no_other_person(sqlite_db: Database) -> None:
    db = sqlite_db
    john = await comes(db, Channel.VOICE, "CA1", number=HOME)
    await says(db, john, {"full_name": "John Doe"})
    other = await comes(db, Channel.VOICE, "CA2", number=HOME, now=LATER)
    other = await says(db, other, {"full_name": "Jane Doe"}, now=LATER)
    corrected = await says(db, other, {"full_name": "Mary Roe"}, now=LATER)
    assert corrected.lead_id == other.lead_id
    first = await says(db, john, {"full_name": "Steven Doe"}, now=LATER)
    assert first.lead_id == john.lead_id
    assert len(await rows(db, Contact)) == 2


async def test_a_person_may_say_that_two_are_one_or_that_they_are_two(db: Database) -> None:
    first = await comes(db, Channel.WEB_FORM, "f1", number=JOHN, name="Ahmed Ali")
    for number, (name, are_one) in enumerate((("أحمد علي", True), ("Mary Major", False))):
        form = await comes(
            db, Channel.WEB_FORM, f"other-{number}", number=JOHN, name=name, now=LATER
        )
        (item,) = [it for it in await questions(db) if it.resolved_at is None]
        async with db.write() as session:
            tenant = await session.get_one(Tenant, form.tenant_id)
            await merge_review.decide(
                session, load_profile, tenant, item.id, are_one=are_one, now=LATER
            )
        moved = (await settled(db, form, now=LATER)).lead_id
        assert (moved == first.lead_id) is are_one
        with pytest.raises(Conflict):
            async with db.write() as session:
                await merge_review.decide(
                    session, load_profile, tenant, item.id, are_one=are_one, now=LATER
                )
    assert [it for it in await questions(db) if it.resolved_at is None] == []


async def test_a_person_may_say_that_a_misheard_name_was_another_persons(
    sqlite_db: Database,
) -> None:
    db = sqlite_db
    john = await comes(db, Channel.VOICE, "CA1", number=JOHN)
    await says(db, john, {"full_name": "John Doe"})
    joan = await comes(db, Channel.VOICE, "CA2", number=JOHN, now=LATER)
    await says(db, joan, {"full_name": "Joan Doe", "vehicle_year": "2020"}, now=LATER)
    (item,) = await questions(db)
    async with db.write() as session:
        tenant = await session.get_one(Tenant, john.tenant_id)
        await merge_review.decide(session, load_profile, tenant, item.id, are_one=False, now=LATER)
    assert (await lead_of(db, joan))["vehicle_year"] == "2020"
    assert "vehicle_year" not in await lead_of(db, john)


async def test_what_a_call_saves_for_a_lead_that_was_merged_meanwhile_comes_along(
    db: Database,
) -> None:
    older = await comes(db, Channel.CHAT, "s1", now=NOW - timedelta(hours=1))
    call = await comes(db, Channel.VOICE, "CA1", number=JOHN)  # held by its carrier as it is now
    await says(db, older, {"phone": JOHN})
    async with db.write() as session:
        await values.add(
            session,
            call,
            name="zip_code",
            value="30093",
            raw="30093",
            source=Source.TOOL,
            now=LATER,
        )
    assert "zip_code" not in await lead_of(db, older)
    async with db.write() as session:
        await identity.settle_at_the_end(session, call, load_profile("powersports"), now=LATER)
    assert (await lead_of(db, older))["zip_code"] == "30093"
