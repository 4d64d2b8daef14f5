"""Tenants: the businesses that get leads. The first start makes `default`: one needs no others."""

from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import Database
from ivr.db.tables import Tenant
from ivr.settings import Settings

DEFAULT = "default"


async def ensure_default(db: Database, settings: Settings, *, now: datetime) -> Tenant:
    """Return tenant `default`, made or brought up to date from the settings."""
    try:
        return await _write_default(db, settings, now=now)
    except IntegrityError:  # another process was first
        return await _write_default(db, settings, now=now)


async def _write_default(db: Database, settings: Settings, *, now: datetime) -> Tenant:
    async with db.write() as session:
        tenant = await by_slug(session, DEFAULT)
        if tenant is None:
            tenant = Tenant(slug=DEFAULT, name="", profile="", timezone="", created_at=now)
            session.add(tenant)
        tenant.name, tenant.profile = settings.business_name, settings.profile
        tenant.timezone, tenant.phone_number = settings.timezone, settings.twilio_phone_number
        return tenant


async def by_slug(session: AsyncSession, slug: str) -> Tenant | None:
    """Return the tenant with this short name."""
    return (await session.exec(select(Tenant).where(Tenant.slug == slug))).one_or_none()


async def by_called_number(session: AsyncSession, number: str | None) -> Tenant:
    """Return the tenant whose number was called, `default` for a number that nobody claimed."""
    is_owner = col(Tenant.phone_number) == (number or None)
    found = (
        await session.exec(select(Tenant).where(is_owner | (col(Tenant.slug) == DEFAULT)))
    ).all()
    assert found, "the first start makes tenant `default`"
    return max(found, key=lambda tenant: bool(number) and tenant.phone_number == number)
