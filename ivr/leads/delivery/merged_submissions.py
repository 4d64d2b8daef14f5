"""What waits to be sent of two leads that became one: one of them goes, once.

Can be undone with the merge. What is being sent, or may have been taken, is not touched.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Submission, SubmissionState
from ivr.leads.delivery import ledger

REPLACED = "replaced: two leads of one person became one"
# The later in this order is the better one to send; of two alike it is the newer.
_ORDER = (SubmissionState.HELD, SubmissionState.FAILED, SubmissionState.PENDING)


async def keep_one(
    session: AsyncSession, lead_id: uuid.UUID, *, now: datetime
) -> list[dict[str, Any]]:
    """Close all but the best of a locked lead's waiting submissions; return what undoes it."""
    waiting = list(await _of(session, lead_id, _ORDER))
    waiting.sort(key=lambda it: (_ORDER.index(SubmissionState(it.state)), it.created_at))
    replaced = []
    for submission in waiting[:-1]:
        due = submission.next_attempt_at
        replaced.append(
            {
                "id": str(submission.id),
                "state": submission.state,
                "due": due.isoformat() if due else None,
            }
        )
        submission.state, submission.next_attempt_at = SubmissionState.RESOLVED, None
        submission.updated_at = now
        await ledger.close_failure(session, submission.id, REPLACED)
    return replaced


async def bring_back(
    session: AsyncSession,
    lead_id: uuid.UUID,
    replaced: Sequence[Mapping[str, Any]],
    *,
    now: datetime,
) -> None:
    """Have what was closed for a merge wait again, where it is a locked lead's once more."""
    entries = {uuid.UUID(entry["id"]): entry for entry in replaced}
    for submission in await _of(session, lead_id, (SubmissionState.RESOLVED,)):
        entry = entries.get(submission.id)
        if entry is None:
            continue
        submission.state = SubmissionState(entry["state"])
        submission.next_attempt_at = datetime.fromisoformat(entry["due"]) if entry["due"] else None
        submission.updated_at = now
        if submission.last_error and submission.state != SubmissionState.PENDING:
            await ledger.enter_failure(session, submission, submission.last_error, now=now)


async def _of(
    session: AsyncSession, lead_id: uuid.UUID, states: Sequence[SubmissionState]
) -> Sequence[Submission]:
    query = select(Submission).where(
        Submission.lead_id == lead_id, col(Submission.state).in_(states)
    )
    locked = query.order_by(col(Submission.id)).with_for_update(key_share=True)
    fresh = locked.execution_options(populate_existing=True)
    return (await session.exec(fresh)).all()
