"""Finds the one lead that a request names, to read it or to change it; whose it is, is checked."""

import uuid

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, Lead, Lifecycle
from ivr.errors import Gone, NotFound
from ivr.leads.people import merging
from ivr.leads.progress import stages


async def find(session: AsyncSession, tenant_id: uuid.UUID, lead_id: uuid.UUID) -> Lead:
    """Return the lead; raise `NotFound`, or `Gone` with the one that has all that it had."""
    query = select(Lead).where(Lead.id == lead_id, Lead.tenant_id == tenant_id)
    lead = (await session.exec(query)).one_or_none()
    if lead is None:
        raise NotFound(f"no lead {lead_id}")
    await _refuse_merged(session, lead)
    return lead


async def lock(session: AsyncSession, tenant_id: uuid.UUID, lead_id: uuid.UUID) -> Lead:
    """Return the lead for changing, its conversations with it; raises as `find`.

    In the order in which everybody locks: who escalates has the conversation before its lead.
    """
    await find(session, tenant_id, lead_id)
    conversations = select(Conversation.id).where(Conversation.lead_id == lead_id)
    ordered = conversations.order_by(col(Conversation.id))
    await session.exec(ordered.with_for_update(key_share=True))
    lead = await stages.lock(session, lead_id)
    await _refuse_merged(session, lead)
    return lead


async def _refuse_merged(session: AsyncSession, lead: Lead) -> None:
    if lead.lifecycle != Lifecycle.MERGED:
        return
    into = await merging.merged_into(session, lead)
    if into is None:
        raise Gone(f"lead {lead.id} was merged into another one")
    raise Gone(f"lead {lead.id} was merged into {into}", merged_into=str(into))
