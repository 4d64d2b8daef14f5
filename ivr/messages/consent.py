"""The ledger of who lets us write to them: append only, the last word on an address counts.

Addresses are E.164 numbers. `ALL` in place of a channel means every one. Of somebody who was
forgotten only the hash of a refused address is left, and it counts until they say something new.
"""

import uuid
from datetime import datetime

from sqlalchemy import delete, func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import storable
from ivr.db.tables import (
    Channel,
    ConsentAction,
    ConsentEvent,
    Direction,
    Message,
    MessageState,
    Purpose,
)
from ivr.messages import suppressions

ALL = "all"
MOST_EVIDENCE = 1000  # characters of their words
REVOKED = "the contact does not want messages"
# What a contact forbids by STOP. The one answer to it, and our own people, are not meant.
FORBIDDEN = frozenset({Purpose.REPLY, Purpose.FOLLOW_UP})


async def record(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    *,
    address: str,
    channel: str,
    action: ConsentAction,
    source: str,
    evidence: str,
    now: datetime,
) -> None:
    """Write down what somebody allowed or forbade; what waits to be sent there is blocked."""
    await lock(session, tenant_id, address)
    session.add(
        ConsentEvent(
            tenant_id=tenant_id,
            address=address,
            channel=channel,
            action=action,
            source=source,
            evidence=storable(evidence)[:MOST_EVIDENCE],
            at=now,
        )
    )
    await session.flush()
    if action == ConsentAction.REVOKED:
        await _block_waiting(session, tenant_id, address, channel, now=now)


async def is_revoked(
    session: AsyncSession, tenant_id: uuid.UUID, address: str, channel: str
) -> bool:
    """Whether the last word on this address and channel was a refusal."""
    query = (
        select(ConsentEvent.action)
        .where(
            ConsentEvent.tenant_id == tenant_id,
            ConsentEvent.address == address,
            col(ConsentEvent.channel).in_({channel, ALL}),
        )
        .order_by(col(ConsentEvent.id).desc())
        .limit(1)
    )
    last_word = (await session.exec(query)).first()
    if last_word is None:
        return await suppressions.is_suppressed(session, tenant_id, address, channel)
    return last_word == ConsentAction.REVOKED


async def forget(
    session: AsyncSession, tenant_id: uuid.UUID, address: str, *, now: datetime
) -> None:
    """Keep of an address no more than a hash for each channel on which it is not written to."""
    await lock(session, tenant_id, address)
    refused = [
        channel
        for channel in sorted(Channel.by_message())
        if await is_revoked(session, tenant_id, address, channel)
    ]
    gone = delete(ConsentEvent).where(
        col(ConsentEvent.tenant_id) == tenant_id, col(ConsentEvent.address) == address
    )
    await session.exec(gone.execution_options(synchronize_session=False))
    await suppressions.put(session, tenant_id, address, refused, now=now)


async def lock(session: AsyncSession, tenant_id: uuid.UUID, address: str) -> None:
    """Make consent and sending to an address wait for one another until the transaction's end.

    Otherwise one that began to send before the refusal was committed could go on after it. On
    SQLite there is one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        name = func.hashtextextended(f"consent:{tenant_id}:{address}", 0)
        await session.exec(select(func.pg_advisory_xact_lock(name)))


async def _block_waiting(
    session: AsyncSession, tenant_id: uuid.UUID, address: str, channel: str, *, now: datetime
) -> None:
    these = update(Message).where(
        col(Message.tenant_id) == tenant_id,
        col(Message.recipient) == address,
        col(Message.direction) == Direction.OUT,
        col(Message.state) == MessageState.PENDING,
        col(Message.purpose).in_(FORBIDDEN),
    )
    if channel != ALL:
        these = these.where(col(Message.channel) == channel)
    await session.exec(
        these.values(
            state=MessageState.BLOCKED, error=REVOKED, next_attempt_at=None, updated_at=now
        )
    )
