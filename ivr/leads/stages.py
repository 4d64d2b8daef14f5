"""How a lead moves: stage (what we know), lifecycle (what we do), status. Every move is a row.

Moves made here only go forward; people may go anywhere, elsewhere.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Axis, Lead, Lifecycle, Transition
from ivr.leads.profile import Profile

LIFECYCLES = (
    Lifecycle.NEW,
    Lifecycle.QUALIFYING,
    Lifecycle.QUALIFIED,
    Lifecycle.SUBMITTED,
)
STATUSES = ("new", "contacted", "qualified")
_COLUMNS = {Axis.STAGE: "stage", Axis.LIFECYCLE: "lifecycle", Axis.STATUS: "status"}


def stage_of(profile: Profile, known: Collection[str]) -> str:
    """Return the furthest stage that a known field reaches, the profile's first without one."""
    reached = [
        profile.stages.index(item.stage)
        for item in profile.fields
        if item.stage and item.key in known
    ]
    return profile.stages[max(reached, default=0)]


async def lock(session: AsyncSession, lead_id: uuid.UUID) -> Lead:
    """Return the lead for changing: two transactions that move one lead come after each other.

    Who locks a submission as well takes its lead first. Rows that point to the lead may be added
    meanwhile (PostgreSQL: FOR NO KEY UPDATE), or who adds one and then locks would wait for ever.
    """
    query = select(Lead).where(Lead.id == lead_id).with_for_update(key_share=True)
    return (await session.exec(query.execution_options(populate_existing=True))).one()


async def advance(
    session: AsyncSession,
    lead: Lead,
    axis: Axis,
    to: str,
    order: Sequence[str],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> bool:
    """Move a locked lead forward and write it down; return False when it is there or beyond."""
    column = _COLUMNS[axis]
    old = str(getattr(lead, column))
    if old not in order or to not in order or order.index(to) <= order.index(old):
        return False
    setattr(lead, column, to)
    lead.updated_at = now
    session.add(lead)
    session.add(
        Transition(
            tenant_id=lead.tenant_id,
            lead_id=lead.id,
            axis=axis,
            seq=await _next_seq(session, lead.id, axis),
            from_value=old,
            to_value=to,
            actor=actor,
            reason=reason,
            at=now,
        )
    )
    await session.flush()
    return True


async def assess(
    session: AsyncSession,
    lead: Lead,
    profile: Profile,
    known: Collection[str],
    *,
    met: bool,
    now: datetime,
) -> None:
    """Move a lead to where its values put it; `met` says that the caller and we exchanged words."""
    stage = stage_of(profile, known)
    await advance(
        session,
        lead,
        Axis.STAGE,
        stage,
        profile.stages,
        actor="assistant",
        reason="fields known",
        now=now,
    )
    if met:
        await _both(session, lead, Lifecycle.QUALIFYING, "contacted", "the caller answered", now)
    if known and all(item.key in known for item in profile.required):
        await _both(session, lead, Lifecycle.QUALIFIED, "qualified", "all required fields", now)


async def submitted(session: AsyncSession, lead: Lead, *, actor: str, now: datetime) -> None:
    """Close a lead that its target took."""
    await advance(
        session,
        lead,
        Axis.LIFECYCLE,
        Lifecycle.SUBMITTED,
        LIFECYCLES,
        actor=actor,
        reason="the target took it",
        now=now,
    )
    lead.closed_at = lead.closed_at or now
    session.add(lead)


async def _both(
    session: AsyncSession, lead: Lead, lifecycle: str, status: str, reason: str, now: datetime
) -> None:
    for axis, to, order in (
        (Axis.LIFECYCLE, lifecycle, LIFECYCLES),
        (Axis.STATUS, status, STATUSES),
    ):
        await advance(session, lead, axis, to, order, actor="assistant", reason=reason, now=now)


async def _next_seq(session: AsyncSession, lead_id: uuid.UUID, axis: Axis) -> int:
    query = select(func.coalesce(func.max(col(Transition.seq)), 0) + 1).where(
        Transition.lead_id == lead_id, Transition.axis == axis
    )
    return int((await session.exec(query)).one())
