"""Conversations and their messages on the wire; times are RFC 3339."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from ivr import conversations
from ivr.conversations import Said
from ivr.db.tables import Channel, Conversation, Role, Turn
from ivr.doors.wire_values import Reason, Short, Words
from ivr.leads.attention.talks import Talk, TalkStatus
from ivr.messages.deliveries import Delivery, DeliveryStatus, TurnKey
from ivr.web.body import Body
from ivr.web.escalations import Shown as ShownEscalation

Deliveries = Mapping[TurnKey, Delivery]


class NewMessage(Body):
    """What the contact is to read, and who writes it: without `author`, the key's own name."""

    message: Words
    author: Short | None = None


class Escalate(Body):
    """Why a person is to take it, and who does so at once."""

    reason: Reason = "staff ask for it"
    assignee: Short | None = None


class Message(BaseModel):
    """What one side said.

    `status` is that of an SMS or a WhatsApp message, null elsewhere and for words that no message
    carried; `error_code` is the network's. `cut`: it was not heard to its end.
    """

    id: uuid.UUID
    position: int
    role: Literal["lead", "assistant", "staff"]
    direction: Literal["in", "out"]
    channel: Channel
    text: str
    timestamp: datetime
    cut: bool
    status: DeliveryStatus | None
    error_code: int | None
    error: str | None


class Messages(BaseModel):
    """What was said, in its order."""

    items: list[Message]
    next_cursor: str | None


class ConversationBrief(BaseModel):
    """A conversation in a list.

    `turn_count`: how often the contact has spoken; `waiting_since`: when they said the first of
    their words that nobody has answered. `assistant_paused`: a person has it.
    """

    id: uuid.UUID
    client_id: uuid.UUID
    lead_id: uuid.UUID
    channel: Channel
    status: TalkStatus
    assistant_paused: bool
    language: str | None
    turn_count: int
    started_at: datetime
    ended_at: datetime | None
    end_reason: str | None
    last_activity_at: datetime
    waiting_since: datetime | None
    last_message: Message | None
    escalation: ShownEscalation | None


class ConversationShown(ConversationBrief):
    """A conversation with its first messages; `next_cursor` leads to the others."""

    summary: str | None
    messages: list[Message]
    next_cursor: str | None = Field(description="For the conversation's `/messages`.")


class Conversations(BaseModel):
    """Conversations, and where the next ones begin."""

    items: list[ConversationBrief]
    next_cursor: str | None


def brief(talk: Talk, deliveries: Deliveries) -> ConversationBrief:
    """Return a conversation as lists show it."""
    row = talk.conversation
    escalation = talk.escalation
    last = None if talk.last is None else message(row, talk.last, deliveries)
    return ConversationBrief(
        id=row.id,
        client_id=row.tenant_id,
        lead_id=row.lead_id,
        channel=Channel(row.channel),
        status=talk.status,
        assistant_paused=row.assistant_paused,
        language=row.language,
        turn_count=talk.turn_count,
        started_at=row.started_at,
        ended_at=row.ended_at,
        end_reason=row.end_reason,
        last_activity_at=talk.last_activity_at,
        waiting_since=talk.waiting_since,
        last_message=last,
        escalation=ShownEscalation.model_validate(escalation) if escalation else None,
    )


def shown(
    talk: Talk,
    turns: Sequence[Turn],
    deliveries: Deliveries,
    next_cursor: str | None,
) -> ConversationShown:
    """Return a conversation with messages of it."""
    return ConversationShown(
        **dict(brief(talk, deliveries)),
        summary=talk.conversation.summary,
        messages=[message(talk.conversation, turn, deliveries) for turn in turns],
        next_cursor=next_cursor,
    )


def message(conversation: Conversation, turn: Turn | Said, deliveries: Deliveries) -> Message:
    """Return what one side said, and what became of it on its way."""
    is_lead = turn.role == Role.CALLER
    by_message = conversation.channel in Channel.by_message()
    came_in = Delivery(DeliveryStatus.RECEIVED) if is_lead and by_message else None
    delivery = deliveries.get((conversation.id, turn.item_id), came_in)
    our_side: Literal["staff", "assistant"] = (
        "staff" if conversations.is_of_staff(turn) else "assistant"
    )
    return Message(
        id=uuid.uuid5(conversation.id, turn.item_id),
        position=turn.position,
        role="lead" if is_lead else our_side,
        direction="in" if is_lead else "out",
        channel=Channel(conversation.channel),
        text=turn.text,
        timestamp=turn.said_at,
        cut=turn.cut,
        status=delivery.status if delivery else None,
        error_code=delivery.error_code if delivery else None,
        error=delivery.error if delivery else None,
    )
