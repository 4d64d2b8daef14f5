"""The keys of tenants: made once, shown once, kept as their SHA-256 only (S2.31)."""

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import ApiKey, KeyKind
from ivr.errors import BadRequest, NotFound

BEGINNINGS = {KeyKind.SECRET: "ivr_sk_", KeyKind.PUBLISHABLE: "ivr_pk_"}
NOTED = timedelta(hours=1)
_HINT = 12  # characters kept in clear, to tell keys apart in a list


def make(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    *,
    kind: KeyKind,
    name: str,
    now: datetime,
    origin: str | None = None,
) -> tuple[ApiKey, str]:
    """Add a key; return its row and the key itself, which nobody can show again.

    A publishable key belongs to one web origin ("https://shop.example"), a secret one to none.
    """
    if (kind is KeyKind.PUBLISHABLE) != (origin is not None):
        raise BadRequest("origin: expected with a publishable key, and only with one")
    key = BEGINNINGS[kind] + secrets.token_urlsafe(32)
    row = ApiKey(
        tenant_id=tenant_id,
        kind=kind,
        name=name,
        hint=key[:_HINT],
        sha256=_digest(key),
        origin=origin,
        created_at=now,
    )
    session.add(row)
    return row, key


async def find(session: AsyncSession, key: str) -> ApiKey | None:
    """Return the row of a key that is not revoked."""
    query = select(ApiKey).where(ApiKey.sha256 == _digest(key), col(ApiKey.revoked_at).is_(None))
    return (await session.exec(query)).one_or_none()


async def note_use(session: AsyncSession, key_id: uuid.UUID, *, now: datetime) -> None:
    """Note that a key is in use, to the hour: who revokes one looks at that."""
    await session.exec(
        update(ApiKey)
        .where(
            col(ApiKey.id) == key_id,
            or_(col(ApiKey.last_used_at).is_(None), col(ApiKey.last_used_at) < now - NOTED),
        )
        .values(last_used_at=now)
    )


async def of_tenant(session: AsyncSession, tenant_id: uuid.UUID) -> Sequence[ApiKey]:
    """Return all keys, also revoked ones, oldest first."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id).order_by(col(ApiKey.created_at))
    return (await session.exec(query)).all()


async def revoke(
    session: AsyncSession, tenant_id: uuid.UUID, beginning: str, *, now: datetime
) -> ApiKey:
    """Have a key open nothing any more; the beginning of its hint or id will do, or all of it."""
    found = [row for row in await of_tenant(session, tenant_id) if _is_meant(row, beginning)]
    if not found:
        raise NotFound(f"no key {beginning[:_HINT]}")
    if len(found) > 1:
        raise BadRequest(f"several keys begin with {beginning}: give more of the id")
    (row,) = found
    row.revoked_at = row.revoked_at or now
    return row


def _is_meant(row: ApiKey, beginning: str) -> bool:
    names = (row.hint, str(row.id))
    is_begun = any(name.startswith(beginning) for name in names)
    return bool(beginning) and (is_begun or row.sha256 == _digest(beginning))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
