"""The owner's tables, `succeeded_leads` and `failed_leads`: submissions write, operators read."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import FailedLead, Lead, Submission, SubmissionState, SucceededLead
from ivr.errors import Conflict, NotFound
from ivr.leads.attention import review
from ivr.leads.progress import stages
from ivr.webhooks import outbox
from ivr.webhooks.event_types import EventType
from ivr.webhooks.outbox import rfc3339

OPERATOR = "operator"  # the actor of an attempt that a person has asked for


async def failed(
    session: AsyncSession, tenant_id: uuid.UUID, *, include_resolved: bool = False
) -> Sequence[FailedLead]:
    """Return the leads that somebody must look at, oldest first."""
    query = select(FailedLead).where(FailedLead.tenant_id == tenant_id).order_by(col(FailedLead.id))
    if not include_resolved:
        query = query.where(col(FailedLead.resolved).is_(False))
    return (await session.exec(query)).all()


async def succeeded(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    *,
    since: datetime | None = None,
    channel: str | None = None,
) -> Sequence[SucceededLead]:
    """Return the leads that their target took, newest first."""
    query = select(SucceededLead).where(SucceededLead.tenant_id == tenant_id)
    if since is not None:
        query = query.where(col(SucceededLead.submitted_at) >= since)
    if channel is not None:
        query = query.where(SucceededLead.channel == channel)
    query = query.order_by(col(SucceededLead.submitted_at).desc(), col(SucceededLead.id).desc())
    return (await session.exec(query)).all()


async def find_failed(
    session: AsyncSession, tenant_id: uuid.UUID, failed_lead_id: int
) -> tuple[FailedLead, Submission]:
    """Return the entry and its submission, or raise `NotFound` in words for an operator."""
    query = (
        select(FailedLead, Submission)
        .join(Submission, col(FailedLead.submission_id) == col(Submission.id))
        .where(FailedLead.tenant_id == tenant_id, FailedLead.id == failed_lead_id)
    )
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound(f"failed lead {failed_lead_id} not found; `list` shows the open ones")
    entry, submission = found
    return entry, submission


async def resolve(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    failed_lead_id: int,
    note: str,
    *,
    now: datetime,
) -> FailedLead:
    """Close a failed lead without sending it; raise `Conflict` when it is being sent or is closed.

    Of one that may have been taken it says that the target has it: the lead itself is closed, and
    what the person tells us later is a new one.
    """
    entry, submission = await find_failed(session, tenant_id, failed_lead_id)
    lead = await stages.lock(session, submission.lead_id)
    await session.refresh(submission, with_for_update={"key_share": True})
    await session.refresh(entry)
    if submission.state == SubmissionState.IN_FLIGHT:
        raise Conflict(
            f"failed lead {failed_lead_id} is being sent right now; look again in a minute"
        )
    if entry.resolved:
        raise Conflict(f"failed lead {failed_lead_id} is closed already: {entry.resolution}")
    entry.resolved, entry.resolution = True, note
    if submission.state == SubmissionState.AMBIGUOUS:
        lead.closed_at = lead.closed_at or now
    submission.state, submission.next_attempt_at = SubmissionState.RESOLVED, None
    submission.updated_at = now
    await review.close_for_submission(session, submission.id, note, now=now)
    return entry


def refusal(
    submission: Submission, failed_lead_id: int, *, force: bool, unfit: str | None = None
) -> str | None:
    """Return why an operator cannot send this now, None when nothing speaks against it.

    `unfit`: why the lead, as it stands by now, is not to go by itself.
    """
    name, since = f"failed lead {failed_lead_id}", f"{submission.updated_at:%Y-%m-%d %H:%M} UTC"
    match submission.state:
        case SubmissionState.SUCCEEDED:
            return f"{name} was already submitted ({since})"
        case SubmissionState.IN_FLIGHT:
            return f"{name} is being sent right now; look again in a minute"
        case SubmissionState.RESOLVED:
            return f"{name} was closed without sending ({since})"
        case SubmissionState.AMBIGUOUS if not force:
            why = submission.last_error
            return f"{name} may have been taken: {why}. Ask the target; --force sends it again"
        case SubmissionState.HELD if not force:
            return f"{name} is held back: {submission.last_error}. --force sends it as it is"
        case _ if unfit is not None and not force:
            return f"{name} is held back: {unfit}. --force sends it as it is"
    return None


async def enter_failure(
    session: AsyncSession, submission: Submission, message: str, *, now: datetime
) -> None:
    """Make or renew the entry of a submission that did not get through."""
    entry = await _entry(session, submission.id)
    is_news = entry is None or entry.resolved or entry.error_message != message
    if entry is None:
        entry = FailedLead(
            tenant_id=submission.tenant_id,
            submission_id=submission.id,
            error_message=message,
            channel=submission.channel,
            session_id=submission.conversation_id,
            created_at=now,
        )
    entry.lead_data, entry.error_message = submission.lead_data, message
    entry.resolved, entry.resolution = False, None
    entry.retry_count = max(0, submission.attempts - 1)
    entry.last_retry_at = now if submission.attempts > 1 else None
    session.add(entry)
    if is_news or submission.state != SubmissionState.PENDING:
        await _tell(session, submission, EventType.SUBMISSION_FAILED, message, now=now)


async def enter_success(
    session: AsyncSession, submission: Submission, response: dict[str, Any], *, now: datetime
) -> None:
    """Make the entry of a submission that got through and close its failure."""
    session.add(
        SucceededLead(
            tenant_id=submission.tenant_id,
            submission_id=submission.id,
            lead_data=submission.lead_data,
            channel=submission.channel,
            session_id=submission.conversation_id,
            submitted_at=now,
            npa_response=response,
        )
    )
    entry = await _entry(session, submission.id)
    if entry is not None:
        entry.resolved, entry.resolution = True, "submitted"
        entry.retry_count = max(0, submission.attempts - 1)
        entry.last_retry_at = now if submission.attempts > 1 else None
    await _tell(session, submission, EventType.SUBMISSION_SUCCEEDED, None, now=now)


async def _tell(
    session: AsyncSession,
    submission: Submission,
    type: EventType,
    error: str | None,
    *,
    now: datetime,
) -> None:
    """Have others told; what cannot get out and only waits for its next attempt is told once."""
    again = submission.next_attempt_at
    data = {
        "submission_id": str(submission.id),
        "lead_id": str(submission.lead_id),
        "conversation_id": str(submission.conversation_id),
        "target": submission.target,
        "state": str(submission.state),
        "attempts": submission.attempts,
        "error": error,
        "next_attempt_at": rfc3339(again) if again else None,
        "at": rfc3339(now),
    }
    await outbox.emit(
        session, submission.tenant_id, type, lead_id=submission.lead_id, data=data, now=now
    )


async def close_failure(session: AsyncSession, submission_id: uuid.UUID, note: str) -> None:
    """Close a failure that nobody needs to act on any more, if there is one."""
    entry = await _entry(session, submission_id)
    if entry is not None and not entry.resolved:
        entry.resolved, entry.resolution = True, note


async def _entry(session: AsyncSession, submission_id: uuid.UUID) -> FailedLead | None:
    query = select(FailedLead).where(FailedLead.submission_id == submission_id)
    return (await session.exec(query)).one_or_none()


async def lock_lead(session: AsyncSession, submission_id: uuid.UUID) -> Lead:
    """Return, locked, the lead that the submission belongs to: a merge may have moved it."""
    whose = select(Submission.lead_id).where(Submission.id == submission_id)
    while True:
        lead = await stages.lock(session, (await session.exec(whose)).one())
        if lead.id == (await session.exec(whose)).one():
            return lead
