"""Tenants found by name, number, call and message; `default` is made from the settings."""

import uuid
from datetime import datetime

import structlog
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Message, PhoneNumber, Tenant
from ivr.settings import Settings

DEFAULT = "default"

log = structlog.get_logger(__name__)


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
        tenant.timezone = settings.timezone
        if settings.twilio_phone_number not in {None, tenant.phone_number}:
            await session.flush()
            await _take_number(session, tenant, str(settings.twilio_phone_number))
        return tenant


async def _take_number(session: AsyncSession, tenant: Tenant, number: str) -> None:
    """Have `default` write from the number in the settings, in the place of its first one."""
    row = await session.get(PhoneNumber, number)
    if row is not None and row.tenant_id != tenant.id:
        log.warning(
            "setting",
            id="twilio-number-taken",
            problem="TWILIO_PHONE_NUMBER belongs to another client: its calls stay with that one",
            hint="set another number, or take it from that client: ivr tenants number remove",
        )
        return
    if row is None:  # the setting was changed: the number that it named before goes
        # It is as old as the tenant itself: so we write it, and what operators give is younger.
        since = tenant.created_at
        named = col(PhoneNumber.tenant_id) == tenant.id, col(PhoneNumber.created_at) == since
        await session.exec(delete(PhoneNumber).where(*named))
        session.add(PhoneNumber(number=number, tenant_id=tenant.id, created_at=since))
    tenant.phone_number = number


async def by_slug(session: AsyncSession, slug: str) -> Tenant | None:
    """Return the tenant with this short name."""
    return (await session.exec(select(Tenant).where(Tenant.slug == slug))).one_or_none()


async def by_call(session: AsyncSession, call_sid: str | None, called: str | None) -> Tenant:
    """Return whose call it is: a number that moves on takes no call along that is under way."""
    query = (
        select(Tenant)
        .join(Conversation, col(Conversation.tenant_id) == Tenant.id)
        .where(
            Conversation.session_key == (call_sid or ""),
            Conversation.to_number == called,
            col(Conversation.channel).in_({Channel.VOICE, Channel.MISSED_CALL}),
        )
        .order_by(col(Conversation.started_at))
        .limit(1)
    )
    found = (await session.exec(query)).first()
    return found or await by_called_number(session, called)


async def by_message(session: AsyncSession, message_id: uuid.UUID | None, sender: str) -> Tenant:
    """Return whose message it is, whoever writes from its number by now."""
    query = (
        select(Tenant)
        .join(Message, col(Message.tenant_id) == Tenant.id)
        .where(Message.id == message_id, Message.sender == sender)
    )
    found = None if message_id is None else (await session.exec(query)).one_or_none()
    return found or await by_called_number(session, sender)


async def by_called_number(session: AsyncSession, number: str | None) -> Tenant:
    """Return the tenant whose number was called, `default` for a number that nobody claimed."""
    owner = select(PhoneNumber.tenant_id).where(PhoneNumber.number == (number or ""))
    is_meant = col(Tenant.id).in_(owner) | (col(Tenant.slug) == DEFAULT)
    found = (await session.exec(select(Tenant).where(is_meant))).all()
    assert found, "the first start makes tenant `default`"
    return max(found, key=lambda tenant: tenant.slug != DEFAULT)


async def own_number(session: AsyncSession, tenant: Tenant, number: str | None) -> str | None:
    """Return a number that a tenant has, None for any other and for one that nobody claimed."""
    row = await session.get(PhoneNumber, number) if number else None
    return number if row is not None and row.tenant_id == tenant.id else None
