"""How a lead's moves are written down: append only, each with the next number on its axis.

Which moves are made, and when, is `stages`' work.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Insert, Table, bindparam, case, func, insert
from sqlalchemy import select as sa_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Axis, Conversation, Lead, Transition
from ivr.webhooks import outbox

_COLUMNS = {Axis.STAGE: "stage", Axis.LIFECYCLE: "lifecycle", Axis.STATUS: "status"}


@dataclass(frozen=True, slots=True)
class Cause:
    """Who moves a lead, why, and when."""

    actor: str
    reason: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """One move of one lead, made on its object, not yet written down."""

    axis: Axis
    old: str | None
    new: str
    cause: Cause


def moved(lead: Lead, axis: Axis, to: str, cause: Cause) -> Move | None:
    """Move the lead, in any direction; None when it is there already."""
    column = _COLUMNS[axis]
    old = str(getattr(lead, column))
    if old == to:
        return None
    setattr(lead, column, str(to))
    lead.updated_at = cause.now
    return Move(axis, old, str(to), cause)


def advanced(lead: Lead, axis: Axis, to: str, order: Sequence[str], cause: Cause) -> Move | None:
    """Move the lead forward in this order; None when it is there, beyond, or not in the order."""
    old = str(getattr(lead, _COLUMNS[axis]))
    if old not in order or to not in order or order.index(to) <= order.index(old):
        return None
    return moved(lead, axis, to, cause)


async def write(session: AsyncSession, lead: Lead, moves: Sequence[Move | None]) -> None:
    """Write moves down, in their order, and have others told of them."""
    session.add(lead)
    made = [move for move in moves if move is not None]
    if not made:
        return
    with session.no_autoflush:  # the lead's row is written once, with all its moves
        await session.exec(_MOVE, params=[_row(lead, move) for move in made])
        for axis in dict.fromkeys(move.axis for move in made):
            count = sum(move.axis is axis for move in made)
            await tell(session, lead, axis, count=count, now=made[0].cause.now)


async def tell(session: AsyncSession, lead: Lead, axis: Axis, *, count: int, now: datetime) -> None:
    """Have others told of the last `count` moves on an axis, which are written down."""
    event = f"lead.{axis}_changed"
    if not await outbox.is_wanted(session, lead.tenant_id, event):
        return
    query = (
        select(Transition)
        .where(Transition.lead_id == lead.id, Transition.axis == axis)
        .order_by(col(Transition.seq).desc())
        .limit(count)
    )
    latest = select(Conversation.id).where(Conversation.lead_id == lead.id)
    latest = latest.order_by(col(Conversation.started_at).desc(), col(Conversation.id).desc())
    conversation_id = (await session.exec(latest.limit(1))).first()
    for row in reversed((await session.exec(query)).all()):
        data = _data(lead, row, conversation_id)
        await outbox.emit(session, lead.tenant_id, event, lead_id=lead.id, data=data, now=now)


def _data(lead: Lead, row: Transition, conversation_id: uuid.UUID | None) -> dict[str, Any]:
    return {
        "lead_id": str(lead.id),
        "conversation_id": str(conversation_id) if conversation_id else None,
        "profile": lead.profile,
        "from": row.from_value,
        "to": row.to_value,
        "at": outbox.rfc3339(row.at),
        "actor": row.actor,
        "reason": row.reason,
        "seq": row.seq,
    }


def _row(lead: Lead, move: Move) -> dict[str, Any]:
    return {
        "tenant": lead.tenant_id,
        "lead": lead.id,
        "axis": str(move.axis),
        "from_value": move.old,
        "to_value": move.new,
        "actor": move.cause.actor,
        "reason": move.cause.reason,
        "now": move.cause.now,
    }


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
