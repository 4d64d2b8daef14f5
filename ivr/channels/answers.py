"""Writes down what an event said and what it was answered with, so that a repeat gets the same."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.channels.inbound import Answer, Inbound
from ivr.conversations import Said
from ivr.db.tables import Conversation, InboundEvent, Lead, Role, Turn
from ivr.leads import funnel, identity
from ivr.leads.profile import Profile

LATER = "Thank you. We have your message, and a person will get back to you."


def kept(inbound: Inbound) -> dict[str, Any]:
    """Return what an event's row keeps: what was said, and all of what came in."""
    return {"text": inbound.text, "sent": dict(inbound.payload)}


def text_of(event: InboundEvent) -> str:
    """Return what the contact said with an event, "" for e.g. a form without a message."""
    return str(event.payload["text"])


async def write_turn(
    session: AsyncSession, conversation: Conversation, event: InboundEvent
) -> None:
    """Write down what the contact said, once, behind everything that was said before."""
    item_id = f"in_{event.id}"
    query = select(Turn.id).where(Turn.conversation_id == conversation.id, Turn.item_id == item_id)
    if not text_of(event) or (await session.exec(query)).first() is not None:
        return
    await _write(session, conversation, item_id, Role.CALLER, text_of(event), event.received_at)


async def write_reply(
    session: AsyncSession,
    conversation: Conversation,
    event: InboundEvent,
    text: str,
    *,
    now: datetime,
) -> None:
    """Write down what was said to an event, the last one of those that it answers."""
    await _write(session, conversation, f"out_{event.id}", Role.ASSISTANT, text, now)


async def _write(
    session: AsyncSession,
    conversation: Conversation,
    item_id: str,
    role: Role,
    text: str,
    said_at: datetime,
) -> None:
    position = await conversations.next_position(session, conversation.id)
    said = Said(item_id=item_id, position=position, role=role, text=text, said_at=said_at)
    await conversations.write_turn(session, conversation, said)


async def give(
    session: AsyncSession,
    profile: Profile,
    conversation: Conversation,
    events: Sequence[InboundEvent],
    response: str,
    *,
    now: datetime,
) -> Answer:
    """Note that these events are answered, all by one answer, and return it."""
    await session.flush()
    lead = await session.get_one(Lead, conversation.lead_id, populate_existing=True)
    answer = Answer(
        response=response,
        conversation_id=str(conversation.id),
        session_id=conversation.session_key,
        turn_count=await contact_turns(session, conversation),
        stage=lead.stage,
        lead_data=funnel.lead_data(profile, await identity.shown(session, conversation)),
        timestamp=now.isoformat(),
        with_person=conversation.assistant_paused,
    )
    for event in events:
        event.answer, event.answered_at = answer.dump(), now
        session.add(event)
    return answer


async def contact_turns(session: AsyncSession, conversation: Conversation) -> int:
    """Return how often the contact has spoken."""
    query = select(func.count()).where(
        Turn.conversation_id == conversation.id, Turn.role == Role.CALLER
    )
    return (await session.exec(query)).one()
