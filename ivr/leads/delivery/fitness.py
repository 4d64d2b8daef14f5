"""Whether a lead may go to its target by itself, however much is known of it.

Who does not fit, is lost, or is not ready yet is held back, where a person sees it and may send it
all the same. Silence alone holds nothing back: what a silent person told is handed over.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Axis,
    FieldValue,
    Lead,
    Lifecycle,
    Submission,
    SubmissionAttempt,
    SubmissionState,
    Transition,
)
from ivr.leads.delivery import ledger
from ivr.leads.delivery.held_back import NOT_READY
from ivr.leads.delivery.waiting import WAITING
from ivr.leads.profile import Profile
from ivr.leads.progress import qualification, stages


async def against(session: AsyncSession, lead: Lead) -> str | None:
    """Return why only a person may send this lead, in an operator's words; None: nothing does."""
    why = lead.lost_reason or "no reason was given"
    if lead.lifecycle == Lifecycle.DISQUALIFIED:
        return f"not submitted: the lead does not fit: {why}"
    if lead.status == stages.LOST:
        return f"not submitted: the lead is lost: {why}"
    who = await stages.who_nurtures(session, lead)
    return None if who is None else f"{NOT_READY}, says {who}"


async def against_at_the_end(
    session: AsyncSession, lead: Lead, profile: Profile, known: Mapping[str, FieldValue]
) -> str | None:
    """Return it for a lead of which all is read: a rule counts also where a timer was first."""
    why = await against(session, lead)
    if why is not None or lead.lifecycle != Lifecycle.NURTURING:
        return why
    rule = await qualification.decide(session, lead, profile, known)
    is_later = rule is not None and rule.outcome == Lifecycle.NURTURING
    return f"{NOT_READY}, says the rule {rule.name}" if rule and is_later else None


async def hold_unfit(
    session: AsyncSession, submission_id: uuid.UUID, condition: Any, *, now: datetime
) -> bool:
    """Hold back a submission that is so if its lead must not go; return whether it is held.

    What an operator has sent since the lead stands where it does goes on until it is there.
    """
    still = (col(Submission.id) == submission_id, condition)
    if (await session.exec(select(Submission.id).where(*still))).first() is None:
        return False
    lead = await ledger.lock_lead(session, submission_id)
    why = await against(session, lead)
    if why is None or await _is_sent_all_the_same(session, submission_id, lead):
        return False
    query = select(Submission).where(*still).with_for_update(key_share=True)
    found = (await session.exec(query)).one_or_none()
    if found is not None:
        await _hold(session, found, why, now=now)
    return found is not None


async def _is_sent_all_the_same(
    session: AsyncSession, submission_id: uuid.UUID, lead: Lead
) -> bool:
    moved_at = select(func.coalesce(func.max(Transition.at), lead.created_at)).where(
        Transition.lead_id == lead.id, col(Transition.axis).in_((Axis.LIFECYCLE, Axis.STATUS))
    )
    query = select(SubmissionAttempt.id).where(
        SubmissionAttempt.submission_id == submission_id,
        SubmissionAttempt.actor == ledger.OPERATOR,
        col(SubmissionAttempt.started_at) >= moved_at.scalar_subquery(),
    )
    return (await session.exec(query.limit(1))).first() is not None


async def hold_waiting(
    session: AsyncSession, lead_id: uuid.UUID, why: str, *, now: datetime
) -> None:
    """Hold back what waits for the contact, who wants nothing more of it. The lead is locked."""
    query = select(Submission).where(
        Submission.lead_id == lead_id,
        Submission.state == SubmissionState.PENDING,
        Submission.last_error == WAITING,
    )
    for submission in (await session.exec(query.with_for_update(key_share=True))).all():
        await _hold(session, submission, why, now=now)


async def _hold(session: AsyncSession, submission: Submission, why: str, *, now: datetime) -> None:
    submission.state, submission.next_attempt_at = SubmissionState.HELD, None
    submission.last_error, submission.updated_at = why, now
    await ledger.enter_failure(session, submission, why, now=now)
