"""Somebody of whom nothing has been heard for long, for the tests of when they are forgotten."""

from ivr.db import Database
from ivr.db.tables import Conversation, ConversationStatus, Lead, Lifecycle, Tenant
from tests.leads.cast import NOW, call

OTHER = "+17705550188"


async def person(
    db: Database, *, number: str = OTHER, days: int | None = 90, closed: bool = True
) -> Lead:
    """Somebody last heard of at `NOW`; their business keeps people for so many days."""
    conversation = await call(db, caller=number, sid=f"CA{number}")
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        row.status = ConversationStatus.FINISHED
        lead = await session.get_one(Lead, row.lead_id)
        lead.last_inbound_at, lead.closed_at = NOW, NOW if closed else None
        if closed:
            lead.lifecycle = Lifecycle.SUBMITTED
        tenant = await session.get_one(Tenant, lead.tenant_id)
        tenant.config = {} if days is None else {"retention_days": days}
    return lead
