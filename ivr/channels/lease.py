"""Who works on a conversation's next answer: one at a time, of all processes, and not for ever."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation

LEASE = timedelta(seconds=45)


async def take(
    session: AsyncSession, conversation_id: uuid.UUID, lease: datetime, *, now: datetime
) -> Conversation | None:
    """Take the conversation until `lease`, and return it; None while somebody else has it."""
    until = col(Conversation.answering_until)
    is_free = or_(until.is_(None), until <= now, until > now + LEASE)  # the clock was put back
    claimed: Any = await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id, is_free)
        .values(answering_until=lease)
        .returning(Conversation)
        .execution_options(populate_existing=True, synchronize_session=False)
    )
    found: Conversation | None = claimed.scalar_one_or_none()
    return found


async def lay_down(
    session: AsyncSession, conversation_id: uuid.UUID, lease: datetime
) -> Conversation | None:
    """Return the conversation, locked, to be free with the commit; None: somebody else has it."""
    query = (
        select(Conversation)
        .where(Conversation.id == conversation_id, Conversation.answering_until == lease)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    conversation = (await session.exec(query)).one_or_none()
    if conversation is not None:
        conversation.answering_until = None
    return conversation


async def give_up(session: AsyncSession, conversation_id: uuid.UUID, lease: datetime) -> bool:
    """Give the conversation free; False when it ran out and somebody else has taken it."""
    given_up = await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id, col(Conversation.answering_until) == lease)
        .values(answering_until=None)
    )
    return given_up.rowcount == 1
