"""How far the month's budget of a business is used up, and who is told of it, once.

The sums are kept in the process for a few seconds: a call that rings must not wait for them. They
are read again as soon as this process has written something down; what another one wrote is seen
when they have grown old. Where reading takes too long, the last ones count until it is done.
"""

import asyncio
import time
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.costs.months import Month, month_at
from ivr.costs.sums import Sums, sums_of
from ivr.db import Database
from ivr.db.inserts import insert_into
from ivr.db.tables import Alert, Tenant
from ivr.errors import DatabaseDown
from ivr.webhooks import outbox
from ivr.webhooks.event_types import EventType

FRESH_SECONDS = 5.0
MOST_SECONDS = 0.25  # for which a caller waits; then what was last known counts
READ_SECONDS = 60.0  # a PostgreSQL that died with its machine never says so
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


@dataclass(frozen=True, slots=True)
class _Known:
    """Sums that were asked for after so many writes of this process."""

    sums: Sums
    writes: int
    read_at: float


class _Memory:
    """The sums of each business that this process has asked for, and who is asking.

    By the tenant's id, which no two databases share.
    """

    def __init__(self) -> None:
        self.changed: set[uuid.UUID] = set()  # whose standing nobody has looked at since
        self.readings: dict[tuple[uuid.UUID, Month], asyncio.Task[Sums]] = {}
        self._known: dict[uuid.UUID, _Known] = {}
        self._writes: dict[uuid.UUID, int] = {}

    def used_by(self, tenant_id: uuid.UUID) -> None:
        self.changed.add(tenant_id)
        self._writes[tenant_id] = self.writes(tenant_id) + 1

    def writes(self, tenant_id: uuid.UUID) -> int:
        return self._writes.get(tenant_id, 0)

    def fresh(self, tenant_id: uuid.UUID, month: Month) -> Sums | None:
        known = self._known.get(tenant_id)
        if known is None or known.writes != self.writes(tenant_id):
            return None
        is_young = time.monotonic() - known.read_at < FRESH_SECONDS
        return self.last(tenant_id, month) if is_young else None

    def last(self, tenant_id: uuid.UUID, month: Month) -> Sums | None:
        """Return what was known last, however long ago."""
        known = self._known.get(tenant_id)
        return known.sums if known is not None and known.sums.month == month else None

    def keep(self, tenant_id: uuid.UUID, sums: Sums, *, writes: int) -> None:
        self._known[tenant_id] = _Known(sums, writes, time.monotonic())


_memory = _Memory()


def used_by(tenant_id: uuid.UUID) -> None:
    """Note that this process has committed usage of a business."""
    _memory.used_by(tenant_id)


def changed() -> set[uuid.UUID]:
    """Return whose usage this process has committed since it was last asked."""
    found, _memory.changed = _memory.changed, set()
    return found


async def may_spend(db: Database, tenant: Tenant, now: datetime) -> bool:
    """Return whether a model may be asked for a business; while nothing is known it may.

    To be asked before every request that costs tokens. It never raises `DatabaseDown`.
    """
    if tenant.monthly_token_budget is None and tenant.monthly_budget_cents is None:
        return True
    try:
        async with asyncio.timeout(MOST_SECONDS):
            stands = await standing(db, tenant, now)
    except (TimeoutError, DatabaseDown):
        last = _memory.last(tenant.id, month_at(now, tenant.timezone))
        log.warning("budget not looked at", tenant=tenant.slug, is_known=last is not None)
        if last is None:
            return True
        stands = of(tenant, last)
    return stands.state is not BudgetState.SPENT


async def is_spent(session: AsyncSession, tenant: Tenant, *, now: datetime) -> bool:
    """Return whether nothing is left this month, as this transaction sees it."""
    if tenant.monthly_token_budget is None and tenant.monthly_budget_cents is None:
        return False
    sums = await sums_of(session, tenant.id, month_at(now, tenant.timezone), now=now)
    return of(tenant, sums).state is BudgetState.SPENT


async def standing(db: Database, tenant: Tenant, now: datetime) -> Standing:
    """Return how far the budget of this month is used up; may be a few seconds old."""
    month = month_at(now, tenant.timezone)
    sums = _memory.fresh(tenant.id, month)
    if sums is None:  # all who ask wait for one reading, which goes on when they have left
        sums = await asyncio.shield(_reading(db, tenant.id, month, now))
    return of(tenant, sums)


def _reading(db: Database, tenant_id: uuid.UUID, month: Month, now: datetime) -> asyncio.Task[Sums]:
    """Return the task that reads the sums of a business, one at a time."""
    task = _memory.readings.get((tenant_id, month))
    if task is None:
        task = db.start(_read(db, tenant_id, month, now))
        _memory.readings[tenant_id, month] = task
        task.add_done_callback(_tell_failed)
        task.add_done_callback(lambda _: _memory.readings.pop((tenant_id, month)))
    return task


async def _read(db: Database, tenant_id: uuid.UUID, month: Month, now: datetime) -> Sums:
    writes = _memory.writes(tenant_id)
    async with asyncio.timeout(READ_SECONDS), db.read() as session:
        sums = await sums_of(session, tenant_id, month, now=now)
    _memory.keep(tenant_id, sums, writes=writes)
    return sums


def _tell_failed(task: asyncio.Task[Sums]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:  # who asked may have left
        log.warning("budget not read", problem=type(error).__name__)


def of(tenant: Tenant, sums: Sums) -> Standing:
    """Return how a business stands that has used so much."""
    cents = tenant.monthly_budget_cents
    money = None if cents is None else cents * MICROS_OF_CENT
    return Standing(sums, tenant.monthly_token_budget, money)


_ALERTS = (
    (AlertKind.WARNING, WARN_AT, EventType.BUDGET_ALERT),
    (AlertKind.SPENT, SPENT_AT, EventType.BUDGET_EXHAUSTED),
)


async def news(session: AsyncSession, tenant: Tenant, *, now: datetime) -> bool:
    """Return whether there is something that the business has not been told this month."""
    month = month_at(now, tenant.timezone)
    stands = of(tenant, await sums_of(session, tenant.id, month, now=now))
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
    stands = of(tenant, await sums_of(session, tenant.id, month, now=now))
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
