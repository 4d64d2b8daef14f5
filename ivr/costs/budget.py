"""How far the month's budget of a business is used up, and who is told of it, once.

The sums are kept in the process for a few seconds: a call that rings must not wait for them. They
are forgotten as soon as this process has written something down; what another one wrote is seen
when they have grown old.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.costs.months import Month, month_at
from ivr.db import Database
from ivr.db.inserts import insert_into
from ivr.db.tables import Alert, Tenant, UsageLog
from ivr.errors import DatabaseDown
from ivr.webhooks import outbox
from ivr.webhooks.event_types import EventType

FRESH_SECONDS = 5.0
MOST_SECONDS = 0.25  # for which a caller waits; who cannot be told is not turned away
MICROS_OF_CENT = 10_000
WARN_AT, SPENT_AT = 80, 100  # percent

log = structlog.get_logger(__name__)


class BudgetState(StrEnum):
    """How much of it is left."""

    UNLIMITED = "unlimited"
    OK = "ok"
    WARNING = "warning"  # 80 % are used
    SPENT = "spent"  # all of it is: no model is asked any more


class AlertKind(StrEnum):
    """What a business is told, once in a month."""

    WARNING = "budget_80"
    SPENT = "budget_100"


@dataclass(frozen=True, slots=True)
class Sums:
    """What was used in a month; what has no known price counts as tokens only."""

    month: Month
    tokens: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What was used, and of how much; None is no limit."""

    sums: Sums
    token_budget: int | None
    money_budget_micros: int | None

    @property
    def state(self) -> BudgetState:
        """Return the worse of both budgets."""
        if not self._pairs:
            return BudgetState.UNLIMITED
        if self.has_reached(SPENT_AT):
            return BudgetState.SPENT
        return BudgetState.WARNING if self.has_reached(WARN_AT) else BudgetState.OK

    def has_reached(self, percent: int) -> bool:
        """Whether so much of one of the budgets is used; nothing is rounded."""
        return any(used * 100 >= percent * budget for used, budget in self._pairs)

    @property
    def used_percent(self) -> float | None:
        """Return what is used of the budget that is nearer its end, with two digits, cut off."""
        if not self._pairs:
            return None
        shares = [used * 10_000 // budget if budget else 10_000 for used, budget in self._pairs]
        return max(shares) / 100

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        both = (
            (self.sums.tokens, self.token_budget),
            (self.sums.cost_micros, self.money_budget_micros),
        )
        return [(used, budget) for used, budget in both if budget is not None]


class _Memory:
    """The sums of each business that this process has asked for lately.

    By the tenant's id, which no two databases share.
    """

    def __init__(self) -> None:
        self.changed: set[uuid.UUID] = set()  # whose standing nobody has looked at since
        self._sums: dict[uuid.UUID, tuple[float, Sums]] = {}
        self._writes: dict[uuid.UUID, int] = {}

    def used_by(self, tenant_id: uuid.UUID) -> None:
        self.changed.add(tenant_id)
        self._writes[tenant_id] = self._writes.get(tenant_id, 0) + 1
        self._sums.pop(tenant_id, None)

    def writes(self, tenant_id: uuid.UUID) -> int:
        return self._writes.get(tenant_id, 0)

    def fresh(self, tenant_id: uuid.UUID, month: Month) -> Sums | None:
        read_at, sums = self._sums.get(tenant_id, (0.0, None))
        is_fresh = time.monotonic() - read_at < FRESH_SECONDS
        return sums if sums is not None and is_fresh and sums.month == month else None

    def keep(self, tenant_id: uuid.UUID, sums: Sums, *, writes: int) -> None:
        """Keep sums that were asked for after so many writes, unless there are more by now."""
        if self.writes(tenant_id) == writes:
            self._sums[tenant_id] = (time.monotonic(), sums)


_memory = _Memory()


def used_by(tenant_id: uuid.UUID) -> None:
    """Note that this process has committed usage of a business."""
    _memory.used_by(tenant_id)


def changed() -> set[uuid.UUID]:
    """Return whose usage this process has committed since it was last asked."""
    found, _memory.changed = _memory.changed, set()
    return found


async def may_spend(db: Database, tenant: Tenant, now: datetime) -> bool:
    """Return whether a model may be asked for a business; in doubt it may.

    To be asked before every request that costs tokens. It never raises `DatabaseDown`.
    """
    if tenant.monthly_token_budget is None and tenant.monthly_budget_cents is None:
        return True
    try:
        async with asyncio.timeout(MOST_SECONDS):
            return (await standing(db, tenant, now)).state is not BudgetState.SPENT
    except (TimeoutError, DatabaseDown):
        log.warning("budget not looked at", tenant=tenant.slug)
        return True


async def is_spent(session: AsyncSession, tenant: Tenant, *, now: datetime) -> bool:
    """Return whether nothing is left this month, as this transaction sees it."""
    if tenant.monthly_token_budget is None and tenant.monthly_budget_cents is None:
        return False
    sums = await sums_of(session, tenant.id, month_at(now, tenant.timezone))
    return of(tenant, sums).state is BudgetState.SPENT


async def standing(db: Database, tenant: Tenant, now: datetime) -> Standing:
    """Return how far the budget of this month is used up; may be a few seconds old."""
    month = month_at(now, tenant.timezone)
    sums = _memory.fresh(tenant.id, month)
    if sums is None:
        writes = _memory.writes(tenant.id)
        async with db.read() as session:
            sums = await sums_of(session, tenant.id, month)
        _memory.keep(tenant.id, sums, writes=writes)
    return of(tenant, sums)


def of(tenant: Tenant, sums: Sums) -> Standing:
    """Return how a business stands that has used so much."""
    cents = tenant.monthly_budget_cents
    money = None if cents is None else cents * MICROS_OF_CENT
    return Standing(sums, tenant.monthly_token_budget, money)


async def sums_of(session: AsyncSession, tenant_id: uuid.UUID, month: Month) -> Sums:
    """Return what a business has used in a month, read from the index `usage_of_month` alone."""
    query = select(
        func.coalesce(func.sum(col(UsageLog.tokens)), 0),
        func.coalesce(func.sum(col(UsageLog.cost_micros)), 0),
    ).where(
        UsageLog.tenant_id == tenant_id,
        col(UsageLog.at) >= month.start,
        col(UsageLog.at) < month.end,
    )
    tokens, micros = (await session.exec(query)).one()
    return Sums(month, int(tokens or 0), int(micros or 0))


_ALERTS = (
    (AlertKind.WARNING, WARN_AT, EventType.BUDGET_ALERT),
    (AlertKind.SPENT, SPENT_AT, EventType.BUDGET_EXHAUSTED),
)


async def news(session: AsyncSession, tenant: Tenant, *, now: datetime) -> bool:
    """Return whether there is something that the business has not been told this month."""
    month = month_at(now, tenant.timezone)
    stands = of(tenant, await sums_of(session, tenant.id, month))
    reached = {kind for kind, percent, _ in _ALERTS if stands.has_reached(percent)}
    if not reached:
        return False
    query = select(Alert.kind).where(Alert.tenant_id == tenant.id, Alert.period == month.name)
    return not reached <= set((await session.exec(query)).all())


async def raise_alerts(
    session: AsyncSession, tenant: Tenant, *, now: datetime
) -> list[tuple[AlertKind, Standing]]:
    """Write down what the business has not been told this month; return what is news.

    Of all processes one writes each, and emits its event in the same transaction.
    """
    month = month_at(now, tenant.timezone)
    stands = of(tenant, await sums_of(session, tenant.id, month))
    raised = []
    for kind, percent, type in _ALERTS:
        if stands.has_reached(percent) and await _is_first(session, tenant, kind, stands, now=now):
            data = _detail(stands)
            await outbox.emit(session, tenant.id, type, lead_id=None, data=data, now=now)
            raised.append((kind, stands))
    return raised


async def _is_first(
    session: AsyncSession, tenant: Tenant, kind: AlertKind, stands: Standing, *, now: datetime
) -> bool:
    row = {
        "tenant_id": tenant.id,
        "kind": kind,
        "period": stands.sums.month.name,
        "detail": _detail(stands),
        "at": now,
    }
    insert = insert_into(session, Alert).values(row)
    written = await session.exec(
        insert.on_conflict_do_nothing(index_elements=["tenant_id", "kind", "period"])
    )
    return bool(written.rowcount == 1)


def _detail(stands: Standing) -> dict[str, Any]:
    return {
        "month": stands.sums.month.name,
        "used_percent": stands.used_percent,
        "tokens": stands.sums.tokens,
        "token_budget": stands.token_budget,
        "cost_micros": stands.sums.cost_micros,
        "budget_micros": stands.money_budget_micros,
    }
