"""Writes down what was used, once, in the transaction of the thing that used it."""

import uuid
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Uuid, bindparam, event
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.costs import budget, prices
from ivr.costs.prices import Amount
from ivr.db.inserts import insert_into
from ivr.db.tables import Conversation, UsageLog

_TOKENS = "_tokens"  # ends the names of the quantities that a token budget counts


class Kind(StrEnum):
    """What somebody charges for."""

    REALTIME = "realtime"
    TRANSCRIPTION = "transcription"
    TEXT = "text"
    TELEPHONY = "telephony"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What one thing took; `key` names the thing within its tenant, also when it comes again.

    `quantities` do not overlap: tokens read from a cache are not among the others.
    """

    kind: Kind
    purpose: str
    provider: str
    model: str
    quantities: Mapping[str, Amount]
    key: str

    @property
    def tokens(self) -> int:
        """Return how many tokens that is, of any sort."""
        counts = [many for name, many in self.quantities.items() if name.endswith(_TOKENS)]
        return int(sum(counts))

    def cost_micros(self, at: datetime) -> int | None:
        """Return what it costs at the prices of a moment; None for a price that is not known."""
        day = at.astimezone(UTC).date()
        return prices.cost_micros(self.kind, self.provider, self.model, self.quantities, on=day)


@dataclass(frozen=True, slots=True)
class SoFar:
    """What a conversation has used, of things that go on."""

    tenant_id: uuid.UUID
    conversation_id: uuid.UUID
    used: Sequence[Used]


async def note(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    conversation_id: uuid.UUID,
    used: Sequence[Used],
    *,
    now: datetime,
) -> bool:
    """Write down what was used in a conversation; False when all of it was written down before.

    It stands with the lead that the conversation is about by now: copies of its row may be old.
    """
    rows = _rows(SoFar(tenant_id, conversation_id, used), now)
    if not rows:
        return True
    lead_id = {"lead_id": _lead_of(conversation_id)}
    insert = insert_into(session, UsageLog).values([row | lead_id for row in rows])
    written = await session.exec(
        insert.on_conflict_do_nothing(index_elements=["tenant_id", "source_key"])
    )
    if written.rowcount == 0:
        return False
    _tell(session, {tenant_id})
    return True


async def note_so_far(
    session: AsyncSession, conversations: Sequence[SoFar], *, now: datetime
) -> None:
    """Write down what things have taken that go on, in the place of what was written before."""
    rows = [row for it in conversations for row in _rows(it, now)]
    if not rows:
        return
    # The bare table, many rows of parameters: compiled once for ever, for audio waits meanwhile.
    table = UsageLog.__table__  # type: ignore[attr-defined]  # by its metaclass
    lead_id = _lead_of(bindparam("whose", type_=Uuid()))
    insert = insert_into(session, table).values(lead_id=lead_id)
    changed = {name: insert.excluded[name] for name in ("quantities", "tokens", "cost_micros")}
    await session.exec(
        insert.on_conflict_do_update(index_elements=["tenant_id", "source_key"], set_=changed),
        params=[row | {"whose": row["conversation_id"]} for row in rows],
    )
    _tell(session, {it.tenant_id for it in conversations})


def _tell(session: AsyncSession, tenant_ids: Set[uuid.UUID]) -> None:
    """Have the budgets looked at again once this is committed."""

    def committed(_: object) -> None:
        for tenant_id in tenant_ids:
            budget.used_by(tenant_id)

    event.listen(session.sync_session, "after_commit", committed, once=True)


def _rows(so_far: SoFar, now: datetime) -> list[dict[str, Any]]:
    whose = {
        "tenant_id": so_far.tenant_id,
        "conversation_id": so_far.conversation_id,
        "at": now,
    }
    return [whose | _row(one, now) for one in so_far.used if any(one.quantities.values())]


def _lead_of(conversation_id: Any) -> Any:
    query = select(Conversation.lead_id).where(Conversation.id == conversation_id)
    return query.scalar_subquery()


def _row(used: Used, now: datetime) -> dict[str, Any]:
    return {
        "kind": used.kind,
        "purpose": used.purpose,
        "provider": used.provider,
        "model": used.model,
        "quantities": {name: many for name, many in used.quantities.items() if many},
        "tokens": used.tokens,
        "cost_micros": used.cost_micros(now),
        "source_key": used.key,
    }
