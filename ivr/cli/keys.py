"""`ivr keys`: the keys with which other programs and web pages come in (S2.31)."""

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.text import Text

from ivr import api_keys
from ivr.api_keys import Scope
from ivr.cli.desk import open_desk
from ivr.cli.terminal import (
    Clock,
    JsonFlag,
    add,
    commands,
    one_line,
    print_json,
    screen,
    show,
    table,
)
from ivr.db.tables import ApiKey, KeyKind
from ivr.errors import BadRequest

Name = Annotated[str, typer.Argument(help="What the key is for, e.g. website.")]
Publishable = Annotated[
    bool, typer.Option("--publishable", help="For a web page: opens chat and form only.")
]
Origin = Annotated[
    str | None, typer.Option(metavar="URL", help="The page's origin: https://shop.example.")
]
Scopes = Annotated[
    list[Scope] | None,
    typer.Option("--scope", help="Opens only this; may be repeated. Without: all."),
]
Days = Annotated[
    float | None, typer.Option("--days", min=0.001, max=36500, help="Ends after so many days.")
]
Hint = Annotated[
    str, typer.Argument(metavar="HINT", help="The beginning of the key, or of its id.")
]


def make(
    name: Name,
    *,
    publishable: Publishable = False,
    origin: Origin = None,
    scope: Scopes = None,
    days: Days = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print it, once: nobody can show it again."""
    kind = KeyKind.PUBLISHABLE if publishable else KeyKind.SECRET
    if publishable and origin is None:
        raise BadRequest("--publishable needs --origin, e.g. --origin https://shop.example")
    if origin is not None and not publishable:
        raise BadRequest("--origin belongs to --publishable")
    checked = None if origin is None else api_keys.checked_origin(origin)
    row, key = asyncio.run(_make(name, kind, checked, scope, days))
    if as_json:
        print_json({**_document(row), "key": key})
        return
    typer.echo(key)
    typer.echo("This is the only time it is shown. Keep it, or make another.", err=True)


async def _make(
    name: str, kind: KeyKind, origin: str | None, scopes: list[Scope] | None, days: float | None
) -> tuple[ApiKey, str]:
    async with open_desk() as desk, desk.db.write() as session:
        now = desk.clock.now
        return api_keys.make(
            session,
            desk.tenant.id,
            kind=kind,
            name=name,
            now=now,
            origin=origin,
            scopes=scopes or None,
            expires_at=None if days is None else now + timedelta(days=days),
        )


def list_(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Revoked and expired ones as well.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the keys, oldest first; of each only its beginning is known."""
    asyncio.run(_list(everything=everything, as_json=as_json))


async def _list(*, everything: bool, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            found = await api_keys.of_tenant(session, desk.tenant.id)
        rows = [row for row in found if everything or api_keys.is_good(row, now=desk.clock.now)]
        if as_json:
            print_json([_document(row) for row in rows])
        else:
            _print(desk.clock, rows)


def _document(row: ApiKey) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "kind": row.kind,
        "hint": row.hint,
        "origin": row.origin,
        "scopes": row.scopes.get("only"),
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
        "revoked_at": row.revoked_at,
    }


def _print(clock: Clock, rows: list[ApiKey]) -> None:
    if not rows:
        show(screen(), Text("there are no keys; `ivr keys add NAME` makes one"))
        return
    grid = table(["key", "name", "kind", "made", "last used", "opens", "state"])
    for row in rows:
        grid.add_row(
            f"{row.hint}…",
            Text(one_line(row.name)),
            row.kind,
            clock.relative(row.created_at),
            clock.relative(row.last_used_at) if row.last_used_at else "never",
            _opens(row),
            _state(clock, row),
        )
    show(screen(), grid)


def _opens(row: ApiKey) -> str:
    return row.origin or ", ".join(row.scopes.get("only", ["all"]))


def _state(clock: Clock, row: ApiKey) -> str:
    if row.revoked_at is not None:
        return f"revoked {clock.relative(row.revoked_at)}"
    if row.expires_at is None:
        return "in use"
    words = "ends" if row.expires_at > clock.now else "ended"
    return f"{words} {clock.relative(row.expires_at)}"


def revoke(hint: Hint) -> None:
    """Have a key open nothing any more."""
    row = asyncio.run(_revoke(hint))
    typer.echo(f"key {row.hint}… ({one_line(row.name)}) revoked")


async def _revoke(hint: str) -> ApiKey:
    async with open_desk() as desk, desk.db.write() as session:
        return await api_keys.revoke(session, desk.tenant.id, hint, now=desk.clock.now)


app = commands("Make and revoke the keys with which other programs come in.")
add(app, make, "add")
add(app, list_, "list")
add(app, revoke)
