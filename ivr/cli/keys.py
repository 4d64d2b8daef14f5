"""`ivr keys`: the keys with which other programs and web pages come in (S2.31)."""

import asyncio
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.text import Text

from ivr import api_keys
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
Hint = Annotated[
    str, typer.Argument(metavar="HINT", help="The beginning of the key, or of its id.")
]


def make(
    name: Name,
    *,
    publishable: Publishable = False,
    origin: Origin = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key and print it, once: nobody can show it again."""
    kind = KeyKind.PUBLISHABLE if publishable else KeyKind.SECRET
    if publishable and origin is None:
        raise BadRequest("--publishable needs --origin, e.g. --origin https://shop.example")
    if origin is not None and not publishable:
        raise BadRequest("--origin belongs to --publishable")
    row, key = asyncio.run(_make(name, kind, _checked(origin)))
    if as_json:
        print_json({**_document(row), "key": key})
        return
    typer.echo(key)
    typer.echo("This is the only time it is shown. Keep it, or make another.", err=True)


def _checked(origin: str | None) -> str | None:
    """Return an origin as browsers send it, or raise `BadRequest`."""
    if origin is None:
        return None
    try:
        parts = urlsplit(origin.strip().casefold())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise BadRequest("--origin: cannot be read") from error
    is_plain = parts.path in ("", "/") and not (parts.query or parts.fragment or parts.username)
    if parts.scheme not in {"http", "https"} or not host or not is_plain:
        raise BadRequest("--origin: expected https://host, without a path")
    is_default = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + ("" if is_default else f":{port}")


async def _make(name: str, kind: KeyKind, origin: str | None) -> tuple[ApiKey, str]:
    async with open_desk() as desk, desk.db.write() as session:
        return api_keys.make(
            session, desk.tenant.id, kind=kind, name=name, now=desk.clock.now, origin=origin
        )


def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Revoked ones as well.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the keys, oldest first; of each only its beginning is known."""
    asyncio.run(_list(everything=everything, as_json=as_json))


async def _list(*, everything: bool, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            found = await api_keys.of_tenant(session, desk.tenant.id)
        rows = [row for row in found if everything or row.revoked_at is None]
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
        "created_at": row.created_at,
        "last_used_at": row.last_used_at,
        "revoked_at": row.revoked_at,
    }


def _print(clock: Clock, rows: list[ApiKey]) -> None:
    if not rows:
        show(screen(), Text("there are no keys; `ivr keys add NAME` makes one"))
        return
    grid = table(["key", "name", "kind", "made", "last used", "origin", "state"])
    for row in rows:
        grid.add_row(
            f"{row.hint}…",
            Text(one_line(row.name)),
            row.kind,
            clock.relative(row.created_at),
            clock.relative(row.last_used_at) if row.last_used_at else "never",
            row.origin or "-",
            f"revoked {clock.relative(row.revoked_at)}" if row.revoked_at else "in use",
        )
    show(screen(), grid)


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
