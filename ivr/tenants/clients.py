"""What may be done with a client: made, changed, paused, given numbers.

Every change is one line of the log: who, which client, which fields, and no values.
"""

import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog
from sqlalchemy import or_
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.keysets import behind
from ivr.db.tables import PhoneNumber, Tenant, TenantStatus
from ivr.errors import Conflict, NotFound, Unprocessable
from ivr.phone_numbers import E164
from ivr.tenants.directory import DEFAULT, by_slug

# The profile that a line of business begins with.
PROFILES = {"real_estate": "real_estate", "powersports": "powersports", "education": "courses"}
MOST_NUMBERS = 50
# What the first start and every other one give to `default`.
_OF_SETTINGS = {
    "slug": "the first start",
    "name": "the setting BUSINESS_NAME",
    "profile": "the setting PROFILE",
    "timezone": "the setting TIMEZONE",
}
_SLUG = re.compile(r"[a-z0-9](?:-?[a-z0-9]){0,62}")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a new client is made of; `profile` None is the one of its industry."""

    slug: str
    name: str
    timezone: str
    industry: str | None = None
    profile: str | None = None
    monthly_token_budget: int | None = None
    monthly_budget_cents: int | None = None


async def create(session: AsyncSession, draft: Draft, *, by: str, now: datetime) -> Tenant:
    """Add a client; raise `Conflict` when another has its slug."""
    tenant = Tenant(
        slug=checked_slug(draft.slug),
        name=draft.name,
        profile=draft.profile or profile_of(draft.industry),
        timezone=checked_zone(draft.timezone),
        industry=draft.industry,
        monthly_token_budget=draft.monthly_token_budget,
        monthly_budget_cents=draft.monthly_budget_cents,
        created_at=now,
    )
    await _demand_free(session, tenant.slug)
    session.add(tenant)
    await _flush(session, _TAKEN)
    log.info("client made", client=str(tenant.id), slug=tenant.slug, by=by)
    return tenant


async def locked(session: AsyncSession, client_id: uuid.UUID) -> Tenant:
    """Return a client that nobody else changes before this transaction is over."""
    query = select(Tenant).where(Tenant.id == client_id).with_for_update()
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound("no such client")
    return found


async def change(session: AsyncSession, tenant: Tenant, given: Mapping[str, Any]) -> None:
    """Set columns of a client, by their names; raise `Conflict` when another has the slug."""
    if tenant.slug == DEFAULT:
        _demand_settings(tenant, given)
    if given.get("slug", tenant.slug) != tenant.slug:
        await _demand_free(session, checked_slug(given["slug"]))
    if "timezone" in given:
        checked_zone(given["timezone"])
    for name, value in given.items():
        setattr(tenant, name, value)
    await _flush(session, _TAKEN)


def note_change(tenant: Tenant, names: Iterable[str], *, by: str, now: datetime) -> None:
    """Write down that fields of a client were changed, in the row and in the log."""
    tenant.updated_at = now
    log.info("client changed", client=str(tenant.id), changed=sorted(names), by=by)


def put(tenant: Tenant, status: TenantStatus, *, by: str, now: datetime) -> bool:
    """Pause a client or let it go on; return False when there was nothing to do."""
    if tenant.status == status:
        return False
    tenant.status = status
    note_change(tenant, ["status"], by=by, now=now)
    return True


async def set_numbers(
    session: AsyncSession, tenant: Tenant, numbers: Sequence[str], *, now: datetime
) -> None:
    """Have a client be reached under these numbers only, and write from the first of them."""
    wanted = dict.fromkeys(checked_number(number) for number in numbers)
    if len(wanted) > MOST_NUMBERS:
        raise Unprocessable(f"phone_numbers: expected at most {MOST_NUMBERS}")
    held = await _rows_of(session, tenant, wanted)
    for number in wanted.keys() - held.keys():
        session.add(PhoneNumber(number=number, tenant_id=tenant.id, created_at=now))
    for number in held.keys() - wanted.keys():
        await session.delete(held[number])
    tenant.phone_number = next(iter(wanted), None)
    await _flush(session, "phone_numbers: another client has one of them")


async def _rows_of(
    session: AsyncSession, tenant: Tenant, wanted: Collection[str]
) -> dict[str, PhoneNumber]:
    """Return the rows of a client's numbers; raise `Conflict` when another has a wanted one."""
    is_meant = or_(col(PhoneNumber.number).in_(wanted), col(PhoneNumber.tenant_id) == tenant.id)
    rows = (await session.exec(select(PhoneNumber).where(is_meant).with_for_update())).all()
    if taken := sorted(row.number for row in rows if row.tenant_id != tenant.id):
        raise Conflict(f"phone_numbers: another client has {', '.join(taken)}")
    return {row.number: row for row in rows}


async def numbers_of(
    session: AsyncSession, tenants: Sequence[Tenant]
) -> dict[uuid.UUID, list[str]]:
    """Return the numbers of clients, of each first the one it writes from."""
    ids = [tenant.id for tenant in tenants]
    query = select(PhoneNumber).where(col(PhoneNumber.tenant_id).in_(ids))
    rows = await session.exec(query.order_by(col(PhoneNumber.created_at), col(PhoneNumber.number)))
    found: dict[uuid.UUID, list[str]] = {tenant_id: [] for tenant_id in ids}
    for row in rows:
        found[row.tenant_id].append(row.number)
    for tenant in tenants:
        found[tenant.id].sort(key=lambda number: number != tenant.phone_number)
    return found


async def listed(
    session: AsyncSession,
    *,
    after: tuple[datetime, uuid.UUID] | None = None,
    limit: int | None = None,
) -> Sequence[Tenant]:
    """Return the next clients, oldest first; all of them without a limit."""
    order = col(Tenant.created_at), col(Tenant.id)
    query = select(Tenant).order_by(*order).limit(limit)
    if after is not None:
        query = query.where(behind(order, after))
    return (await session.exec(query)).all()


def profile_of(industry: str | None) -> str:
    """Return the profile of a line of business; raise `Unprocessable` naming those we know."""
    if industry is None:
        raise Unprocessable("industry: expected one, or a profile")
    if industry not in PROFILES:
        known = ", ".join(sorted(PROFILES))
        raise Unprocessable(f"industry: expected one of {known}, or any other beside a profile")
    return PROFILES[industry]


def checked_slug(slug: str) -> str:
    """Return a slug; raise `Unprocessable` unless it can stand in an address."""
    if _SLUG.fullmatch(slug) is None or len(slug) > 63:
        raise Unprocessable("slug: expected a-z, 0-9 and single hyphens, at most 63 characters")
    return slug


def checked_zone(name: str) -> str:
    """Return the name of a time zone; raise `Unprocessable` for one that nobody knows."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones: IsADirectoryError
        raise Unprocessable("timezone: expected a name like America/New_York") from None
    return name


def checked_number(number: str) -> str:
    """Return a phone number; raise `Unprocessable` unless it is spelled as E.164."""
    if E164.fullmatch(number) is None:
        raise Unprocessable("phone_numbers: expected numbers like +12015550123")
    return number


def _demand_settings(tenant: Tenant, given: Mapping[str, Any]) -> None:
    """Refuse what the next start would set back."""
    for name, setting in _OF_SETTINGS.items():
        if given.get(name, getattr(tenant, name)) != getattr(tenant, name):
            raise Conflict(f"{name}: for the client `default` it comes from {setting}")


_TAKEN = "slug: another client has it"


async def _demand_free(session: AsyncSession, slug: str) -> None:
    if await by_slug(session, slug) is not None:
        raise Conflict(_TAKEN)


async def _flush(session: AsyncSession, clash: str) -> None:
    """Send what was changed; somebody else may have been a moment faster."""
    try:
        await session.flush()
    except IntegrityError:
        raise Conflict(clash) from None
