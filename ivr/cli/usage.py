"""`ivr usage`: what each client has used in a month, what that cost, and how its budget stands."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.text import Text
from sqlmodel import col, select

from ivr.cli.database import existing
from ivr.cli.desk import quiet_logs
from ivr.cli.terminal import JsonFlag, one_line, print_json, screen, show, table
from ivr.costs import budget, months, summary
from ivr.costs.months import Month
from ivr.costs.summary import MonthSummary
from ivr.costs.sums import Sums
from ivr.costs.usage import Kind
from ivr.db import Database
from ivr.db.tables import Tenant, utc_now
from ivr.settings import load_settings

Named = Annotated[
    str | None,
    typer.Option("--month", metavar="2026-11", help="Of each client's own zone. Default: now."),
]


def show_usage(*, month: Named = None, as_json: JsonFlag = False) -> None:
    """List what each client has used in a month, and its cost."""
    asyncio.run(_usage(month, as_json=as_json))


async def _usage(name: str | None, *, as_json: bool) -> None:
    settings = load_settings()
    quiet_logs(settings)
    async with existing(settings.database_url) as db:  # all clients: no desk, which is one's
        found = await _of_all(db, name)
    if as_json:
        print_json([_document(tenant, used) for tenant, used in found])
        return
    right = ["tokens", "US$", "unpriced", "calls", "minutes", "messages", "budget"]
    grid = table(["client", "month", *right, "state"], right=right)
    for tenant, used in found:
        row = _document(tenant, used)
        counts = [str(row[it]) for it in ("tokens", "cost_usd", "unpriced", "calls", "minutes")]
        percent = row["used_percent"]
        is_used = "" if percent is None else f"{percent:.2f} %"
        state = Text(str(row["state"]), style="red" if row["state"] == "spent" else "")
        cells = [one_line(tenant.slug), used.month.name, *counts, str(row["messages"])]
        grid.add_row(*cells, is_used, state)
    show(screen(), grid)


async def _of_all(db: Database, name: str | None) -> list[tuple[Tenant, MonthSummary]]:
    now = utc_now()
    async with db.read() as session:
        tenants = (await session.exec(select(Tenant).order_by(col(Tenant.slug)))).all()
        return [
            (tenant, await summary.of_month(session, tenant.id, _month(tenant, name, now)))
            for tenant in tenants
        ]


def _month(tenant: Tenant, name: str | None, now: datetime) -> Month:
    if name is not None:
        return months.month_named(name, tenant.timezone)
    return months.month_at(now, tenant.timezone)


def _document(tenant: Tenant, used: MonthSummary) -> dict[str, Any]:
    total = used.total
    stands = budget.of(tenant, Sums(used.month, total.tokens, total.cost_micros))
    messages = [used.count(Kind.MESSAGE, purpose) for purpose in ("in", "out", "staff")]
    return {
        "client": tenant.slug,
        "client_id": tenant.id,
        "month": used.month.name,
        "tokens": total.tokens,
        "cost_usd": total.usd,
        "cost_micros": total.cost_micros,
        "unpriced": total.unpriced,
        "calls": used.count(Kind.TELEPHONY, "call"),
        "minutes": used.minutes,
        "messages": sum(messages),
        "segments": used.segments,
        "monthly_token_budget": tenant.monthly_token_budget,
        "monthly_budget_cents": tenant.monthly_budget_cents,
        "used_percent": stands.used_percent,
        "state": stands.state,
    }
