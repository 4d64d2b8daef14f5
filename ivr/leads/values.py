"""Field values with provenance: rows that are only added, and the choice of the one that counts."""

import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import storable
from ivr.db.tables import Conversation, FieldValue, Source

_HISTORY = (
    select(FieldValue)
    .where(col(FieldValue.lead_id) == bindparam("lead"))
    .order_by(col(FieldValue.id))
)
# What the caller gave while we listened. Among these the newest counts: people correct themselves.
LIVE = (Source.CONFIRMED, Source.TYPED, Source.TOOL)
# The network's number beats one only found in a transcript, but not one that the caller gave.
_RANK = {
    Source.STAFF: -1,  # a person of the business has decided; only another one may say otherwise
    **dict.fromkeys(LIVE, 0),
    Source.CALLER_ID: 1,
    Source.EXTRACTED: 2,
    Source.INFERRED: 3,
}
_TAKES_BACK = (Source.CONFIRMED, Source.STAFF)


async def add(
    session: AsyncSession,
    conversation: Conversation,
    *,
    name: str,
    value: str | None,
    raw: str,
    source: Source,
    now: datetime,
    problem: str | None = None,
    quote: str | None = None,
    turn_item_id: str | None = None,
    details: Mapping[str, Any] | None = None,
    lead_id: uuid.UUID | None = None,
) -> FieldValue:
    """Add a value; None with a `problem`: a failed attempt; None confirmed or by staff: gone.

    `lead_id`: whose it is where the conversation may be another's by now.
    """
    row = FieldValue(
        tenant_id=conversation.tenant_id,
        lead_id=lead_id or conversation.lead_id,
        conversation_id=conversation.id,
        name=name,
        value=storable(value),
        raw=storable(raw),
        source=source,
        problem=storable(problem),
        quote=storable(quote),
        turn_item_id=turn_item_id,
        details=dict(details or {}),
        created_at=now,
    )
    session.add(row)
    return row


async def history(session: AsyncSession, lead_id: uuid.UUID) -> list[FieldValue]:
    """Return every value and failed attempt, oldest first."""
    return list((await session.exec(_HISTORY, params={"lead": lead_id})).all())


async def current(session: AsyncSession, lead_id: uuid.UUID) -> dict[str, FieldValue]:
    """Return the value of each field that counts, by name."""
    return choose(await history(session, lead_id))


async def given(session: AsyncSession, lead_id: uuid.UUID) -> dict[str, str]:
    """Return the values that count because the caller gave them while we listened, or staff did."""
    best = await current(session, lead_id)
    sources = (*LIVE, Source.STAFF)
    return {name: row.value for name, row in best.items() if row.value and row.source in sources}


async def known(session: AsyncSession, lead_id: uuid.UUID) -> dict[str, str]:
    """Return the values that need not be asked for: unlike `given`, also those found afterwards.

    The network's number is none of them: it may not be the one to call back.
    """
    return told(await current(session, lead_id))


def told(best: Mapping[str, FieldValue]) -> dict[str, str]:
    """Return, of the values that count, those that need not be asked for."""
    return {
        name: row.value
        for name, row in best.items()
        if row.value is not None and row.source != Source.CALLER_ID
    }


def choose(rows: Iterable[FieldValue]) -> dict[str, FieldValue]:
    """Return the value of each field that counts, given all of them oldest first."""
    best: dict[str, FieldValue] = {}
    for row in rows:
        old = best.get(row.name)
        if row.value is None:
            if old is not None and row.source in _TAKES_BACK and _outranks(row, old):
                del best[row.name]
        elif old is None or _supersedes(row, old):
            best[row.name] = row
    return best


def _supersedes(new: FieldValue, old: FieldValue) -> bool:
    if old.source == Source.CONFIRMED and new.value == old.value:
        return new.source in _TAKES_BACK
    return _outranks(new, old)


def _outranks(new: FieldValue, old: FieldValue) -> bool:
    return _RANK[Source(new.source)] <= _RANK[Source(old.source)]


async def attempts(session: AsyncSession, lead_id: uuid.UUID) -> dict[str, int]:
    """Return how often each field was tried while the caller was there."""
    rows = await history(session, lead_id)
    return dict(Counter(row.name for row in rows if row.source in {Source.TOOL, Source.TYPED}))
