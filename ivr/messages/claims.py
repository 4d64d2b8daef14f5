"""The outbox's rows: which are due, who has one, what became of it. Asks nobody outside.

PENDING and due: may be sent. IN_FLIGHT and due: whoever sent it is gone or got no answer, so the
vendor must be asked first. Of one conversation and recipient one message at a time, in order; only
a follow-up, which may wait for the morning, holds up nobody.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Direction, Message, MessageState, Purpose

UNSENT = frozenset({MessageState.PENDING, MessageState.IN_FLIGHT})


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is ours to send, once, until `lease_ends`."""

    message_id: uuid.UUID
    number: int
    lease_ends: datetime

    @property
    def row(self) -> ColumnElement[bool]:
        """The row, as long as nobody else has decided about it."""
        return and_(
            col(Message.id) == self.message_id,
            col(Message.state) == MessageState.IN_FLIGHT,
            col(Message.attempts) == self.number,
        )


async def due(session: AsyncSession, *, now: datetime, limit: int) -> Sequence[uuid.UUID]:
    """Return the messages with which something is to be done, the longest waiting first."""
    query = (
        select(Message.id)
        .where(
            Message.direction == Direction.OUT,
            col(Message.state).in_(UNSENT),
            col(Message.next_attempt_at) <= now,
            _is_first(),
        )
        .order_by(col(Message.next_attempt_at), col(Message.created_at))
        .limit(limit)
    )
    return (await session.exec(query)).all()


def _is_first() -> ColumnElement[bool]:
    """Nothing is before it in its conversation."""
    earlier = aliased(Message)
    is_in_the_way = or_(
        col(earlier.state) == MessageState.IN_FLIGHT,
        and_(
            col(earlier.state) == MessageState.PENDING,
            or_(
                col(earlier.purpose) != Purpose.FOLLOW_UP,
                col(Message.purpose) == Purpose.FOLLOW_UP,
            ),
        ),
    )
    is_before = or_(
        col(earlier.created_at) < col(Message.created_at),
        and_(col(earlier.created_at) == col(Message.created_at), col(earlier.id) < col(Message.id)),
    )
    return ~exists().where(
        col(earlier.conversation_id) == col(Message.conversation_id),
        col(earlier.direction) == Direction.OUT,
        col(earlier.recipient) == col(Message.recipient),
        is_before,
        is_in_the_way,
    )


async def take(
    session: AsyncSession, message: Message, *, now: datetime, lease: timedelta
) -> Claim | None:
    """Take a due message for one attempt; None when somebody else was first."""
    mine = Claim(message.id, message.attempts + 1, now + lease)
    changed = await session.exec(
        update(Message)
        .where(
            col(Message.id) == message.id,
            col(Message.state) == MessageState.PENDING,
            col(Message.attempts) == message.attempts,
            col(Message.next_attempt_at) <= now,
            _is_first(),
        )
        .values(
            state=MessageState.IN_FLIGHT,
            attempts=mine.number,
            next_attempt_at=mine.lease_ends,
            updated_at=now,
        )
        .execution_options(synchronize_session=False)
    )
    return mine if changed.rowcount == 1 else None


async def take_up(
    session: AsyncSession, message: Message, *, now: datetime, lease: timedelta
) -> Claim | None:
    """Take a message whose attempt has no known end, to find it out; None as `take`.

    An attempt whose lease has not ended is somebody else's, who may be sending right now.
    """
    mine = Claim(message.id, message.attempts, now + lease)
    changed = await session.exec(
        update(Message)
        .where(
            mine.row,
            col(Message.next_attempt_at) == message.next_attempt_at,
            col(Message.next_attempt_at) <= now,
        )
        .values(next_attempt_at=mine.lease_ends)
        .execution_options(synchronize_session=False)
    )
    return mine if changed.rowcount == 1 else None


async def settle(
    session: AsyncSession, mine: Claim, state: MessageState, *, now: datetime, **values: Any
) -> bool:
    """Write down what became of an attempt; False when that is known already, by a receipt."""
    values = {"state": state, "updated_at": now, "next_attempt_at": None, **values}
    changed = await session.exec(
        update(Message)
        .where(mine.row)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return changed.rowcount == 1


async def known(
    session: AsyncSession, tenant_id: uuid.UUID, provider_ids: Collection[str]
) -> set[str | None]:
    """Return those of the vendor's names that a message of ours has already."""
    query = select(Message.provider_id).where(
        Message.tenant_id == tenant_id, col(Message.provider_id).in_(provider_ids)
    )
    return set((await session.exec(query)).all())
