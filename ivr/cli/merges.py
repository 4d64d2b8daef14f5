"""`ivr review merges` and `split`: who was found to be one person, and that they are two."""

import asyncio
from functools import cache
from typing import Annotated

import typer
from rich.text import Text
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.cli.desk import Desk, open_desk
from ivr.cli.terminal import JsonFlag, one_line, print_json, screen, show, table
from ivr.db.engine import despite_races
from ivr.db.tables import Contact, MergeRecord
from ivr.errors import Conflict, NotFound
from ivr.leads.people import identity, merging
from ivr.leads.profile import load_profile

SHORT = 8  # characters of an id

MergeId = Annotated[
    str, typer.Argument(metavar="MERGE", help="The id that `ivr review merges` shows.")
]


def list_(*, as_json: JsonFlag = False) -> None:
    """List the people of whom two became one, the last ones first."""
    asyncio.run(_list(as_json=as_json))


async def _list(*, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            found = await merging.undoable(session, desk.tenant.id)
            people = [await session.get_one(Contact, record.kept_id) for record in found]
        if as_json:
            print_json([record.model_dump(exclude={"tenant_id"}) for record in found])
        else:
            _print(desk, [(record, one.name) for record, one in zip(found, people, strict=True)])


def _print(desk: Desk, found: list[tuple[MergeRecord, str | None]]) -> None:
    console = screen()
    if not found:
        show(console, Text("nobody was found to be the same as somebody else"))
        return
    grid = table(["id", "person", "when", "why"])
    for record, name in found:
        when = desk.clock.both(record.created_at)
        who, why = Text(one_line(name or "-")), Text(one_line(record.reason))
        grid.add_row(str(record.id)[:SHORT], who, when, why)
    show(console, grid)


def split(number: MergeId) -> None:
    """Undo a merge: they are two people, and stay so."""
    asyncio.run(_split(number))
    typer.echo(f"merge {number} undone: two people")


async def _split(number: str) -> None:
    async def undo(desk: Desk) -> None:
        async with desk.db.write() as session:
            record = await _find(session, desk, number)
            profiles, now = cache(load_profile), desk.clock.now
            await identity.split(session, desk.tenant.id, record.id, profiles, now=now)

    async with open_desk() as desk:
        await despite_races(lambda: undo(desk))


async def _find(session: AsyncSession, desk: Desk, number: str) -> MergeRecord:
    """Return the merge whose id begins so."""
    records = await merging.undoable(session, desk.tenant.id)
    found = [it for it in records if number and str(it.id).startswith(number.casefold())]
    if not found:
        raise NotFound(f"no merge {number} that could be undone")
    if len(found) > 1:
        raise Conflict(f"{number} is the beginning of several merges: say more of the id")
    return found[0]
