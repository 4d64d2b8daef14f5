"""What of a person's matters is under way, so that they cannot be forgotten in this moment.

What waits for its time, a lead for its next attempt or an endpoint that is down, goes with them.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import and_, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Channel,
    Conversation,
    ConversationStatus,
    DeliveryState,
    Message,
    MessageState,
    OutboxEvent,
    Submission,
    SubmissionState,
    WebhookDelivery,
)
from ivr.leads.people.belongings import Belongings


async def matters(session: AsyncSession, whole: Belongings, *, now: datetime) -> list[str]:
    """Return, in words, what is under way; nearly all of it is over within a minute by itself."""
    found = []
    for words, query in _questions(whole, now):
        if (await session.exec(query.limit(1))).first() is not None:
            found.append(words)
    return found


def _questions(whole: Belongings, now: datetime) -> Iterator[tuple[str, Any]]:
    talks = select(Conversation.id).where(col(Conversation.id).in_(whole.conversations))
    is_open = col(Conversation.status) == ConversationStatus.OPEN
    is_call = col(Conversation.channel) == Channel.VOICE
    is_over = col(Conversation.finish_after) <= now
    due = or_(col(Submission.next_attempt_at).is_(None), col(Submission.next_attempt_at) <= now)
    yield "a call is going on", talks.where(is_open, is_call, ~is_over)
    yield (
        "a conversation is being finished or answered",
        talks.where(or_(and_(is_open, is_over), col(Conversation.answering_until) > now)),
    )
    yield (
        "a lead is on its way to its target",
        select(Submission.id).where(
            col(Submission.lead_id).in_(whole.leads),
            or_(
                col(Submission.state) == SubmissionState.IN_FLIGHT,
                and_(col(Submission.state) == SubmissionState.PENDING, due),
            ),
        ),
    )
    yield (
        "a message is being sent",
        select(Message.id).where(
            col(Message.conversation_id).in_(whole.conversations),
            Message.state == MessageState.IN_FLIGHT,
        ),
    )
    yield (
        "a webhook endpoint is being told",
        select(WebhookDelivery.id)
        .join(OutboxEvent, col(OutboxEvent.id) == col(WebhookDelivery.event_id))
        .where(
            col(OutboxEvent.lead_id).in_(whole.leads),
            or_(
                col(WebhookDelivery.state) == DeliveryState.IN_FLIGHT,
                and_(
                    col(WebhookDelivery.state) == DeliveryState.PENDING,
                    col(WebhookDelivery.next_attempt_at) <= now,
                ),
            ),
        ),
    )
