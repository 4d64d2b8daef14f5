"""What lists of leads cost when there are very many: the queries, and the whole request by HTTP.

A database is filled by `seed`, then the real server answers on it, on a core of its own. Each case
is asked often, each time for another part of the data where it has one. The plans are those of the
statements that a case runs, as the database explains them. On PostgreSQL everything is done as a
role that row-level security binds.
"""

import asyncio
import os
import random
import re
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from uuid import UUID

import httpx
import psycopg
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy import event, make_url
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import api_keys
from ivr.db import Database
from ivr.db.tables import KeyKind, Lead, Tenant, utc_now
from ivr.settings import Settings

from .figures import Spread
from .list_cases import CASES, Case
from .road import postgres
from .seed import seed
from .seed_rows import SHARES
from .served import OURS, Served, served, wait_until_ready

MOST_P95_MS = 50.0  # issue 5: "It must show"
LEADS = 1_000_000
WARM_UP = 5
ROLE = "ivr_bench"
# Nothing that the server does by itself moves a lead meanwhile; with a key it needs no voice.
_STILL = {
    "NURTURE_AFTER_HOURS": "0",
    "LOST_AFTER_DAYS": "0",
    "MAX_LOOP_LAG_MS": "60000",
    "OPENAI_API_KEY": "bench",
    "RATE_LIMIT_KEY_PER_MINUTE": "0",
    "RATE_LIMIT_ADDRESS_PER_MINUTE": "0",
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What a case took, in ms: the queries alone, the whole request, the server's CPU for one."""

    name: str
    query: Spread
    request: Spread
    cpu_ms: float
    plan: Sequence[str]


@dataclass(frozen=True, slots=True)
class Measured:
    """All cases on one database; `load` is the machine's, before and after."""

    database: str
    leads: int
    seeding_s: float
    taken: Sequence[Taken]
    load: tuple[float, float]


def measure_lists(leads: int, urls: Sequence[str], console: Console) -> None:
    """Measure and print; without addresses on SQLite, and on PostgreSQL where one is reached."""
    for url in urls:
        tell(console, _measure(url, leads))
    if urls:
        return
    with TemporaryDirectory(prefix="bench-") as folder:
        tell(console, _measure(f"sqlite:///{folder}/lists.db", leads))
    with postgres() as scratch:
        if scratch is not None:
            tell(console, _measure(scratch, leads))


def _measure(address: str, leads: int) -> Measured:
    url = Settings(_env_file=None, database_url=address).database_url  # with the driver in it
    seconds = asyncio.run(_fill(url, leads))
    tenant, key = asyncio.run(_enter(url))
    serving = _as_role(url)
    with TemporaryDirectory(prefix="bench-") as folder:
        settings = {**_STILL, "DATABASE_URL": serving}
        with served(OURS, settings, Path(folder)) as server:
            wait_until_ready(server)
            before = os.getloadavg()[0]
            taken = asyncio.run(_all_cases(server, serving, tenant, key))
            load = (before, os.getloadavg()[0])
    return Measured(make_url(url).get_backend_name(), leads, seconds, taken, load)


async def _fill(url: str, leads: int) -> float:
    """Make the tables, and the leads unless there are some; return the seconds."""
    began = perf_counter()
    async with _opened(url) as db:
        await db.upgrade()
        async with db.read() as session:
            is_filled = (await session.exec(select(Lead.id).limit(1))).first() is not None
    if not is_filled:
        await seed(url, leads)
    return perf_counter() - began


async def _enter(url: str) -> tuple[UUID, str]:
    """Return the id of the largest business, and a key of it."""
    async with _opened(url) as db, db.write() as session:
        query = select(Tenant.id).where(Tenant.slug == max(SHARES, key=lambda slug: SHARES[slug]))
        tenant_id = (await session.exec(query)).one()
        now = utc_now()
        made = api_keys.make(session, tenant_id, kind=KeyKind.SECRET, name="bench", now=now)
    return tenant_id, made[1]


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    db = Database(url)
    try:
        yield db
    finally:
        await db.close()


def _as_role(url: str) -> str:
    """Return the address for a role that owns nothing and sees one tenant at a time."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return url
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        if not connection.execute(_HAS_ROLE, (ROLE,)).fetchone():
            connection.execute(f"CREATE ROLE {ROLE} LOGIN".encode())
        connection.execute(f'GRANT CREATE ON DATABASE "{parsed.database}" TO {ROLE}'.encode())
    asyncio.run(_grant(url))
    return parsed.set(username=ROLE).render_as_string(hide_password=False)


_HAS_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = %s"


async def _grant(url: str) -> None:
    async with _opened(url) as db:
        await db.upgrade(serving=ROLE)


async def _all_cases(server: Served, url: str, tenant: UUID, key: str) -> list[Taken]:
    base_url, headers = f"http://127.0.0.1:{server.port}", {"X-API-Key": key}
    async with (
        _opened(url) as everybody,
        httpx.AsyncClient(
            base_url=base_url, headers=headers, timeout=300, trust_env=False
        ) as client,
    ):
        db = everybody.for_tenant(tenant)
        return [await _one_case(case, server, client, db, tenant) for case in CASES]


async def _one_case(
    case: Case, server: Served, client: httpx.AsyncClient, db: Database, tenant: UUID
) -> Taken:
    asked = _asked(case)
    warm_up = min(WARM_UP, case.times - 1)
    query = [await _query(case, db, tenant, parameters) for parameters in asked]
    path = case.path.format(tenant=tenant)
    request, cpu_s = [], server.cpu_s
    for place, parameters in enumerate(asked):
        if place == warm_up:
            cpu_s = server.cpu_s
        began = perf_counter()
        answer = await client.get(path, params=parameters)
        request.append(perf_counter() - began)
        assert answer.is_success, answer.text
    cpu_ms = (server.cpu_s - cpu_s) * 1000 / (case.times - warm_up)
    plan = await _plan(case, db, tenant, asked[0])
    return Taken(
        case.name,
        Spread.of(array("d", query[warm_up:])),
        Spread.of(array("d", request[warm_up:])),
        cpu_ms,
        plan,
    )


def _asked(case: Case) -> list[dict[str, Any]]:
    chance = random.Random(case.name)
    return [case.ask(chance) for _ in range(case.times)]


async def _query(case: Case, db: Database, tenant: UUID, asked: dict[str, Any]) -> float:
    began = perf_counter()
    async with db.read() as session:
        await case.query(session, tenant, asked)
    return perf_counter() - began


async def _plan(case: Case, db: Database, tenant: UUID, asked: dict[str, Any]) -> list[str]:
    """Return how the database goes about each statement of a case."""
    said: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        said.append((statement, parameters))

    async with db.read() as session:
        connection = await session.connection()
        event.listen(connection.sync_connection, "before_cursor_execute", note)
        await case.query(session, tenant, asked)
        event.remove(connection.sync_connection, "before_cursor_execute", note)
        return [line for one in said for line in await _explained(session, db, *one)]


async def _explained(
    session: AsyncSession, db: Database, statement: str, parameters: Any
) -> list[str]:
    how = "EXPLAIN QUERY PLAN" if db.is_sqlite else _EXPLAIN
    connection = await session.connection()
    rows = (await connection.exec_driver_sql(f"{how} {statement}", parameters)).all()
    return ["--", *(_MANY.sub("{...}", str(row[-1])) for row in rows)]


_MANY = re.compile(r"\{[0-9a-f-]{36},[^}]*\}")  # ids

_EXPLAIN = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)"


def tell(console: Console, measured: Measured) -> None:
    """Print what was measured, and the plans."""
    console.print(
        f"{measured.leads:,} leads on {measured.database}, filled in {measured.seeding_s:.0f} s; "
        f"load {measured.load[0]:.1f} before, {measured.load[1]:.1f} after"
    )
    console.print(table(measured))
    slow = [it.name for it in measured.taken if it.request.p95 >= MOST_P95_MS]
    console.print(f"p95 < {MOST_P95_MS:.0f} ms is not kept by: {', '.join(slow) or 'none'}")
    for one in measured.taken:
        console.print(f"\n{one.name}")
        for line in one.plan:
            console.print(f"  {escape(line)}", soft_wrap=True, highlight=False)


def table(measured: Measured) -> Table:
    """Return a line per case."""
    sheet = Table(title="p50 / p95 in ms", title_justify="left")
    for name in ("", "queries", "request", "CPU of the server"):
        sheet.add_column(name, justify="right" if name else "left")
    for one in measured.taken:
        pairs = (f"{it.p50:.1f} / {it.p95:.1f}" for it in (one.query, one.request))
        sheet.add_row(one.name, *pairs, f"{one.cpu_ms:.1f}")
    return sheet
