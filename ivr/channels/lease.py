"""Who works on a conversation's next answer: one at a time, of all processes, and not for ever."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation

LEASE = timedelta(seconds=45)


async def take(
    session: AsyncSession, conversation_id: uuid.UUID, lease: datetime, *, now: datetime
) -> bool:
    """Take the conversation until `lease`; False while somebody else has it."""
    until = col(Conversation.answering_until)
    is_free = or_(until.is_(None), until <= now, until > now + LEASE)  # the clock was put back
    claimed = await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id, is_free)
        .values(answering_until=lease)
    )
    return claimed.rowcount == 1


async def give_up(session: AsyncSession, conversation_id: uuid.UUID, lease: datetime) -> bool:
    """Give the conversation free; False when it ran out and somebody else has taken it."""
    given_up = await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id, col(Conversation.answering_until) == lease)
        .values(answering_until=None)
    )
    return given_up.rowcount == 1
