"""The rows of written messages: what came in, and what is to go out. Sends nothing.

A committed row in state PENDING is the work; the outbox finds it.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import storable
from ivr.db.tables import Channel, Conversation, Direction, Message, MessageState, Purpose
from ivr.messages import postage, segments

# Told, in the same transaction, of a message that its contact will never read, and why: a person
# must then do it in another way. Who that is, is decided above.
Undeliverable = Callable[[AsyncSession, Message, str, datetime], Awaitable[None]]

_NEXT = timedelta(microseconds=1)


async def received(
    session: AsyncSession,
    conversation: Conversation,
    *,
    body: str,
    sender: str | None,
    recipient: str | None,
    provider_id: str,
    media: Mapping[str, Any] | None = None,
    now: datetime,
) -> Message:
    """Add a message that came in; numbers are E.164 and `media` is what `media.read` returns."""
    message = Message(
        tenant_id=conversation.tenant_id,
        conversation_id=conversation.id,
        direction=Direction.IN,
        channel=conversation.channel,
        purpose=Purpose.REPLY,
        sender=sender,
        recipient=recipient,
        body=storable(body),
        media=dict(media or {}),
        provider_id=provider_id,
        state=MessageState.RECEIVED,
        segments=segments.count(body),
        created_at=now,
        updated_at=now,
    )
    session.add(message)
    await session.flush()
    await postage.note(session, message, now=now)
    return message


async def queue(
    session: AsyncSession,
    conversation: Conversation,
    text: str,
    *,
    purpose: Purpose,
    now: datetime,
    recipient: str | None = None,
    template: str | None = None,
    turn: str | None = None,
) -> Message:
    """Have a text sent to the contact, or to `recipient`; poke the outbox after the commit.

    By WhatsApp where the conversation is there, else by SMS, and to staff always by SMS. A long
    text becomes several rows, sent in their order; the first is returned. `template`: the
    ContentSid for WhatsApp's closed window, where it is not the configured one. `turn`: the item
    id of what was said.
    """
    recipient = recipient or conversation.from_number
    assert recipient, "a message goes to a number"
    channel = _channel(conversation, purpose)
    assert text.strip(), "a message says something"
    first_at = await _after_the_last(session, conversation.id, now)
    text = storable(text)
    text = segments.cheapest(text) if channel == Channel.SMS else text
    rows = [
        Message(
            tenant_id=conversation.tenant_id,
            conversation_id=conversation.id,
            direction=Direction.OUT,
            channel=channel,
            purpose=purpose,
            sender=conversation.to_number,
            recipient=recipient,
            body=part,
            template=template,
            turn_item_id=turn,
            state=MessageState.PENDING,
            segments=segments.count(part),
            next_attempt_at=now,
            created_at=first_at + number * _NEXT,
            updated_at=now,
        )
        for number, part in enumerate(segments.split(text))
    ]
    session.add_all(rows)
    await session.flush()
    return rows[0]


def _channel(conversation: Conversation, purpose: Purpose) -> Channel:
    if conversation.channel == Channel.WHATSAPP and purpose != Purpose.STAFF:
        return Channel.WHATSAPP
    return Channel.SMS


async def _after_the_last(
    session: AsyncSession, conversation_id: uuid.UUID, now: datetime
) -> datetime:
    """Return `now`, or just after what was queued last: the times are the order of sending."""
    query = select(func.max(col(Message.created_at))).where(
        Message.conversation_id == conversation_id, Message.direction == Direction.OUT
    )
    last = (await session.exec(query)).one()
    return now if last is None or last < now else last + _NEXT
