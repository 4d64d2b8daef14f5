"""The single-use token of a media stream: who shows it was sent here by our own answer to a call.

It names the conversation and which of its streams it opens, and proves that we wrote it. A call
has one stream after another, so a repeated webhook gets the same token until that stream has been
opened; the conversation's row counts them.
"""

import hashlib
import hmac
import uuid
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation


def issue(key: bytes, conversation: Conversation) -> str:
    """Return the token of the conversation's next stream."""
    return _token(key, conversation.id, conversation.streams + 1)


async def redeem(
    session: AsyncSession,
    key: bytes,
    *,
    token: str,
    call_sid: str,
    carrier: str,
    now: datetime,
) -> Conversation | None:
    """Return the conversation, whose stream `carrier` carries from now on.

    None when the token is forged, used, an earlier stream's or another call's.
    """
    named = _parse(token)
    if named is None or not hmac.compare_digest(_token(key, *named).encode(), token.encode()):
        return None
    conversation_id, number = named
    claimed = await session.exec(
        update(Conversation)
        .where(
            col(Conversation.id) == conversation_id,
            col(Conversation.session_key) == call_sid,
            col(Conversation.streams) == number - 1,
        )
        .values(
            streams=number,
            stream_opened_at=now,
            streaming=True,
            carried_by=carrier,
            end_reason=None,  # that was the stream's before
        )
    )
    if claimed.rowcount != 1:
        return None
    return await session.get(Conversation, conversation_id)


def _token(key: bytes, conversation_id: uuid.UUID, number: int) -> str:
    named = f"{conversation_id}.{number}"
    proof = hmac.new(key, f"stream:{named}".encode(), hashlib.sha256)
    return f"{named}.{proof.hexdigest()}"


def _parse(token: str) -> tuple[uuid.UUID, int] | None:
    """Return the conversation and the number of the stream that a token names."""
    try:
        conversation_id, number, _ = token.split(".")
        return uuid.UUID(conversation_id), int(number)
    except ValueError:
        return None
