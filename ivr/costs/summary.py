"""What was used, added up: of some rows, of a month. Reads only."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, case, func
from sqlalchemy import select as sa_select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.costs.months import Month
from ivr.costs.prices import MICROS
from ivr.db.tables import UsageLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A sum; `unpriced` counts the rows whose price is not known, so that it is more than this."""

    tokens: int = 0
    cost_micros: int = 0
    unpriced: int = 0

    @property
    def usd(self) -> str:
        """Return the money as a decimal number of US dollars, without loss."""
        return as_usd(self.cost_micros)

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            tokens=self.tokens + other.tokens,
            cost_micros=self.cost_micros + other.cost_micros,
            unpriced=self.unpriced + other.unpriced,
        )


@dataclass(frozen=True, slots=True)
class Line:
    """What one day took of one thing; `minutes`, `segments`: as they are billed."""

    day: date
    kind: str
    purpose: str
    provider: str
    model: str
    rows: int
    minutes: int
    segments: int
    cost: Cost


@dataclass(frozen=True, slots=True)
class MonthSummary:
    """A month of a business, line by line; every sum is of these lines."""

    month: Month
    lines: Sequence[Line] = field(default_factory=list)

    @property
    def total(self) -> Cost:
        """Return the sum of all."""
        return total(self.lines)

    def count(self, kind: str, purpose: str) -> int:
        """Return how many there were of something, e.g. of calls."""
        return sum(it.rows for it in self.lines if (it.kind, it.purpose) == (kind, purpose))

    @property
    def minutes(self) -> int:
        """Return the minutes on the phone, also of those whom callers were put through to."""
        return sum(line.minutes for line in self.lines)

    @property
    def segments(self) -> int:
        """Return the segments of messages in and out."""
        return sum(line.segments for line in self.lines)

    def by(self, *names: str) -> list[tuple[Any, Cost]]:
        """Return the sums by `kind`, by `day`, by `provider` and `model`, ..., in order."""
        key_of = attrgetter(*names)
        keys = sorted({key_of(line) for line in self.lines})
        return [(key, total(it for it in self.lines if key_of(it) == key)) for key in keys]


def as_usd(micros: int) -> str:
    """Return millionths of a US dollar as dollars: "12.345678"."""
    return f"{micros // MICROS}.{micros % MICROS:06d}"


def total(lines: Iterable[Line]) -> Cost:
    """Return the sum of lines."""
    return sum((line.cost for line in lines), Cost())


def of_rows(rows: Iterable[UsageLog]) -> Cost:
    """Return the sum of rows."""
    return sum((_cost(row) for row in rows), Cost())


def _cost(row: UsageLog) -> Cost:
    if row.cost_micros is None:
        return Cost(tokens=row.tokens, unpriced=1)
    return Cost(tokens=row.tokens, cost_micros=row.cost_micros)


async def of_month(session: AsyncSession, tenant_id: uuid.UUID, month: Month) -> MonthSummary:
    """Return what a business used in a month of its time zone."""
    row = _rows(tenant_id, month).c
    what = (row.number, row.kind, row.purpose, row.provider, row.model)
    price = row.cost_micros
    sums = (_total(row.tokens), _total(price), func.count() - func.count(price))
    query = sa_select(*what, func.count(), _total(row.minutes), _total(row.segments), *sums)
    grouped: Any = query.group_by(*what).order_by(*what)
    found = (await session.exec(grouped)).all()
    days = [day for day, _ in month.days()]
    return MonthSummary(month, [_line(days, one) for one in found])


def _rows(tenant_id: uuid.UUID, month: Month) -> Any:
    """Return the rows of a month, each with the number of its day, as a table to select from."""
    ends = [end for _, end in month.days()]
    number = case(*((col(UsageLog.at) < end, day) for day, end in enumerate(ends)))
    amounts: Any = UsageLog.quantities
    columns: list[Any] = [
        number.label("number"),
        UsageLog.kind,
        UsageLog.purpose,
        UsageLog.provider,
        UsageLog.model,
        UsageLog.tokens,
        UsageLog.cost_micros,
        amounts["minutes"].as_integer().label("minutes"),
        amounts["segments"].as_integer().label("segments"),
    ]
    at = col(UsageLog.at)
    is_its = (col(UsageLog.tenant_id) == tenant_id, at >= month.start, at < month.end)
    return sa_select(*columns).where(*is_its).subquery()


def _line(days: Sequence[date], row: Any) -> Line:
    number, kind, purpose, provider, model, count, minutes, segments, *sums = row
    tokens, micros, unpriced = (int(it) for it in sums)
    cost = Cost(tokens=tokens, cost_micros=micros, unpriced=unpriced)
    where = (days[number], kind, purpose, provider, model)
    return Line(*where, int(count), int(minutes), int(segments), cost)


def _total(column: Any) -> ColumnElement[Any]:
    return func.coalesce(func.sum(column), 0)
