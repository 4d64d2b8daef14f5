"""`ivr webhooks`: who is told of events, what did not get through, and sending it again."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from ivr.cli import period
from ivr.cli.desk import Desk, open_desk
from ivr.cli.terminal import JsonFlag, add, commands, one_line, print_json, screen, show, table
from ivr.db.secret_key import secret_key
from ivr.db.tables import WebhookEndpoint
from ivr.errors import BadRequest
from ivr.sealing import Seal
from ivr.settings import Environment
from ivr.webhooks import endpoints, replay
from ivr.webhooks.replay import Parked

SHORT = 8
Url = Annotated[str, typer.Argument(help="Where to POST; https in production.")]
Types = Annotated[
    str | None, typer.Option(help="Only these, with commas: lead.stage_changed,submission.failed.")
]
EndpointId = Annotated[
    str, typer.Argument(metavar="ID", help="The beginning of the id that `list` shows.")
]


def make(url: Url, *, types: Types = None, as_json: JsonFlag = False) -> None:
    """Have a program told of events; print the secret that signs them, once."""
    names = [name.strip() for name in (types or "").split(",") if name.strip()]
    endpoint, secret = asyncio.run(_make(url, names))
    if as_json:
        print_json({**_document(endpoint), "secret": secret})
        return
    _print_secret(secret)


def _print_secret(secret: str) -> None:
    typer.echo(secret)
    typer.echo("This secret signs every message. It is not shown again.", err=True)


async def _make(url: str, names: Sequence[str]) -> tuple[WebhookEndpoint, str]:
    async with open_desk() as desk, desk.db.write() as session:
        return await endpoints.add(
            session,
            desk.tenant.id,
            url,
            types=names,
            only_public=desk.settings.environment is Environment.PRODUCTION,
            seal=Seal(secret_key(desk.settings)),
            now=desk.clock.now,
        )


def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Disabled ones as well.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List who is told of events."""
    asyncio.run(_list(everything=everything, as_json=as_json))


async def _list(*, everything: bool, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            found = await endpoints.of_tenant(session, desk.tenant.id)
        rows = [row for row in found if everything or row.disabled_at is None]
        if as_json:
            print_json([_document(row) for row in rows])
        else:
            _print(desk, rows)


def _document(row: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": row.url,
        "types": row.types.get("only", []),
        "created_at": row.created_at,
        "disabled_at": row.disabled_at,
    }


def _print(desk: Desk, rows: Sequence[WebhookEndpoint]) -> None:
    if not rows:
        show(screen(), Text("nobody is told of events; `ivr webhooks add URL` changes that"))
        return
    grid = table(["id", "url", "types", "since", "state"])
    for row in rows:
        since = desk.clock.relative(row.disabled_at) if row.disabled_at else ""
        grid.add_row(
            str(row.id)[:SHORT],
            Text(one_line(row.url)),
            ", ".join(row.types.get("only", [])) or "all",
            desk.clock.relative(row.created_at),
            f"disabled {since}" if since else "in use",
        )
    show(screen(), grid)


def remove(number: EndpointId) -> None:
    """Tell an endpoint nothing more; what waits for it is parked."""
    parked = asyncio.run(_remove(number))
    waiting = f"; {parked} waiting deliveries parked" if parked else ""
    typer.echo(f"endpoint {number} disabled{waiting}")


async def _remove(number: str) -> int:
    async with open_desk() as desk, desk.db.write() as session:
        endpoint = await endpoints.find(session, desk.tenant.id, number)
        return await endpoints.disable(
            session, endpoint, "the endpoint was removed", now=desk.clock.now
        )


def rotate(number: EndpointId) -> None:
    """Give an endpoint a new secret and print it; for a day the old one signs as well."""
    _print_secret(asyncio.run(_rotate(number)))


async def _rotate(number: str) -> str:
    async with open_desk() as desk, desk.db.write() as session:
        endpoint = await endpoints.find(session, desk.tenant.id, number)
        return endpoints.rotate(endpoint, Seal(secret_key(desk.settings)), now=desk.clock.now)


def parked(*, as_json: JsonFlag = False) -> None:
    """List what could not be delivered, oldest first."""
    asyncio.run(_parked(as_json=as_json))


async def _parked(*, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            found = await replay.parked(session, desk.tenant.id)
        if as_json:
            print_json([_parked_document(*row) for row in found])
        else:
            _print_parked(desk, found)


def _parked_document(delivery: Any, event: Any, endpoint: WebhookEndpoint) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "event_id": event.id,
        "type": event.type,
        "lead_id": event.lead_id,
        "url": endpoint.url,
        "endpoint_id": endpoint.id,
        "attempts": delivery.attempts,
        "error": delivery.last_error,
        "created_at": event.created_at,
        "parked_at": delivery.updated_at,
    }


def _print_parked(desk: Desk, found: Sequence[Parked]) -> None:
    if not found:
        show(screen(), Text("nothing is parked"))
        return
    grid = table(["id", "what", "happened", "attempts", "to", "why"], right=["id", "attempts"])
    for delivery, event, endpoint in found:
        grid.add_row(
            str(delivery.id),
            event.type,
            desk.clock.relative(event.created_at),
            str(delivery.attempts),
            Text(one_line(endpoint.url)),
            Text(one_line(delivery.last_error or "")),
        )
    show(screen(), grid)


def send_again(
    number: Annotated[
        int | None, typer.Argument(metavar="ID", help="The id that `parked` shows.")
    ] = None,
    *,
    since: Annotated[
        str | None, typer.Option(help="Instead: everything that happened since, as 24h or 7d.")
    ] = None,
    only_parked: Annotated[
        bool, typer.Option("--parked", help="With --since: only what did not get through.")
    ] = False,
) -> None:
    """Have one delivery, or all since some time, made again by the running server."""
    if (number is None) == (since is None):
        raise BadRequest("give either the id of a delivery or --since")
    count = asyncio.run(_send_again(number, since, only_parked=only_parked))
    typer.echo(f"{count} {'delivery' if count == 1 else 'deliveries'} will be made again")


async def _send_again(number: int | None, since: str | None, *, only_parked: bool) -> int:
    async with open_desk() as desk, desk.db.write() as session:
        now, tenant_id = desk.clock.now, desk.tenant.id
        if number is not None:
            await replay.one(session, tenant_id, number, now=now)
            return 1
        moment = period.since(since or "", now=now)
        return await replay.since(session, tenant_id, moment, only_parked=only_parked, now=now)


app = commands("Tell other programs of events, and see what failed.")
add(app, make, "add")
add(app, list_, "list")
add(app, remove)
add(app, rotate)
add(app, parked)
add(app, send_again, "replay")
