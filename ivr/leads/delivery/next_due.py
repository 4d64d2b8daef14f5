"""Whose lead is sent next. No client's target, however slow, keeps the leads of others waiting."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import case, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Submission, SubmissionState

AT_ONCE = 20  # requests to targets that the schedule keeps open
AT_ONCE_EACH = 10  # for one client

Due = tuple[uuid.UUID, uuid.UUID]  # of a submission: its id, and its client


async def due(
    session: AsyncSession, *, now: datetime, limit: int, load: Mapping[uuid.UUID, int]
) -> Sequence[Due]:
    """Return submissions whose next attempt is due, of each client the longest waiting first.

    `load`: how many are being sent for a client. Who has the fewest comes first.
    """
    due_at = col(Submission.next_attempt_at)
    place = func.row_number().over(partition_by=col(Submission.tenant_id), order_by=due_at)
    columns: Any = (Submission.id, Submission.tenant_id, due_at, place.label("place"))
    is_due = (Submission.state == SubmissionState.PENDING, due_at <= now)
    waiting = select(*columns).where(*is_due).subquery().c
    turn = waiting.place
    if load:
        sent = [(waiting.tenant_id == tenant, count) for tenant, count in load.items()]
        turn = waiting.place + case(*sent, else_=0)
    query = (
        select(waiting.id, waiting.tenant_id)
        .where(turn <= AT_ONCE_EACH)
        .order_by(turn, waiting.next_attempt_at)
        .limit(limit)
    )
    return (await session.exec(query)).all()
