"""Whoever turns out to be one person or two: each complete lead is handed over, once, or waits."""

from datetime import datetime, timedelta
from typing import Any

from ivr.db import Database
from ivr.db.tables import (
    Channel,
    Conversation,
    ConversationStatus,
    Submission,
    SubmissionState,
)
from ivr.leads import conclusion
from ivr.leads.extraction import Extraction
from ivr.leads.people import merging
from ivr.leads.profile import load_profile
from tests.leads.cast import LEAD, NOW, rows
from tests.leads.people.acquaintances import comes, contact_of, says, sees

OFFICE = "+17705550150"  # the number that every caller of a firm shows
LATER = NOW + timedelta(minutes=5)


async def ends(db: Database, conversation: Conversation, *, now: datetime = NOW) -> Any:
    """Have a conversation concluded and closed, as the road does."""
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        row.finish_after, row.end_reason = now, "goodbye"
    async with db.write() as session:
        concluded = await conclusion.conclude(
            session,
            load_profile,
            conversation.id,
            conversation.episode,
            Extraction(by="rules"),
            now=now,
        )
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        row.status, row.finished_at = ConversationStatus.FINISHED, now
    return concluded


async def waiting_for(db: Database) -> list[Submission]:
    return [it for it in await rows(db, Submission) if it.state == SubmissionState.PENDING]


async def test_a_colleague_at_the_same_number_takes_no_lead_along(sqlite_db: Database) -> None:
    db = sqlite_db
    john = await comes(db, Channel.VOICE, "CA1", number=OFFICE)
    mary = await comes(db, Channel.VOICE, "CA2", number=OFFICE)
    john = await says(db, john, {**LEAD, "phone": OFFICE})
    await ends(db, john)
    mary = await says(db, mary, {"full_name": "Mary Major", "zip_code": "30094"}, now=LATER)
    assert mary.lead_id != john.lead_id
    await ends(db, mary, now=LATER)
    assert john.lead_id in {it.lead_id for it in await waiting_for(db)}


async def test_two_leads_that_wait_to_be_sent_are_sent_once_when_they_become_one(
    db: Database,
) -> None:
    first = await comes(db, Channel.VOICE, "CA1", number="+17705550101")
    await says(db, first, {**LEAD, "phone": "+17705550101"})
    await ends(db, first)
    second = await comes(db, Channel.VOICE, "CA2", number="+17705550102", now=LATER)
    await says(db, second, {**LEAD, "phone": "+17705550102", "zip_code": "30094"}, now=LATER)
    await ends(db, second, now=LATER)
    assert len(await waiting_for(db)) == 2
    ids = [await contact_of(db, it) for it in (first, second)]
    async with db.write() as session:
        one, other = await merging.lock_contacts(session, ids)
        record = await merging.merge(session, one, other, reason="a test", now=LATER)
        assert record is not None
    assert [it.lead_data["zip_code"] for it in await waiting_for(db)] == ["30094"]
    async with db.write() as session:
        await merging.split(session, record.tenant_id, record.id, load_profile, now=LATER)
    assert len({it.lead_id for it in await waiting_for(db)}) == 2


async def test_a_chat_that_calls_itself_by_somebodys_number_sees_nothing_of_theirs(
    sqlite_db: Database,
) -> None:
    db = sqlite_db
    john = await comes(db, Channel.VOICE, "CA1", number="+17705550101")
    await says(db, john, {**LEAD, "phone": "+17705550101"})
    chat = await comes(db, Channel.LIVE_CHAT, "+17705550101", now=LATER)
    chat = await says(db, chat, {"phone": "+17705550101"}, now=LATER)
    assert chat.lead_id == john.lead_id
    assert await sees(db, chat) == {"phone": "+17705550101"}
