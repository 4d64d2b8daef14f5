"""The single-use token of a media stream: who shows it was sent here by our own answer to a call.

It names the conversation and proves that we wrote it, so a repeated webhook gets the same one;
the conversation's row knows whether it was used.
"""

import hashlib
import hmac
import uuid
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation


def issue(key: bytes, conversation_id: uuid.UUID) -> str:
    """Return the token of a conversation's stream."""
    proof = hmac.new(key, f"stream:{conversation_id}".encode(), hashlib.sha256)
    return f"{conversation_id}.{proof.hexdigest()}"


async def redeem(
    session: AsyncSession, key: bytes, *, token: str, call_sid: str, now: datetime
) -> Conversation | None:
    """Return the conversation the token is for; None when it is forged, used or another call's."""
    try:
        conversation_id = uuid.UUID(token.partition(".")[0])
    except ValueError:
        return None
    if not hmac.compare_digest(issue(key, conversation_id).encode(), token.encode()):
        return None
    claimed = await session.exec(
        update(Conversation)
        .where(
            col(Conversation.id) == conversation_id,
            col(Conversation.session_key) == call_sid,
            col(Conversation.stream_opened_at).is_(None),
        )
        .values(stream_opened_at=now, streaming=True)
    )
    if claimed.rowcount != 1:
        return None
    return await session.get(Conversation, conversation_id)
