"""How a lead moves: stage (what we know), lifecycle (what we do), status. Every move is a row.

Moves made here only go forward; people may go anywhere, elsewhere.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Insert, Table, bindparam, case, func, insert
from sqlalchemy import select as sa_select
from sqlmodel import select
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
_Step = tuple[Axis, str, Sequence[str], str]  # where to, in which order, and why
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
    move = _advanced(lead, axis, to, order, actor=actor, reason=reason, now=now)
    await _write(session, lead, [move])
    return move is not None


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
    steps: list[_Step] = [(Axis.STAGE, stage_of(profile, known), profile.stages, "fields known")]
    if met:
        steps += _both(Lifecycle.QUALIFYING, "contacted", "the caller answered")
    if known and all(item.key in known for item in profile.required):
        steps += _both(Lifecycle.QUALIFIED, "qualified", "all required fields")
    moves = [
        _advanced(lead, axis, to, order, actor="assistant", reason=reason, now=now)
        for axis, to, order, reason in steps
    ]
    await _write(session, lead, moves)


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


def _both(lifecycle: str, status: str, reason: str) -> list[_Step]:
    return [
        (Axis.LIFECYCLE, lifecycle, LIFECYCLES, reason),
        (Axis.STATUS, status, STATUSES, reason),
    ]


def _advanced(
    lead: Lead,
    axis: Axis,
    to: str,
    order: Sequence[str],
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> dict[str, Any] | None:
    """Move the lead forward and return the move's row; None when it is there or beyond."""
    column = _COLUMNS[axis]
    old = str(getattr(lead, column))
    if old not in order or to not in order or order.index(to) <= order.index(old):
        return None
    setattr(lead, column, to)
    lead.updated_at = now
    move = {"from_value": old, "to_value": to, "actor": actor, "reason": reason, "now": now}
    return {"tenant": lead.tenant_id, "lead": lead.id, "axis": str(axis), **move}


async def _write(session: AsyncSession, lead: Lead, moves: Sequence[dict[str, Any] | None]) -> None:
    """Write moves down, in their order: each takes the next number on its axis."""
    session.add(lead)
    rows = [move for move in moves if move is not None]
    if rows:
        with session.no_autoflush:  # the lead's row is written once, with all its moves
            await session.exec(_MOVE, params=rows)


def _move() -> Insert:
    """Return what adds a move behind the last one on its axis, with the next number."""
    table: Table = Transition.__table__  # type: ignore[attr-defined]  # by its metaclass
    columns = table.c
    last_at, now = func.max(columns.at), bindparam("now", type_=columns.at.type)
    row = {
        "tenant_id": bindparam("tenant", type_=columns.tenant_id.type),
        "lead_id": bindparam("lead", type_=columns.lead_id.type),
        "axis": bindparam("axis", type_=columns.axis.type),
        "seq": func.coalesce(func.max(columns.seq), 0) + 1,
        **{name: bindparam(name, type_=columns[name].type) for name in _WORDS},
        "at": case((last_at > now, last_at), else_=now),  # a clock may be put back
    }
    last = sa_select(*row.values()).where(
        columns.lead_id == row["lead_id"], columns.axis == row["axis"]
    )
    return insert(table).from_select(list(row), last)


_WORDS = ("from_value", "to_value", "actor", "reason")
_MOVE = _move()
