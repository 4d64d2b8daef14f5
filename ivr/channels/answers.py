"""Writes down what an event said and what it was answered with, so that a repeat gets the same."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.channels.inbound import Answer, Inbound
from ivr.db.tables import Conversation, FieldValue, InboundEvent, Lead, Role, Turn
from ivr.leads.people import identity
from ivr.leads.profile import Profile
from ivr.leads.progress import funnel


def kept(inbound: Inbound) -> dict[str, Any]:
    """Return what an event's row keeps: what was said, and all of what came in."""
    return {"text": inbound.text, "sent": dict(inbound.payload)}


def text_of(event: InboundEvent) -> str:
    """Return what the contact said with an event, "" for e.g. a form without a message."""
    return str(event.payload["text"])


def unanswered(conversation: Conversation) -> Any:
    """Return the query for the events that wait for an answer, in the order of their coming."""
    this = InboundEvent.conversation_id == conversation.id
    waits = select(InboundEvent).where(col(InboundEvent.answered_at).is_(None), this)
    return waits.order_by(col(InboundEvent.id))


async def write_turn(
    session: AsyncSession, conversation: Conversation, event: InboundEvent
) -> None:
    """Write down what the contact said, once, behind everything that was said before."""
    if not text_of(event):
        return
    await conversations.write_behind(
        session,
        conversation,
        item_id=f"in_{event.id}",
        role=Role.CALLER,
        text=text_of(event),
        said_at=event.received_at,
    )


async def write_reply(
    session: AsyncSession,
    conversation: Conversation,
    event: InboundEvent,
    text: str,
    *,
    now: datetime,
) -> str:
    """Write down what was said to the last event of those that it answers; return its item id."""
    item_id = f"out_{event.id}"
    await conversations.write_behind(
        session,
        conversation,
        item_id=item_id,
        role=Role.ASSISTANT,
        text=text,
        said_at=now,
    )
    return item_id


async def give(
    session: AsyncSession,
    profile: Profile,
    conversation: Conversation,
    events: Sequence[InboundEvent],
    response: str,
    *,
    rows: Sequence[FieldValue],
    turn_count: int,
    now: datetime,
) -> Answer:
    """Note that these events are answered, all by one answer, and return it.

    `rows` are the values of the lead, `turn_count` is how often the contact has spoken.
    """
    stage = select(Lead.stage).where(Lead.id == conversation.lead_id)
    shown = await identity.among(session, conversation, rows)
    answer = Answer(
        response=response,
        conversation_id=str(conversation.id),
        session_id=conversation.session_key,
        turn_count=turn_count,
        stage=(await session.exec(stage)).one(),
        lead_data=funnel.lead_data(profile, shown),
        timestamp=now.isoformat(),
        with_person=conversation.assistant_paused,
    )
    for event in events:
        event.answer, event.answered_at = answer.dump(), now
        session.add(event)
    return answer


async def contact_turns(session: AsyncSession, conversation: Conversation) -> int:
    """Return how often the contact has spoken."""
    spoken: int = (await session.exec(count_of_turns(conversation))).one()
    return spoken


def count_of_turns(conversation: Conversation) -> Any:
    """Return the query for how often the contact has spoken."""
    return select(func.count()).where(
        Turn.conversation_id == conversation.id, Turn.role == Role.CALLER
    )
