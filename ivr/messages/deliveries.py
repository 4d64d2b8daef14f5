"""What became of the messages that carried a turn's words, told as one thing. Sends nothing."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Message, MessageState

TurnKey = tuple[uuid.UUID, str]  # the conversation, and the turn's item id


class DeliveryStatus(StrEnum):
    """Where the words of a turn are on their way, in fewer words than a vendor has."""

    BLOCKED = "blocked"  # consent, a closed window or a paused business forbade it
    FAILED = "failed"
    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    RECEIVED = "received"  # it came in


_STATUSES = {
    MessageState.RECEIVED: DeliveryStatus.RECEIVED,
    MessageState.PENDING: DeliveryStatus.QUEUED,
    MessageState.IN_FLIGHT: DeliveryStatus.QUEUED,
    MessageState.QUEUED: DeliveryStatus.QUEUED,
    MessageState.SENDING: DeliveryStatus.QUEUED,
    MessageState.SENT: DeliveryStatus.SENT,
    MessageState.DELIVERED: DeliveryStatus.DELIVERED,
    MessageState.READ: DeliveryStatus.READ,
    MessageState.UNDELIVERED: DeliveryStatus.FAILED,
    MessageState.FAILED: DeliveryStatus.FAILED,
    MessageState.BLOCKED: DeliveryStatus.BLOCKED,
}
_WORST_FIRST = tuple(DeliveryStatus)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a turn's words; `error_code` is the vendor's, `error` what it means."""

    status: DeliveryStatus
    error_code: int | None = None
    error: str | None = None


async def of_turns(session: AsyncSession, turns: Collection[TurnKey]) -> Mapping[TurnKey, Delivery]:
    """Return what became of those turns, of any conversations, that went out as messages."""
    query = select(Message).where(
        col(Message.conversation_id).in_({conversation_id for conversation_id, _ in turns}),
        col(Message.turn_item_id).in_({item_id for _, item_id in turns}),
    )
    parts: dict[TurnKey, list[Message]] = defaultdict(list)
    for message in (await session.exec(query)).all():
        parts[message.conversation_id, message.turn_item_id or ""].append(message)
    return {key: _as_one(messages) for key, messages in parts.items()}


def _as_one(messages: Sequence[Message]) -> Delivery:
    """A text that went out in several messages is as far as the one that is worst off."""
    worst = min(messages, key=lambda one: _WORST_FIRST.index(_status_of(one)))
    return Delivery(_status_of(worst), worst.error_code, worst.error)


def _status_of(message: Message) -> DeliveryStatus:
    return _STATUSES[MessageState(message.state)]
