"""The conversation that stands for a lead where something is set in it from outside of any.

A lead may have none: its only one proved to be with somebody else by now, and went to their lead.
"""

import uuid

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, FieldValue
from ivr.errors import Conflict


async def of_lead(session: AsyncSession, lead_id: uuid.UUID) -> Conversation | None:
    """Return the lead's latest conversation."""
    query = (
        select(Conversation)
        .where(Conversation.lead_id == lead_id)
        .order_by(col(Conversation.started_at).desc(), col(Conversation.id).desc())
    )
    return (await session.exec(query.limit(1))).first()


async def for_values(session: AsyncSession, lead_id: uuid.UUID) -> Conversation:
    """Return it for the values that are set, else the one of which the lead's newest value is.

    The latter is another lead's by now: only a value may name it. Raises `Conflict`.
    """
    if (own := await of_lead(session, lead_id)) is not None:
        return own
    query = (
        select(Conversation)
        .join(FieldValue, col(FieldValue.conversation_id) == col(Conversation.id))
        .where(FieldValue.lead_id == lead_id)
        .order_by(col(FieldValue.id).desc())
    )
    if (visited := (await session.exec(query.limit(1))).first()) is not None:
        return visited
    raise Conflict(f"lead {lead_id} has no conversation: it was with somebody else, who has it now")
