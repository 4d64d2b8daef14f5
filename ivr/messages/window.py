"""WhatsApp's window: free words only within a day of the contact's last message (63016)."""

import re
import uuid
from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Channel, Direction, Message

OPEN_FOR = timedelta(hours=24)
CLOSED = "WhatsApp's window of 24 hours is closed, and there is no template"


async def is_open(session: AsyncSession, conversation_id: uuid.UUID, *, now: datetime) -> bool:
    """Whether the contact wrote here in the last 24 hours."""
    query = (
        select(Message.id)
        .where(
            Message.conversation_id == conversation_id,
            Message.direction == Direction.IN,
            Message.channel == Channel.WHATSAPP,
            col(Message.created_at) > now - OPEN_FOR,
        )
        .limit(1)
    )
    return (await session.exec(query)).first() is not None


def variables(text: str) -> dict[str, str]:
    """Return what fills a template: its {{1}} is the text, which may hold no line breaks there."""
    return {"1": re.sub(r"\s+", " ", text).strip()}
