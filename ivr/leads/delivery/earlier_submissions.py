"""What became of a lead before: its earlier submissions, for who is about to write the next one."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, Lead, Submission, SubmissionAttempt, SubmissionState
from ivr.errors import Failure
from ivr.leads.attention import review
from ivr.leads.delivery import ledger
from ivr.leads.profile import Profile


async def is_handed_over(session: AsyncSession, lead: Lead) -> bool:
    """Whether the lead is closed, or its target has it all the same: staff have opened it again."""
    took = (
        select(SubmissionAttempt.id)
        .join(Submission)
        .where(
            Submission.lead_id == lead.id,
            col(Submission.state).not_in(review.UNDECIDED),  # `supersede` tells of these
            col(SubmissionAttempt.outcome).in_(("success", Failure.AMBIGUOUS)),
        )
    )
    return lead.closed_at is not None or (await session.exec(took.limit(1))).first() is not None


async def news(
    session: AsyncSession, lead: Lead, profile: Profile, data: Mapping[str, str | None]
) -> str | None:
    """Return what a lead learnt after it was handed over, in words for an operator."""
    query = select(Submission).where(Submission.lead_id == lead.id)
    latest = (await session.exec(query.order_by(col(Submission.created_at).desc()))).first()
    if latest is None:
        return f"not submitted: the lead was closed before, as {lead.stage}"
    told = latest.lead_data
    new = [item.label for item in profile.fields if data[item.key] != told.get(item.key)]
    if not new:
        return None
    return f"not submitted: the lead was handed over before; new since then: {', '.join(new)}"


async def is_undecided(session: AsyncSession, lead: Lead, data: Mapping[str, str | None]) -> bool:
    """Whether exactly this may have been taken already: "thanks!" adds nothing to decide about."""
    query = select(Submission.lead_data).where(
        Submission.lead_id == lead.id, col(Submission.state).in_(review.UNDECIDED)
    )
    return dict(data) in (await session.exec(query)).all()


async def supersede(session: AsyncSession, lead: Lead, *, now: datetime) -> str | None:
    """Close earlier submissions that did not get out; return why one of them stands in the way."""
    query = (
        select(Submission)
        .where(
            Submission.lead_id == lead.id,
            col(Submission.state).in_(SubmissionState.open_states()),
        )
        .with_for_update(key_share=True)
    )
    undecided = None
    for one in (await session.exec(query)).all():
        if one.state in review.UNDECIDED:
            undecided = "not submitted: an earlier submission of this lead may have been taken"
            continue
        one.state, one.next_attempt_at = SubmissionState.RESOLVED, None
        one.updated_at = now
        await ledger.close_failure(session, one.id, "replaced by a later conversation")
    return undecided


async def own(session: AsyncSession, conversation: Conversation) -> Submission | None:
    """Return the submission that this episode of a conversation has."""
    query = select(Submission).where(
        Submission.conversation_id == conversation.id,
        Submission.episode == conversation.episode,
    )
    return (await session.exec(query)).one_or_none()
