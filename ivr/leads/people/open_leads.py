"""The open lead of a contact in one line of business: found, taken up again, or begun."""

import uuid
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Axis, Contact, Lead, Lifecycle, Transition
from ivr.leads.profile import Profile
from ivr.leads.progress import moves, search, stages

# What became of these is settled: who comes again wants something new.
_DONE_WITH = (Lifecycle.SUBMITTED, Lifecycle.DISQUALIFIED, Lifecycle.MERGED)


async def of_contact(session: AsyncSession, contact_id: uuid.UUID, profile_key: str) -> Lead | None:
    """Return the contact's open lead."""
    query = select(Lead).where(
        Lead.contact_id == contact_id, Lead.profile == profile_key, col(Lead.closed_at).is_(None)
    )
    return (await session.exec(query)).one_or_none()


async def take_up(
    session: AsyncSession,
    contact: Contact,
    profile: Profile,
    *,
    source: str,
    reason: str,
    now: datetime,
) -> Lead:
    """Return the contact's open lead, the one that was given up as lost, or a new one.

    `source`: where a new one comes from, a channel or a name of the business's own.
    """
    lead = await of_contact(session, contact.id, profile.key)
    if lead is not None and lead.lifecycle == Lifecycle.NURTURING:
        lead = await stages.lock(session, lead.id)
        await stages.inbound(session, lead, profile, now=now)
    lead = lead or await _reopened(session, contact.id, profile, now=now)
    return lead or await begin(session, contact, profile, source=source, reason=reason, now=now)


async def begin(
    session: AsyncSession,
    contact: Contact,
    profile: Profile,
    *,
    source: str,
    reason: str,
    now: datetime,
) -> Lead:
    """Add a lead at the profile's first stage."""
    lead = Lead(
        tenant_id=contact.tenant_id,
        contact_id=contact.id,
        profile=profile.key,
        stage=profile.stages[0],
        source=source,
        created_at=now,
        updated_at=now,
    )
    session.add(lead)
    await session.flush()
    await search.keep(session, lead)
    first = Transition(
        tenant_id=lead.tenant_id,
        lead_id=lead.id,
        axis=Axis.STAGE,
        seq=1,
        from_value=None,
        to_value=lead.stage,
        actor="system",
        reason=reason,
        at=now,
    )
    session.add(first)
    await session.flush()
    await moves.tell(session, lead, Axis.STAGE, count=1, now=now)
    return lead


async def _reopened(
    session: AsyncSession, contact_id: uuid.UUID, profile: Profile, *, now: datetime
) -> Lead | None:
    """Open the contact's last lead again if it was only given up as lost."""
    query = select(Lead).where(Lead.contact_id == contact_id, Lead.profile == profile.key)
    last = (await session.exec(query.order_by(col(Lead.created_at).desc()).limit(1))).first()
    if last is None or last.lifecycle in _DONE_WITH:
        return None
    lead = await stages.lock(session, last.id)
    await stages.inbound(session, lead, profile, now=now)
    return lead if lead.closed_at is None else None
