"""What a business has used in a month, added up without reading the whole month at each look.

`usage_logs` is the only truth. What is older than anything that still grows is added up once, and
the sum kept in the process; each look reads the rows since then. Once an hour all of it is added up
anew, for what came late, or was changed by hand.
"""

import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.costs.months import Month
from ivr.db.tables import UsageLog

GROWS = timedelta(hours=6)  # longer than any call, and than any two clocks are apart
ANEW_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Sums:
    """What was used in a month; what has no known price counts as tokens only."""

    month: Month
    tokens: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class _Settled:
    """What was used before `until`; `counted_at` is when it was last added up from the start."""

    sums: Sums
    until: datetime
    counted_at: float


# By the tenant's id, which no two databases share.
_settled: dict[uuid.UUID, _Settled] = {}


async def sums_of(
    session: AsyncSession, tenant_id: uuid.UUID, month: Month, *, now: datetime
) -> Sums:
    """Return what a business has used in a month, as this transaction sees it.

    Read from the index `usage_of_month` alone.
    """
    known = _known(tenant_id, month)
    until = max(known.until, now - GROWS)
    tokens, micros, old_tokens, old_micros = await _add_up(session, tenant_id, known, until)
    old = Sums(month, known.sums.tokens + old_tokens, known.sums.cost_micros + old_micros)
    _settled[tenant_id] = _Settled(old, until, known.counted_at)
    return Sums(month, known.sums.tokens + tokens, known.sums.cost_micros + micros)


def _known(tenant_id: uuid.UUID, month: Month) -> _Settled:
    now, known = time.monotonic(), _settled.get(tenant_id)
    if known and known.sums.month == month and now - known.counted_at < ANEW_SECONDS:
        return known
    return _Settled(Sums(month, 0, 0), month.start, now)


async def _add_up(
    session: AsyncSession, tenant_id: uuid.UUID, known: _Settled, until: datetime
) -> tuple[int, ...]:
    """Return tokens and money of what is not known, and the part of both from before `until`."""
    at, counted = col(UsageLog.at), (col(UsageLog.tokens), col(UsageLog.cost_micros))
    parts: list[Any] = [*counted, *(case((at < until, amount)) for amount in counted)]
    query = select(*(func.coalesce(func.sum(part), 0) for part in parts)).where(
        UsageLog.tenant_id == tenant_id, at >= known.until, at < known.sums.month.end
    )
    return tuple(map(int, (await session.exec(query)).one()))
