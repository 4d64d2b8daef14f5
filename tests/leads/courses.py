"""The training centre of the funnel tests: people who write to it, and what they say."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlmodel import col, select

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import Axis, Channel, Conversation, Lead, Tenant, Transition
from ivr.leads import field_edits, intake
from ivr.leads.intake import Enquiry
from ivr.leads.profile import load_profile
from ivr.leads.progress import funnel, stages
from tests.leads.cast import NOW, settings_for

COURSES = load_profile("courses")
STAGES = (
    "NEW",
    "NAME_COLLECTED",
    "COURSE_SELECTED",
    "EDUCATION_COLLECTED",
    "GOAL_COLLECTED",
    "DEMO_SHARED",
    "ENROLLED",
    "LOST",
)
KEYS = (
    "name",
    "phone",
    "selected_course",
    "education_level",
    "goal",
    "demo_shared",
    "enrolled",
)
AHMED = {
    "name": "Ahmed",
    "phone": "+92 300 1234567",
    "selected_course": "CTA",
    "education_level": "Graduate",
    "goal": "Career switch",
}


async def centre(db: Database, slug: str = tenants.DEFAULT) -> Tenant:
    """The business; under another slug, another one beside it."""
    if slug == tenants.DEFAULT:
        settings = settings_for(db.url, profile="courses", timezone="Asia/Karachi")
        return await tenants.ensure_default(db, settings, now=NOW)
    async with db.write() as session:
        zone = "Asia/Karachi"
        tenant = Tenant(slug=slug, name=slug, profile="courses", timezone=zone, created_at=NOW)
        session.add(tenant)
        return tenant


async def chat(
    db: Database, tenant: Tenant, key: str | None = None, *, now: datetime = NOW
) -> Conversation:
    """Somebody new begins to chat."""
    name = key or str(uuid.uuid4())
    enquiry = Enquiry(Channel.CHAT, name, None, None, finish_after=now, now=now, provider="chat")
    return await intake.begin(db, tenant, COURSES, enquiry)


async def tell(
    db: Database, conversation: Conversation, *, now: datetime = NOW, **given: object
) -> Lead:
    """Have fields of the conversation's lead set."""
    async with db.write() as session:
        found, lead = await funnel.conversation_of(
            session, conversation.tenant_id, str(conversation.id), lock=True
        )
        await field_edits.set_fields(
            session, found, lead, COURSES, given, actor="assistant", now=now
        )
        return lead


async def pin(
    db: Database,
    conversation: Conversation,
    stage: str,
    *,
    reason: str = "set by hand",
    now: datetime = NOW,
) -> bool:
    """Have a person put the conversation's lead into a stage."""
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        return await stages.pin(
            session, lead, COURSES, stage, actor="operator", reason=reason, now=now
        )


async def lead_of(db: Database, conversation: Conversation) -> Lead:
    async with db.read() as session:
        return await session.get_one(Lead, conversation.lead_id)


async def moves_of(
    db: Database, lead_id: uuid.UUID, axis: Axis = Axis.STAGE
) -> Sequence[Transition]:
    """The moves of a lead on one axis, in their order."""
    query = (
        select(Transition)
        .where(Transition.lead_id == lead_id, Transition.axis == axis)
        .order_by(col(Transition.seq))
    )
    async with db.read() as session:
        return (await session.exec(query)).all()


async def stages_of(db: Database, conversation: Conversation) -> list[str]:
    """The stages that a lead came into."""
    return [move.to_value for move in await moves_of(db, conversation.lead_id)]
