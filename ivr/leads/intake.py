"""What happens first to anybody who reaches us: contact, lead and conversation are written down."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import phonenumbers
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.conversations import ConversationStore
from ivr.db import Database
from ivr.db.tables import (
    Axis,
    Channel,
    Contact,
    ContactPoint,
    Conversation,
    InboundEvent,
    Lead,
    Source,
    Tenant,
    Transition,
)
from ivr.leads import fields, values
from ivr.leads.fields import Accepted
from ivr.leads.profile import Profile


@dataclass(frozen=True, slots=True)
class Enquiry:
    """Somebody reached us; `session_key` is e.g. the CallSid, `caller` is E.164 or None."""

    channel: Channel
    session_key: str
    caller: str | None
    called: str | None
    finish_after: datetime
    now: datetime
    provider: str = "twilio"
    payload: Mapping[str, str] = field(default_factory=dict)


def caller_number(raw: str | None) -> str | None:
    """Return `raw` as E.164, None for a withheld, SIP or impossible one (Twilio: voice webhook)."""
    try:
        number = phonenumbers.parse(raw or "", None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


async def begin(db: Database, tenant: Tenant, profile: Profile, enquiry: Enquiry) -> Conversation:
    """Commit contact, lead and conversation; return the conversation, also if it was there."""
    try:
        return await _begin(db, tenant, profile, enquiry)
    except IntegrityError:  # the same person reached us twice at once; now the rows are there
        return await _begin(db, tenant, profile, enquiry)


async def _begin(db: Database, tenant: Tenant, profile: Profile, enquiry: Enquiry) -> Conversation:
    async with db.write() as session:
        conversations = ConversationStore(session, tenant.id)
        found = await conversations.find(enquiry.channel, enquiry.session_key)
        if found is not None:
            return found
        lead = await _open_lead(session, tenant, profile, enquiry)
        conversation = conversations.start(
            lead_id=lead.id,
            channel=enquiry.channel,
            session_key=enquiry.session_key,
            from_number=enquiry.caller,
            to_number=enquiry.called,
            finish_after=enquiry.finish_after,
            now=enquiry.now,
        )
        await session.flush()
        _note_event(session, tenant, enquiry)
        await _note_caller_number(session, profile, conversation, enquiry)
        return conversation


async def _open_lead(
    session: AsyncSession, tenant: Tenant, profile: Profile, enquiry: Enquiry
) -> Lead:
    contact_id = await _known_contact(session, tenant, enquiry)
    if contact_id is None:
        contact_id = await _new_contact(session, tenant, enquiry)
        return await _new_lead(session, tenant, profile, enquiry, contact_id)
    query = select(Lead).where(
        Lead.tenant_id == tenant.id,
        Lead.contact_id == contact_id,
        Lead.profile == profile.key,
        col(Lead.closed_at).is_(None),
    )
    lead = (await session.exec(query)).one_or_none()
    return lead or await _new_lead(session, tenant, profile, enquiry, contact_id)


async def _new_lead(
    session: AsyncSession,
    tenant: Tenant,
    profile: Profile,
    enquiry: Enquiry,
    contact_id: uuid.UUID,
) -> Lead:
    lead = Lead(
        tenant_id=tenant.id,
        contact_id=contact_id,
        profile=profile.key,
        stage=profile.stages[0],
        created_at=enquiry.now,
        updated_at=enquiry.now,
    )
    session.add(lead)
    await session.flush()
    session.add(
        Transition(
            tenant_id=tenant.id,
            lead_id=lead.id,
            axis=Axis.STAGE,
            seq=1,
            from_value=None,
            to_value=lead.stage,
            actor="system",
            reason=f"first contact by {enquiry.channel}",
            at=enquiry.now,
        )
    )
    return lead


async def _known_contact(
    session: AsyncSession, tenant: Tenant, enquiry: Enquiry
) -> uuid.UUID | None:
    """Return the person who has this number; a withheld number is a new person each time."""
    if enquiry.caller is None:
        return None
    query = select(ContactPoint.contact_id).where(
        ContactPoint.tenant_id == tenant.id,
        ContactPoint.kind == "phone",
        ContactPoint.value == enquiry.caller,
    )
    return (await session.exec(query)).one_or_none()


async def _new_contact(session: AsyncSession, tenant: Tenant, enquiry: Enquiry) -> uuid.UUID:
    contact = Contact(tenant_id=tenant.id, created_at=enquiry.now)
    session.add(contact)
    await session.flush()
    if enquiry.caller is not None:
        session.add(
            ContactPoint(
                tenant_id=tenant.id,
                contact_id=contact.id,
                kind="phone",
                value=enquiry.caller,
                created_at=enquiry.now,
            )
        )
    return contact.id


def _note_event(session: AsyncSession, tenant: Tenant, enquiry: Enquiry) -> None:
    """Keep what came in as it came; its key makes the same event a second time impossible."""
    session.add(
        InboundEvent(
            tenant_id=tenant.id,
            provider=enquiry.provider,
            kind=enquiry.channel,
            provider_id=enquiry.session_key,
            payload=dict(enquiry.payload),
            received_at=enquiry.now,
        )
    )


async def _note_caller_number(
    session: AsyncSession, profile: Profile, conversation: Conversation, enquiry: Enquiry
) -> None:
    """Keep the number that the network showed, if the profile takes it: who rings off is known."""
    phone = profile.phone_field
    if phone is None or enquiry.caller is None:
        return
    checked = fields.check(phone, enquiry.caller, today=enquiry.now.date())
    if not isinstance(checked, Accepted):
        return
    await values.add(
        session,
        conversation,
        name=phone.key,
        value=checked.value,
        raw=enquiry.caller,
        source=Source.CALLER_ID,
        details=checked.details,
        now=enquiry.now,
    )
