"""Submissions that wait while the contact may still write: marked by the reason in their row."""

import uuid
from datetime import datetime

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Submission, SubmissionState

WAITING = "waits for what the contact may still write"  # a submission's `last_error`


def is_waiting(submission: Submission) -> bool:
    """Whether a submission waits for what the contact may still write."""
    return submission.state == SubmissionState.PENDING and submission.last_error == WAITING


async def wait_longer(session: AsyncSession, lead_id: uuid.UUID, *, now: datetime) -> None:
    """Have a lead's submission wait as long again: the contact is writing."""
    query = select(Submission).where(
        Submission.lead_id == lead_id,
        Submission.state == SubmissionState.PENDING,
        Submission.last_error == WAITING,
    )
    for submission in (await session.exec(query.with_for_update(key_share=True))).all():
        if submission.next_attempt_at is None or submission.next_attempt_at <= now:
            continue  # it is being sent
        wait = submission.next_attempt_at - submission.updated_at
        submission.next_attempt_at, submission.updated_at = now + wait, now
