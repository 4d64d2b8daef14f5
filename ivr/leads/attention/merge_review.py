"""A person's word on whether two people are one: the questions that `identity` could not answer."""

import uuid
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, Lead, MergeRecord, ReviewItem, ReviewKind, Tenant
from ivr.errors import Conflict
from ivr.leads.attention import review
from ivr.leads.delivery.handover import Profiles, profile_of
from ivr.leads.people import identity, merging


async def decide(
    session: AsyncSession,
    profiles: Profiles,
    tenant: Tenant,
    item_id: int,
    *,
    are_one: bool,
    now: datetime,
) -> None:
    """Make one contact of the two, or note for good that they are two.

    Raises `NotFound`, and `Conflict` for a question of another kind, one that was decided before,
    or while a lead of theirs is being sent. The question is locked last, as a merge locks what
    hangs on a lead: whoever has decided it meanwhile undoes what is done here.
    """
    item = await review.open_item(session, tenant, item_id, ReviewKind.MERGE, locked=False)
    conversation = await session.get_one(Conversation, item.conversation_id)
    lead = await session.get_one(Lead, conversation.lead_id)
    other = await _other(session, item, lead)
    if other is None:
        if not are_one:
            profile = profile_of(profiles, tenant, lead)
            await identity.not_this_person(session, conversation, profile, now=now)
    elif are_one:
        await _merge(session, profiles, tenant, lead.contact_id, other, now=now)
    else:
        _part(session, tenant, lead.contact_id, other, now=now)
    item = await review.open_item(session, tenant, item_id, ReviewKind.MERGE)
    item.resolved_at, item.resolution = now, identity.ONE_PERSON if are_one else identity.TWO_PEOPLE


async def _other(session: AsyncSession, item: ReviewItem, lead: Lead) -> uuid.UUID | None:
    """Return the contact in question as it is now; None when it is the conversation's own."""
    if item.detail["other"] is None:
        return None
    other = await merging.kept_now(session, uuid.UUID(item.detail["other"]))
    return other if other != lead.contact_id else None


async def _merge(
    session: AsyncSession,
    profiles: Profiles,
    tenant: Tenant,
    one: uuid.UUID,
    other: uuid.UUID,
    *,
    now: datetime,
) -> None:
    first, second = await merging.lock_contacts(session, (one, other))
    if await merging.kept_now(session, one) == await merging.kept_now(session, other):
        return  # somebody was faster
    record = await merging.merge(session, first, second, reason="a person said so", now=now)
    if record is None:
        raise Conflict("a lead of theirs is being sent: try again in a minute")
    await merging.reassess_open(session, profiles, tenant, record.kept_id, now=now)


def _part(
    session: AsyncSession, tenant: Tenant, one: uuid.UUID, other: uuid.UUID, *, now: datetime
) -> None:
    """Note that they are two, as a merge that was undone: nothing makes one of them any more."""
    session.add(
        MergeRecord(
            tenant_id=tenant.id,
            kept_id=one,
            gone_id=other,
            reason="a person said that they are two",
            created_at=now,
            split_at=now,
        )
    )
