"""Erases what one person has, row by row; who it is and whether it may be done, others decide.

Rows that are about the person go: what is counted is counted afresh, so counts and statistics are
those of the rows that are left. These stay:
- `usage_logs`: what it took and cost; no lead, no conversation, no name of the thing any more, but
  where a call that is another's by now still goes on: that row grows;
- `conversation_sessions` of a number that somebody else uses as well: they go to the other's lead,
  without what was said while this person had the number;
- `suppressions`: the hash of a number that had said STOP.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import String, and_, case, cast, delete, exists, literal, or_, update
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db.tables import (
    Contact,
    ContactPoint,
    Conversation,
    Escalation,
    FailedLead,
    FieldValue,
    InboundEvent,
    Lead,
    LeadWord,
    MergeRecord,
    Message,
    OutboxEvent,
    ReviewItem,
    Submission,
    SubmissionAttempt,
    SucceededLead,
    Task,
    Transition,
    Turn,
    UsageLog,
    WebhookDelivery,
)
from ivr.leads.people import mentions
from ivr.leads.people.addresses import CHAT_ID
from ivr.leads.people.belongings import Belongings
from ivr.leads.people.departure import OURS_SINCE
from ivr.leads.people.mentions import Mentions
from ivr.leads.people.person import (
    CONCLUDED_AT,
    CONCLUDED_EPISODE,
    EXTRACTION,
    LEAD_DATA,
    RESUMED,
    since_of,
)
from ivr.messages import consent

_BEGINNING = datetime.min.replace(tzinfo=UTC)  # the number was never anybody else's
_FORGOTTEN = "forgotten:"  # begins the `source_key` of usage whose thing is gone
# What was said, and when: by these a conversation of several people is parted.
_SAID: Mapping[Any, Any] = {
    Turn: Turn.said_at,
    Message: Message.created_at,
    InboundEvent: InboundEvent.received_at,
}
# What of a conversation's state is about no person: its address, and how far it was finished.
_NOBODYS = (CHAT_ID, CONCLUDED_AT, CONCLUDED_EPISODE, RESUMED)


async def erase(
    session: AsyncSession,
    whole: Belongings,
    numbers: Collection[str],
    mentioned: Mapping[Any, Mentions],
    *,
    now: datetime,
) -> dict[str, int]:
    """Erase a person who is locked; return how many rows of which table are gone or blank.

    `numbers` are those that only this person has; `mentioned`: what `mentions.look` found before.
    """
    erased: dict[str, int] = {}
    for talk in sorted((*whole.heirs, *whole.visited)):
        conversation = await conversations.lock(session, talk)
        for table, said in _said_by_them(whole, conversation):
            _add(erased, table, await _do(session, delete(table).where(said)))
    for table, ids in (await mentions.all_of(session, whole, mentioned)).items():
        _add(erased, table, await _do(session, delete(table).where(col(table.id).in_(ids))))
    for table, condition in _rows(whole):
        _add(erased, table, await _do(session, delete(table).where(condition)))
    _add(erased, UsageLog, await _unlink_usage(session, whole))
    await _hand_down(session, whole)
    await _move_out(session, whole)
    for table, condition in _trunk(whole):
        _add(erased, table, await _do(session, delete(table).where(condition)))
    for number in numbers:
        await consent.forget(session, whole.tenant_id, number, now=now)
    return {name: count for name, count in erased.items() if count}


def _add(erased: dict[str, int], table: Any, count: int) -> None:
    erased[table.__tablename__] = erased.get(table.__tablename__, 0) + count


async def _do(session: AsyncSession, statement: Any) -> int:
    result = await session.exec(statement.execution_options(synchronize_session=False))
    return int(result.rowcount)


def _rows(whole: Belongings) -> Iterator[tuple[Any, ColumnElement[bool]]]:
    """Yield what hangs on leads and conversations, what hangs on others first."""
    theirs = _of_lead(Submission, whole)
    submissions = select(Submission.id).where(theirs)
    events = select(OutboxEvent.id).where(_of_lead(OutboxEvent, whole))
    yield LeadWord, _of_lead(LeadWord, whole)
    yield FieldValue, _of_lead(FieldValue, whole)
    yield ReviewItem, _of_lead(ReviewItem, whole)
    for table in (SubmissionAttempt, SucceededLead, FailedLead):
        yield table, col(table.submission_id).in_(submissions)
    yield Submission, theirs
    yield WebhookDelivery, col(WebhookDelivery.event_id).in_(events)
    for one in (OutboxEvent, Task, Escalation, Transition):
        yield one, _of_lead(one, whole)
    for said in _SAID:
        yield said, col(said.conversation_id).in_(_own(whole))


def _trunk(whole: Belongings) -> Iterator[tuple[Any, ColumnElement[bool]]]:
    """Yield the person, when nothing hangs on them any more."""
    contacts = whole.contacts
    yield Conversation, col(Conversation.id).in_(_own(whole))
    yield Lead, col(Lead.id).in_(whole.leads)
    merged = or_(col(MergeRecord.kept_id).in_(contacts), col(MergeRecord.gone_id).in_(contacts))
    yield MergeRecord, merged
    yield ContactPoint, col(ContactPoint.contact_id).in_(contacts)
    yield Contact, col(Contact.id).in_(contacts)


def _own(whole: Belongings) -> list[uuid.UUID]:
    return [one for one in whole.conversations if one not in whole.heirs]


def _of_lead(table: Any, whole: Belongings) -> ColumnElement[bool]:
    return col(table.lead_id).in_(whole.leads)


def _said_by_them(
    whole: Belongings, conversation: Conversation
) -> list[tuple[Any, ColumnElement[bool]]]:
    """Return what was said in a conversation of several people while this one had it."""
    moment = _handed_on(conversation) or _BEGINNING
    return [
        (
            table,
            and_(
                col(table.conversation_id) == conversation.id,
                col(at) > moment if conversation.id in whole.heirs else col(at) <= moment,
            ),
        )
        for table, at in _SAID.items()
    ]


def _handed_on(conversation: Conversation) -> datetime | None:
    """Return since when the present person has had a conversation; None: it was nobody else's."""
    since = conversation.state.get(OURS_SINCE)
    return datetime.fromisoformat(since) if since else None


async def _unlink_usage(session: AsyncSession, whole: Belongings) -> int:
    """Have what was used say no more what for; sums over the business stay as they are."""
    conversation_id = col(UsageLog.conversation_id)
    theirs = or_(_of_lead(UsageLog, whole), conversation_id.in_(_own(whole)))
    grows = exists().where(  # under another name its whole sum would come again
        col(Conversation.id) == conversation_id,
        col(Conversation.streaming),
        col(Conversation.id).not_in(_own(whole)),
    )
    nameless = literal(_FORGOTTEN) + cast(col(UsageLog.id), String)
    return await _do(
        session,
        update(UsageLog)
        .where(theirs)
        .values(
            lead_id=None,
            conversation_id=case((grows, conversation_id), else_=None),
            source_key=case((grows, col(UsageLog.source_key)), else_=nameless),
        ),
    )


async def _hand_down(session: AsyncSession, whole: Belongings) -> None:
    """Give conversations of a shared number to the lead that is left."""
    for talk, lead_id in whole.heirs.items():
        conversation = await session.get_one(Conversation, talk)
        conversation.lead_id, conversation.summary = lead_id, None
        conversation.state = _kept(conversation, _NOBODYS)
    await session.flush()


async def _move_out(session: AsyncSession, whole: Belongings) -> None:
    """Have conversations that others took over keep nothing of what was found out before that."""
    for talk in whole.visited:
        conversation = await session.get_one(Conversation, talk)
        handed_on, concluded = _handed_on(conversation), since_of(conversation)
        if handed_on is None:
            continue
        is_the_others = concluded is not None and concluded > handed_on
        found_out = (LEAD_DATA, EXTRACTION) if is_the_others else ()
        conversation.state = _kept(conversation, (*_NOBODYS, OURS_SINCE, *found_out))
        conversation.summary = None  # of an import, so of who was there first
    await session.flush()


def _kept(conversation: Conversation, names: Collection[str]) -> dict[str, Any]:
    return {key: it for key, it in conversation.state.items() if key in names}
