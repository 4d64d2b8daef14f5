"""What is left of a forgotten person's STOP: a hash of the address, under a key of our own.

There are few enough phone numbers to try them all, so a plain SHA-256 would tell whose it is. That
is what older rows hold; sealing is done over it, so that they can be sealed without the address.
"""

import hashlib
import hmac
import uuid
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import Database
from ivr.db.engine import HASH_KEY
from ivr.db.tables import Suppression

_SEALED = "hmac:"  # begins what is sealed


async def is_suppressed(
    session: AsyncSession, tenant_id: uuid.UUID, address: str, channel: str
) -> bool:
    """Return whether a forgotten person had this address, and had refused to be written to."""
    query = select(Suppression.id).where(
        Suppression.tenant_id == tenant_id,
        col(Suppression.sha256).in_(_hashes(session, tenant_id, address)),
        Suppression.channel == channel,
    )
    return (await session.exec(query)).first() is not None


async def put(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    address: str,
    channels: Collection[str],
    *,
    now: datetime,
) -> None:
    """Have an address be refused on these channels, and on no others."""
    sealed, older = _hashes(session, tenant_id, address)
    gone = delete(Suppression).where(
        col(Suppression.tenant_id) == tenant_id, col(Suppression.sha256).in_({sealed, older})
    )
    await session.exec(gone.execution_options(synchronize_session=False))
    for channel in channels:
        session.add(Suppression(tenant_id=tenant_id, sha256=sealed, channel=channel, at=now))
    await session.flush()


async def seal_older(db: Database) -> None:
    """Seal what an older release has left, and what one that still runs leaves meanwhile."""
    is_older = ~col(Suppression.sha256).startswith(_SEALED)
    async with db.read() as session:
        if (await session.exec(select(Suppression.id).where(is_older).limit(1))).first() is None:
            return
    async with db.write() as session:
        for row in (await session.exec(select(Suppression).where(is_older))).all():
            sealed = _sealed(session, row.sha256)
            same = select(Suppression.id).where(
                Suppression.tenant_id == row.tenant_id,
                Suppression.sha256 == sealed,
                Suppression.channel == row.channel,
            )
            this = col(Suppression.id) == row.id
            if (await session.exec(same)).first() is None:
                await session.exec(update(Suppression).where(this).values(sha256=sealed))
            else:
                await session.exec(delete(Suppression).where(this))


def _hashes(session: AsyncSession, tenant_id: uuid.UUID, address: str) -> tuple[str, str]:
    """Return the hash of an address, and the one that an older release wrote."""
    older = hashlib.sha256(f"{tenant_id}:{address}".encode()).hexdigest()
    return _sealed(session, older), older


def _sealed(session: AsyncSession, older: str) -> str:
    find_key = session.info.get(HASH_KEY)
    assert find_key is not None, "whoever may write to people opens the database with its hash key"
    return _SEALED + hmac.new(find_key(), older.encode(), hashlib.sha256).hexdigest()
