"""The keys of tenants: made once, shown once, kept as their SHA-256 only (S2.31).

A key reads `ivr_sk_<id>_<32 random bytes>_<checksum>`. The id is kept in clear, to tell keys apart;
the checksum shows a mistyped key before any database is asked. Keys of the first releases have
neither, they are `ivr_sk_` and 43 characters, and stay good.
"""

import hashlib
import re
import secrets
import string
import uuid
import zlib
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from sqlalchemy import or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.keysets import behind
from ivr.db.tables import ApiKey, KeyKind
from ivr.errors import BadRequest, NotFound

BEGINNINGS = {
    KeyKind.SECRET: "ivr_sk_",
    KeyKind.PUBLISHABLE: "ivr_pk_",
    KeyKind.ADMIN: "ivr_ak_",
}
NOTED = timedelta(hours=1)
GRACE = timedelta(hours=24)  # how long old keys go on beside the one that replaces them
_ALPHABET = string.digits + string.ascii_letters
_ID, _SECRET, _CHECKSUM = 8, 43, 6  # characters; 32 bytes and 32 bits in base 62
_FORM = re.compile(r"(ivr_(?:sk|pk|ak)_[0-9A-Za-z]{8}_[0-9A-Za-z]{43})_([0-9A-Za-z]{6})")
_FIRST_FORM = re.compile(r"ivr_(?:sk|pk)_[0-9A-Za-z_-]{43}")
_FIRST_HINT = 12
_HOST = re.compile(r"[0-9a-z._-]+|[0-9a-f:.]+")  # as browsers send it: punycode, or an address


class Scope(StrEnum):
    """What a secret key may be limited to."""

    LEADS_READ = "leads:read"
    LEADS_WRITE = "leads:write"
    CONVERSATIONS_READ = "conversations:read"
    CONVERSATIONS_WRITE = "conversations:write"
    CLIENT_READ = "client:read"
    CLIENT_WRITE = "client:write"
    INTAKE = "intake"


def make(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    *,
    kind: KeyKind,
    name: str,
    now: datetime,
    origin: str | None = None,
    scopes: Collection[Scope] | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Add a key; return its row and the key itself, which nobody can show again.

    A publishable key belongs to one web origin ("https://shop.example"), no other does. A secret
    one without scopes opens all that is its tenant's.
    """
    if (kind is KeyKind.PUBLISHABLE) != (origin is not None):
        raise BadRequest("origin: expected with a publishable key, and only with one")
    if scopes is not None and (kind is not KeyKind.SECRET or not scopes):
        raise BadRequest("scopes: expected one or more, and only with a secret key")
    if expires_at is not None and expires_at <= now:
        raise BadRequest("expires_at: expected a moment to come")
    hint, key = _new(kind)
    row = ApiKey(
        tenant_id=tenant_id,
        kind=kind,
        name=name,
        hint=hint,
        sha256=_digest(key),
        origin=origin,
        scopes={} if scopes is None else {"only": sorted(set(scopes))},
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    return row, key


async def rotate(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    *,
    kind: KeyKind,
    name: str,
    now: datetime,
    grace: timedelta = GRACE,
) -> tuple[ApiKey, str]:
    """Make a key in the place of all others of its kind, which end when `grace` is over."""
    end = now + grace
    outlasts = or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > end)
    await session.exec(
        update(ApiKey)
        .where(
            col(ApiKey.tenant_id) == tenant_id,
            col(ApiKey.kind) == kind,
            col(ApiKey.revoked_at).is_(None),
            outlasts,
        )
        .values(expires_at=end)
    )
    return make(session, tenant_id, kind=kind, name=name, now=now)


async def find(session: AsyncSession, key: str, *, now: datetime) -> ApiKey | None:
    """Return the row of a key that is good at this moment; a mistyped one costs no query."""
    if not is_well_formed(key):
        return None
    query = select(ApiKey).where(ApiKey.sha256 == _digest(key))
    row = (await session.exec(query)).one_or_none()
    return row if row is not None and is_good(row, now=now) else None


def is_good(row: ApiKey, *, now: datetime) -> bool:
    """Return whether a key opens anything: it is neither revoked nor over."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > now)


def is_well_formed(key: str) -> bool:
    """Return whether a key can be ours: its checksum is right, or it is of the first form."""
    if match := _FORM.fullmatch(key):
        return _checksum(match[1]) == match[2]
    return _FIRST_FORM.fullmatch(key) is not None


def opens(row: ApiKey, scope: Scope) -> bool:
    """Return whether a key has a scope; one that is limited to none has all."""
    return is_unlimited(row) or scope in row.scopes["only"]


def is_unlimited(row: ApiKey) -> bool:
    """Return whether a key opens all that its kind may."""
    return "only" not in row.scopes


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
    """Return all keys, also those that open nothing any more, oldest first."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id)
    return (await session.exec(query.order_by(col(ApiKey.created_at), col(ApiKey.id)))).all()


async def page(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    *,
    kinds: Collection[KeyKind],
    after: tuple[datetime, uuid.UUID] | None = None,
    limit: int,
) -> Sequence[ApiKey]:
    """Return the next keys of these kinds, oldest first."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id, col(ApiKey.kind).in_(kinds))
    order = col(ApiKey.created_at), col(ApiKey.id)
    if after is not None:
        query = query.where(behind(order, after))
    return (await session.exec(query.order_by(*order).limit(limit))).all()


def checked_origin(origin: str) -> str:
    """Return an origin as browsers send it; raise `BadRequest` naming `origin`."""
    try:
        parts = urlsplit(origin.strip().casefold())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadRequest("origin: cannot be read") from error
    is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in {"http", "https"} or not _HOST.fullmatch(host) or not is_plain:
        raise BadRequest("origin: expected https://host, without a path")
    is_default = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + ("" if is_default else f":{port}")


async def revoke(
    session: AsyncSession, tenant_id: uuid.UUID, beginning: str, *, now: datetime
) -> ApiKey:
    """Have a key open nothing any more; the beginning of its hint or id will do, or all of it."""
    found = [row for row in await of_tenant(session, tenant_id) if _is_meant(row, beginning)]
    if not found:
        raise NotFound(f"no key {beginning[:_FIRST_HINT]}")
    if len(found) > 1:
        raise BadRequest(f"several keys begin with {beginning}: give more of the id")
    (row,) = found
    row.revoked_at = row.revoked_at or now
    return row


def _is_meant(row: ApiKey, beginning: str) -> bool:
    names = (row.hint, str(row.id))
    is_begun = any(name.startswith(beginning) for name in names)
    return bool(beginning) and (is_begun or row.sha256 == _digest(beginning))


def _new(kind: KeyKind) -> tuple[str, str]:
    """Return the part of a new key that may be shown, and all of it."""
    hint = BEGINNINGS[kind] + "".join(secrets.choice(_ALPHABET) for _ in range(_ID))
    body = f"{hint}_{_base62(secrets.randbits(256), _SECRET)}"
    return hint, f"{body}_{_checksum(body)}"


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECKSUM)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    assert number == 0, "it does not fit"
    return "".join(reversed(digits))


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
