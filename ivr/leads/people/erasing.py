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

from sqlalchemy import String, and_, case, cast, delete, literal, or_, update
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
    IdempotencyRecord,
    InboundEvent,
    Lead,
    LeadWord,
    MergeRecord,
    Message,
    OutboxEvent,
    ReviewItem,
    ReviewKind,
    Submission,
    SubmissionAttempt,
    SucceededLead,
    Task,
    Transition,
    Turn,
    UsageLog,
    WebhookDelivery,
)
from ivr.leads.people.belongings import Belongings
from ivr.leads.people.departure import OURS_SINCE
from ivr.leads.people.person import CONCLUDED_AT
from ivr.messages import consent

_BEGINNING = datetime.min.replace(tzinfo=UTC)  # the number was never anybody else's
_FORGOTTEN = "forgotten:"  # begins the `source_key` of usage whose thing is gone
# What was said, and when: by these a conversation of several people is parted.
_SAID: Mapping[Any, Any] = {
    Turn: Turn.said_at,
    Message: Message.created_at,
    InboundEvent: InboundEvent.received_at,
}


async def erase(
    session: AsyncSession, whole: Belongings, numbers: Collection[str], *, now: datetime
) -> dict[str, int]:
    """Erase a person who is locked; return how many rows of which table are gone or blank.

    `numbers` are those that only this person has.
    """
    erased: dict[str, int] = {}
    for talk in (*whole.heirs, *whole.visited):
        for table, said in await _said_by_them(session, whole, talk):
            _add(erased, table, await _do(session, delete(table).where(said)))
    rows = [(IdempotencyRecord, await _replayed(session, whole)), *_rows(whole)]
    for table, condition in rows:
        _add(erased, table, await _do(session, delete(table).where(condition)))
    _add(erased, UsageLog, await _unlink_usage(session, whole))
    await _hand_down(session, whole)
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
    yield ReviewItem, or_(_of_lead(ReviewItem, whole), _asks_about(whole))
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


def _asks_about(whole: Belongings) -> ColumnElement[bool]:
    """The question whether somebody else is this person: it has both names."""
    names = [str(contact) for contact in whole.contacts]
    detail: Any = ReviewItem.detail
    return and_(
        col(ReviewItem.tenant_id) == whole.tenant_id,
        col(ReviewItem.kind) == ReviewKind.MERGE,
        or_(*(detail[key].as_string().in_(names) for key in ("contact", "other"))),
    )


async def _replayed(session: AsyncSession, whole: Belongings) -> ColumnElement[bool]:
    """Return which answers are kept for repeats: of their leads, and of what staff wrote them."""
    query = select(Turn).where(col(Turn.conversation_id).in_(whole.conversations))
    turns = [turn for turn in (await session.exec(query)).all() if conversations.is_of_staff(turn)]
    written = [uuid.uuid5(turn.conversation_id, turn.item_id) for turn in turns]
    body: Any = IdempotencyRecord.body
    named = body["id"].as_string().in_([str(one) for one in (*whole.leads, *written)])
    return and_(col(IdempotencyRecord.tenant_id) == whole.tenant_id, named)


async def _said_by_them(
    session: AsyncSession, whole: Belongings, talk: uuid.UUID
) -> list[tuple[Any, ColumnElement[bool]]]:
    """Return what was said in a conversation of several people while this one had it."""
    conversation = await session.get_one(Conversation, talk)
    since = conversation.state.get(OURS_SINCE)
    moment = datetime.fromisoformat(since) if since else _BEGINNING
    return [
        (
            table,
            and_(
                col(table.conversation_id) == talk,
                col(at) > moment if talk in whole.heirs else col(at) <= moment,
            ),
        )
        for table, at in _SAID.items()
    ]


async def _unlink_usage(session: AsyncSession, whole: Belongings) -> int:
    """Have what was used say no more what for; sums over the business stay as they are."""
    conversation_id = col(UsageLog.conversation_id)
    theirs = or_(_of_lead(UsageLog, whole), conversation_id.in_(_own(whole)))
    going_on = select(Conversation.id).where(
        col(Conversation.streaming), col(Conversation.id).not_in(_own(whole))
    )
    grows = conversation_id.in_(going_on)  # under another name its whole sum would come again
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
        concluded = {CONCLUDED_AT: conversation.state.get(CONCLUDED_AT)}
        conversation.lead_id, conversation.summary = lead_id, None
        conversation.state = {key: at for key, at in concluded.items() if at}
    await session.flush()
