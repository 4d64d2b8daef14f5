"""`ivr leads forget`: erases one person, after showing who it is."""

import asyncio
import uuid
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from ivr.cli.desk import Desk, open_desk
from ivr.cli.terminal import JsonFlag, complain, one_line, print_json, screen, show
from ivr.errors import Conflict
from ivr.leads.people import belongings, forgetting
from ivr.leads.people.forgetting import Dossier, Forgotten

ACTOR = "cli"
STILL_IN_LOG = (
    "the write-ahead log of the database is being read: it holds what was deleted until nobody "
    "reads it, or the server stops"
)

Who = Annotated[
    str,
    typer.Argument(metavar="WHO", help="A lead's id, a phone number (+1...) or e-mail address."),
]


def forget(
    who: Who,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show who it would be.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Cut off what is under way with this person.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Erase one person: contact, leads, conversations, all that was said and sent.

    Of a number that had said STOP a hash stays, so that it is not written to. Deliver first what
    is to be delivered. Backups and what others were told are not in our hands.
    """
    dossier = asyncio.run(_look(who))
    if dry_run and as_json:
        print_json(asdict(dossier))
        return
    if not as_json:
        _show(dossier)
    if dry_run:
        return
    if dossier.under_way and not force:
        raise Conflict(f"not now: {'; '.join(dossier.under_way)}; --force cuts it off")
    if not yes:
        typer.confirm("Forget this person? It cannot be undone.", abort=True, err=as_json)
    forgotten = asyncio.run(_forget(dossier.contact_id, force=force))
    if as_json:
        print_json(asdict(forgotten))
    else:
        _tell(forgotten)
    if not forgotten.is_clean:
        complain(STILL_IN_LOG)


async def _look(who: str) -> Dossier:
    async with open_desk() as desk:
        return await forgetting.look(
            desk.db, desk.tenant.id, await _contact(desk, who), now=desk.clock.now
        )


async def _contact(desk: Desk, who: str) -> uuid.UUID:
    async with desk.db.read() as session:
        return await belongings.find(session, desk.tenant.id, who)


async def _forget(contact_id: uuid.UUID, *, force: bool) -> Forgotten:
    async with open_desk() as desk:
        return await forgetting.forget(
            desk.db, desk.tenant.id, contact_id, actor=ACTOR, now=desk.clock.now, force=force
        )


def _show(dossier: Dossier) -> None:
    console = screen()
    who = ", ".join([*dossier.names, *dossier.addresses]) or "somebody without name and address"
    show(console, Text(one_line(who)))
    show(console, Text(f"leads: {dossier.leads}, conversations: {dossier.conversations}"))
    for matter in dossier.under_way:
        show(console, Text(f"under way: {matter}"))


def _tell(forgotten: Forgotten) -> None:
    rows = ", ".join(f"{name} {count}" for name, count in sorted(forgotten.rows.items()))
    typer.echo(f"forgotten: {rows}")
