"""`ivr tenants`: the clients of this installation, and the admin key that looks after them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from rich.text import Text
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import api_keys
from ivr import tenants as directory
from ivr.cli.database import existing
from ivr.cli.desk import quiet_logs
from ivr.cli.terminal import (
    JsonFlag,
    add,
    commands,
    one_line,
    pairs,
    print_json,
    screen,
    show,
    table,
)
from ivr.db import Database
from ivr.db.tables import ApiKey, KeyKind, Tenant, TenantStatus, utc_now
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.leads.profile import load_profile, tenant_profile
from ivr.settings import Settings, load_settings
from ivr.tenants import clients, config

BY = "cli"

Slug = Annotated[str, typer.Argument(metavar="SLUG", help="The client's short name.")]
Number = Annotated[str, typer.Argument(metavar="NUMBER", help="Such as +12015550123.")]
Grace = Annotated[
    float,
    typer.Option("--grace-hours", min=0, max=720, help="How long the old keys go on; 0: not."),
]
_GRACE_HOURS = api_keys.GRACE / timedelta(hours=1)


@asynccontextmanager
async def _database() -> AsyncIterator[tuple[Settings, Database]]:
    settings = load_settings()
    quiet_logs(settings)
    async with existing(settings.database_url) as db:
        yield settings, db


def bootstrap(
    *,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make another; the old one ends.")
    ] = False,
    grace_hours: Grace = _GRACE_HOURS,
) -> None:
    """Make the admin key and print it, once: it makes and changes clients over HTTP."""
    _print_key(asyncio.run(_bootstrap(timedelta(hours=grace_hours), rotate=rotate)))


async def _bootstrap(grace: timedelta, *, rotate: bool) -> str:
    now = utc_now()
    async with _database() as (settings, db):
        default = await directory.ensure_default(db, settings, now=now)
        async with db.write() as session:
            tenant = await clients.locked(session, default.id)  # two at once make one key
            found = [key for key in await _admin_keys(session, tenant) if _is_good(key, now)]
            if found and not rotate:
                raise Conflict(_there_is_one(found[-1]))
            _, key = await api_keys.rotate(
                session, tenant.id, kind=KeyKind.ADMIN, name="admin", now=now, grace=grace
            )
    return key


async def _admin_keys(session: AsyncSession, tenant: Tenant) -> list[ApiKey]:
    rows = await api_keys.of_tenant(session, tenant.id)
    return [row for row in rows if row.kind == KeyKind.ADMIN]


def _is_good(key: ApiKey, now: datetime) -> bool:
    return api_keys.is_good(key, now=now)


def _there_is_one(key: ApiKey) -> str:
    return (
        f"there is an admin key, {key.hint}…, and nobody can show it again:"
        " `ivr tenants bootstrap --rotate` makes another"
    )


def list_(*, as_json: JsonFlag = False) -> None:
    """List the clients, oldest first."""
    asyncio.run(_list(as_json=as_json))


async def _list(*, as_json: bool) -> None:
    async with _database() as (_, db), db.read() as session:
        rows = await clients.listed(session)
        numbers = await clients.numbers_of(session, rows)
    if as_json:
        print_json([_document(row, numbers[row.id]) for row in rows])
        return
    grid = table(["client", "name", "status", "profile", "time zone", "numbers"])
    for row in rows:
        name, known = Text(one_line(row.name)), ", ".join(numbers[row.id]) or "-"
        grid.add_row(row.slug, name, row.status, row.profile, row.timezone, known)
    show(screen(), grid)


def show_one(slug: Slug, *, as_json: JsonFlag = False) -> None:
    """Show one client."""
    document = asyncio.run(_show(slug))
    if as_json:
        print_json(document)
    else:
        show(screen(), pairs([(name, _words(value)) for name, value in document.items()]))


async def _show(slug: str) -> dict[str, Any]:
    async with _database() as (_, db), db.read() as session:
        tenant = await _find(session, slug)
        return _document(tenant, (await clients.numbers_of(session, [tenant]))[tenant.id])


def _words(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None or value == {} else str(value)


def make(
    slug: Slug,
    *,
    name: Annotated[str, typer.Option(help="How the business calls itself.")],
    industry: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(sorted(clients.PROFILES))}.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Instead of the industry's.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Such as Asia/Riyadh.")] = None,
    number: Annotated[
        list[str] | None, typer.Option(help="Under which it is reached; may be repeated.")
    ] = None,
) -> None:
    """Add a client and print its first key, once."""
    if not name.strip():
        raise BadRequest("--name: expected one")
    _print_key(asyncio.run(_make(slug, name.strip(), industry, profile, timezone, number or [])))


async def _make(
    slug: str,
    name: str,
    industry: str | None,
    profile: str | None,
    timezone: str | None,
    numbers: list[str],
) -> str:
    now = utc_now()
    async with _database() as (settings, db), db.write() as session:
        draft = clients.Draft(
            slug=slug,
            name=name,
            industry=industry,
            profile=profile,
            timezone=timezone or settings.timezone,
        )
        tenant = await clients.create(session, draft, by=BY, now=now)
        await clients.set_numbers(session, tenant, numbers, now=now)
        tenant_profile.check(load_profile, tenant)
        _, key = api_keys.make(session, tenant.id, kind=KeyKind.SECRET, name="first key", now=now)
    return key


def pause(slug: Slug) -> None:
    """Have the assistant say nothing; who calls or writes becomes a lead all the same."""
    _put(slug, TenantStatus.PAUSED)


def activate(slug: Slug) -> None:
    """Let the assistant speak and write again."""
    _put(slug, TenantStatus.ACTIVE)


def _put(slug: str, status: TenantStatus) -> None:
    changed = asyncio.run(_set_status(slug, status))
    typer.echo(f"{slug} is {status}" if changed else f"{slug} was {status} already")


async def _set_status(slug: str, status: TenantStatus) -> bool:
    async with _database() as (_, db), db.write() as session:
        tenant = await clients.locked(session, (await _find(session, slug)).id)
        return clients.put(tenant, status, by=BY, now=utc_now())


def rotate_key(slug: Slug, *, grace_hours: Grace = _GRACE_HOURS) -> None:
    """Give a client another key and print it, once; all its other secret keys end."""
    _print_key(asyncio.run(_rotate(slug, timedelta(hours=grace_hours))))


async def _rotate(slug: str, grace: timedelta) -> str:
    now = utc_now()
    async with _database() as (_, db), db.write() as session:
        tenant = await clients.locked(session, (await _find(session, slug)).id)
        _, key = await api_keys.rotate(
            session, tenant.id, kind=KeyKind.SECRET, name="rotated", now=now, grace=grace
        )
        clients.note_change(tenant, ["api_key"], by=BY, now=now)
    return key


def add_number(slug: Slug, number: Number) -> None:
    """Have a client be reached under one more number; the first one it also writes from."""
    asyncio.run(_change_numbers(slug, add=number))
    typer.echo(f"{slug} is reached under {number}")


def remove_number(slug: Slug, number: Number) -> None:
    """Have a number belong to a client no more."""
    asyncio.run(_change_numbers(slug, remove=number))
    typer.echo(f"{slug} is not reached under {number} any more")


async def _change_numbers(slug: str, *, add: str | None = None, remove: str | None = None) -> None:
    now = utc_now()
    async with _database() as (_, db), db.write() as session:
        tenant = await clients.locked(session, (await _find(session, slug)).id)
        held = (await clients.numbers_of(session, [tenant]))[tenant.id]
        if remove is not None and remove not in held:
            raise NotFound(f"{slug} has no number {remove}")
        wanted = [*(number for number in held if number != remove), *([add] if add else [])]
        await clients.set_numbers(session, tenant, wanted, now=now)
        clients.note_change(tenant, ["phone_numbers"], by=BY, now=now)


async def _find(session: AsyncSession, slug: str) -> Tenant:
    tenant = await directory.by_slug(session, slug)
    if tenant is None:
        raise NotFound(f"no client {slug}; `ivr tenants list` shows which there are")
    return tenant


def _document(tenant: Tenant, numbers: list[str]) -> dict[str, Any]:
    return {
        **tenant.model_dump(exclude={"config", "secrets", "phone_number"}),
        "phone_numbers": numbers,
        "config": config.shown(tenant),
    }


def _print_key(key: str) -> None:
    typer.echo(key)
    typer.echo("This is the only time it is shown. Keep it, or make another.", err=True)


app = commands("Look after the clients and the key that opens them all.")
add(app, bootstrap)
add(app, list_, "list")
add(app, show_one, "show")
add(app, make, "add")
for command in (pause, activate, rotate_key):
    add(app, command)
numbers_app = commands("Say under which numbers a client is reached.")
add(numbers_app, add_number, "add")
add(numbers_app, remove_number, "remove")
app.add_typer(numbers_app, name="number")
