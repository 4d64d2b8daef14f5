"""Whether a target may text a person: what they told us of it goes along with their lead."""

from collections.abc import Collection

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Channel,
    ContactPoint,
    Conversation,
    Lead,
    ReviewItem,
    ReviewKind,
    Submission,
)
from ivr.messages import consent


async def is_refused(session: AsyncSession, submission: Submission, lead: Lead) -> bool:
    """Whether they refused messages, on any of their numbers, or may have.

    Asked whenever the lead leaves: a STOP counts more than what they had said before it.
    """
    for number in sorted(await _numbers(session, submission, lead)):
        for channel in sorted(Channel.by_message()):
            if await consent.is_revoked(session, lead.tenant_id, number, channel):
                return True
    doubt = select(ReviewItem.id).where(
        ReviewItem.lead_id == lead.id,
        ReviewItem.kind == ReviewKind.OPT_OUT,
        col(ReviewItem.resolved_at).is_(None),
    )
    return (await session.exec(doubt.limit(1))).first() is not None


async def _numbers(session: AsyncSession, submission: Submission, lead: Lead) -> Collection[str]:
    points = select(ContactPoint.value).where(
        ContactPoint.contact_id == lead.contact_id, ContactPoint.kind == "phone"
    )
    came_from = select(Conversation.from_number).where(Conversation.lead_id == lead.id).distinct()
    # E.164, whatever the business calls the field
    told = [value for value in submission.lead_data.values() if str(value).startswith("+")]
    found = [*(await session.exec(points)).all(), *(await session.exec(came_from)).all(), *told]
    return {number for number in found if number}
