"""What a client has used in a month, and what that cost (S2.49)."""

import uuid
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field

from ivr.costs import budget, months, summary
from ivr.costs.budget import BudgetState
from ivr.costs.summary import Cost, MonthSummary
from ivr.costs.sums import Sums
from ivr.costs.usage import Kind
from ivr.db.tables import Tenant, utc_now
from ivr.doors.credentials import ReadsNamedClient

router = APIRouter(prefix="/api/v1/clients", tags=["clients"])

Named = Annotated[
    str | None,
    Query(
        pattern=f"^{months.NAME}$",
        description="such as 2026-11, in the client's time zone; without it the present one",
    ),
]


class Amount(BaseModel):
    """A sum; `unpriced` counts what has no known price, and so is not in the money."""

    tokens: int
    cost_usd: str = Field(examples=["1.234567"])
    cost_micros: int = Field(description="millionths of a US dollar")
    unpriced: int


class OfKind(Amount):
    """A sum of one kind of thing: realtime, transcription, text, telephony or message."""

    kind: str


class OfPurpose(Amount):
    """A sum of what it was for: voice, transcript, reply, route, extract, call, transfer, ..."""

    purpose: str


class OfModel(Amount):
    """A sum of one model, or of one sort of minutes or messages."""

    provider: str
    model: str


class OfDay(Amount):
    """A sum of one day of the client's time zone."""

    day: date


class Budget(BaseModel):
    """How far it is used; null is no limit. What has no known price counts as tokens only."""

    tokens: int | None
    cents: int | None = Field(description="US cents")
    used_percent: float | None = Field(description="of the budget that is nearer its end")
    state: BudgetState


class Usage(Amount):
    """A month of a client; every sum is of the same rows. `starts_at` is in it, `ends_at` not."""

    client_id: uuid.UUID
    month: str
    timezone: str
    starts_at: datetime
    ends_at: datetime
    calls: int
    minutes: int = Field(description="on the phone, as they are billed")
    messages_in: int
    messages_out: int
    segments: int
    budget: Budget
    by_kind: list[OfKind]
    by_purpose: list[OfPurpose]
    by_model: list[OfModel]
    by_day: list[OfDay]


@router.get("/{client_id}/usage")
async def usage(request: Request, tenant: ReadsNamedClient, month: Named = None) -> Usage:
    """Return what a client has used in a month: tokens, money, minutes and messages."""
    zone = tenant.timezone
    named = months.month_named(month, zone) if month else months.month_at(utc_now(), zone)
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        found = await summary.of_month(session, tenant.id, named)
    return _shown(tenant, found)


def _shown(tenant: Tenant, found: MonthSummary) -> Usage:
    return Usage(
        client_id=tenant.id,
        month=found.month.name,
        timezone=tenant.timezone,
        starts_at=found.month.start,
        ends_at=found.month.end,
        calls=found.count(Kind.TELEPHONY, "call"),
        minutes=found.minutes,
        messages_in=found.count(Kind.MESSAGE, "in"),
        messages_out=found.count(Kind.MESSAGE, "out") + found.count(Kind.MESSAGE, "staff"),
        segments=found.segments,
        budget=_budget(tenant, found),
        by_kind=[OfKind(kind=it, **_sum(cost)) for it, cost in found.by("kind")],
        by_purpose=[OfPurpose(purpose=it, **_sum(cost)) for it, cost in found.by("purpose")],
        by_model=[
            OfModel(provider=provider, model=model, **_sum(cost))
            for (provider, model), cost in found.by("provider", "model")
        ],
        by_day=[OfDay(day=it, **_sum(cost)) for it, cost in found.by("day")],
        **_sum(found.total),
    )


def _budget(tenant: Tenant, found: MonthSummary) -> Budget:
    total = found.total
    stands = budget.of(tenant, Sums(found.month, total.tokens, total.cost_micros))
    return Budget(
        tokens=tenant.monthly_token_budget,
        cents=tenant.monthly_budget_cents,
        used_percent=stands.used_percent,
        state=stands.state,
    )


def _sum(cost: Cost) -> dict[str, Any]:
    return {
        "tokens": cost.tokens,
        "cost_usd": cost.usd,
        "cost_micros": cost.cost_micros,
        "unpriced": cost.unpriced,
    }
