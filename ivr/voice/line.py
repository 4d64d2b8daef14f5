"""What is known of the phone call itself: whether it is over, and who makes sure of that, when.

Whoever cares for a call says in its row until when (`conversations.continue_until`, `expect_end`).
The sweeper claims the rows whose time has come; two processes never get the same one.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, func, not_, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.costs import usage
from ivr.db.tables import Channel, Conversation
from ivr.voice import bill
from ivr.voice.commands import EndReason

# Twilio: twiml/dial, timeLimit: four hours unless it says otherwise.
LONGEST_DIAL = timedelta(hours=4, minutes=5)
HANG_UP_TIME = timedelta(seconds=30)  # for the last words, and for Twilio to say that it is over


async def expect_end(session: AsyncSession, conversation_id: uuid.UUID, by: datetime) -> None:
    """Note that Twilio tells of the call's end until `by`, or is asked."""
    await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id, col(Conversation.line_closed_at).is_(None))
        .values(line_due_at=by, line_tries=0)
    )


async def closed(
    session: AsyncSession,
    call: Conversation,
    form: Mapping[str, str],
    *,
    now: datetime,
    longest: timedelta,
) -> None:
    """Note that the phone call is over: nothing of it goes on, whatever still comes.

    Only the first one to say so is believed, but how long it took, Twilio knows best; `form` is
    what it said, if it was Twilio, and `longest` how long a call with us may last.
    """
    row = await conversations.by_id(session, call.id)
    if row.end_reason == EndReason.TRANSFER:
        longest += LONGEST_DIAL
    took, used = bill.of_call(row, form, now=now, longest=longest), [bill.of_gathers(row)]
    if bill.is_told(form):  # also where it comes after what our clock said
        so_far = usage.SoFar(call.tenant_id, call.id, [took])
        await usage.note_so_far(session, [so_far], now=now)
    else:
        used.append(took)
    if call.line_closed_at is None:
        await usage.note(session, call.tenant_id, call.id, used, now=now)
    await conversations.call_over(session, call.id, now=now)
    await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == call.id)
        .values(line_closed_at=func.coalesce(Conversation.line_closed_at, now), line_due_at=None)
    )


async def due(session: AsyncSession, now: datetime, *, limit: int) -> Sequence[Conversation]:
    """Return the calls that nobody has cared for in time, the longest neglected first."""
    query = (
        select(Conversation)
        .where(
            Conversation.channel == Channel.VOICE,
            col(Conversation.line_due_at) <= now,
            col(Conversation.line_closed_at).is_(None),
        )
        .order_by(col(Conversation.line_due_at))
        .limit(limit)
    )
    return (await session.exec(query)).all()


async def far(
    session: AsyncSession, *, than: datetime, dialling_than: datetime
) -> Sequence[Conversation]:
    """Return the calls that nobody would look at before these times."""
    moment = col(Conversation.line_due_at)
    is_dialling = col(Conversation.end_reason).is_not_distinct_from(EndReason.TRANSFER)
    query = select(Conversation).where(
        Conversation.channel == Channel.VOICE,
        or_(moment > dialling_than, and_(moment > than, not_(is_dialling))),
        col(Conversation.line_closed_at).is_(None),
    )
    return (await session.exec(query)).all()


async def move(
    session: AsyncSession, conversation: Conversation, to: datetime | None, *, tries: int
) -> bool:
    """Set when it is looked at next; False when somebody else has done so meanwhile."""
    moved = await session.exec(
        update(Conversation)
        .where(
            col(Conversation.id) == conversation.id,
            col(Conversation.line_due_at) == conversation.line_due_at,
            col(Conversation.line_closed_at).is_(None),
        )
        .values(line_due_at=to, line_tries=tries)
    )
    if moved.rowcount == 0:
        return False
    conversation.line_due_at, conversation.line_tries = to, tries
    return True
