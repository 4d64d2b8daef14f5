"""`ivr tasks`: whom somebody is to call back, and that it is done."""

import asyncio
from typing import Annotated, Any

import typer
from rich.text import Text

from ivr.cli.desk import Desk, open_desk
from ivr.cli.story import profile_or_none, short_id
from ivr.cli.terminal import (
    JsonFlag,
    add,
    commands,
    one_line,
    phone,
    print_json,
    screen,
    show,
    table,
)
from ivr.db.tables import Conversation, FieldValue, Lead, Task
from ivr.leads import values
from ivr.leads.attention import tasks
from ivr.leads.profile import PHONES

TaskId = Annotated[str, typer.Argument(metavar="ID", help="The id that `ivr tasks list` shows.")]
Note = Annotated[str | None, typer.Option(help="What came of it.")]
Row = tuple[Task, Conversation | None, dict[str, str | None]]


def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that are done as well.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List what people are to do, oldest first."""
    asyncio.run(_list(everything=everything, as_json=as_json))


async def _list(*, everything: bool, as_json: bool) -> None:
    async with open_desk() as desk:
        found = await _rows(desk, everything=everything)
        if as_json:
            print_json([_document(*row) for row in found])
        else:
            _print(desk, found)


async def _rows(desk: Desk, *, everything: bool) -> list[Row]:
    async with desk.db.read() as session:
        found = await tasks.of_tenant(session, desk.tenant.id, include_done=everything)
        rows: list[Row] = []
        for task in found:
            lead = await session.get_one(Lead, task.lead_id)
            known = await values.current(session, lead.id)
            call = None
            if task.conversation_id is not None:
                call = await session.get(Conversation, task.conversation_id)
            rows.append((task, call, _who(desk, lead, known)))
        return rows


def _who(desk: Desk, lead: Lead, known: dict[str, FieldValue]) -> dict[str, str | None]:
    """Return name and number of the person, as far as they are known."""
    profile = profile_or_none(desk.tenant, lead)
    who: dict[str, str | None] = {"name": None, "phone": None}
    for field in profile.fields if profile else ():
        word = {"person_name": "name", **dict.fromkeys(PHONES, "phone")}.get(field.type)
        if word is not None and field.key in known:
            who[word] = who[word] or known[field.key].value
    return who


def _document(task: Task, call: Conversation | None, who: dict[str, str | None]) -> dict[str, Any]:
    return {
        "id": task.id,
        "kind": task.kind,
        "reason": task.reason,
        "lead_id": task.lead_id,
        "call": call.session_key if call else None,
        **who,
        "from_number": call.from_number if call else None,
        "created_at": task.created_at,
        "due_at": task.due_at,
        "done_at": task.done_at,
        "note": task.note,
    }


def _print(desk: Desk, found: list[Row]) -> None:
    console = screen()
    if not found:
        show(console, Text("nothing is to be done"))
        return
    grid = table(["id", "what", "who", "number", "since", "why"])
    for task, call, who in found:
        number = who["phone"] or (call.from_number if call else None)
        why = one_line(task.reason)
        if task.done_at is not None:
            why = f"done {desk.clock.relative(task.done_at)}: {one_line(task.note or '')}"
        grid.add_row(
            short_id(task),
            task.kind.replace("_", " "),
            Text(one_line(who["name"] or "-")),
            phone(number) or "withheld",
            desk.clock.relative(task.created_at),
            Text(why),
        )
    show(console, grid)


def done(number: TaskId, *, note: Note = None) -> None:
    """Note that something is done."""
    asyncio.run(_done(number, note))
    typer.echo(f"task {number} done")


async def _done(number: str, note: str | None) -> None:
    async with open_desk() as desk, desk.db.write() as session:
        await tasks.finish(session, desk.tenant.id, number, note, now=desk.clock.now)


app = commands("See who is to be called back, and tick it off.")
add(app, list_, "list")
add(app, done)
