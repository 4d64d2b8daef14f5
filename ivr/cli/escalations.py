"""`ivr escalations`: who waits for a person; take one, write to the contact, give it back."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.text import Text

from ivr import conversations
from ivr.cli.desk import Desk, open_desk
from ivr.cli.story import profile_or_none
from ivr.cli.terminal import JsonFlag, add, commands, one_line, print_json, screen, show, table
from ivr.db.tables import Conversation, Escalation, Lead
from ivr.leads.attention import escalations, replies, staff
from ivr.messages import rules

EscalationId = Annotated[
    str, typer.Argument(metavar="ID", help="The id that `ivr escalations list` shows.")
]
As = Annotated[str, typer.Option("--as", help="Your name.", envvar=["IVR_STAFF", "USER"])]
Row = tuple[Escalation, Conversation, str]


def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over as well.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the conversations that wait for a person or are with one, oldest first."""
    asyncio.run(_list(everything=everything, as_json=as_json))


async def _list(*, everything: bool, as_json: bool) -> None:
    async with open_desk() as desk:
        rows = await _rows(desk, everything=everything)
        if as_json:
            print_json([_document(*row) for row in rows])
        else:
            _print(desk, rows)


async def _rows(desk: Desk, *, everything: bool) -> list[Row]:
    async with desk.db.read() as session:
        rows: list[Row] = []
        for row in await escalations.of_tenant(session, desk.tenant.id, include_done=everything):
            conversation = await conversations.by_id(session, row.conversation_id)
            lead = await session.get_one(Lead, row.lead_id)
            profile = profile_or_none(desk.tenant, lead)
            rows.append((row, conversation, await staff.summary(session, conversation, profile)))
        return rows


def _document(row: Escalation, conversation: Conversation, known: str) -> dict[str, Any]:
    return {**row.model_dump(), "channel": conversation.channel, "known": known}


def _print(desk: Desk, rows: Sequence[Row]) -> None:
    console = screen()
    if not rows:
        show(console, Text("nobody waits for a person"))
        return
    grid = table(["id", "state", "channel", "who", "since", "due", "why"])
    for row, conversation, known in rows:
        grid.add_row(
            str(row.id)[: staff.SHORT],
            Text(one_line(f"{row.state} by {row.assignee}" if row.assignee else row.state)),
            conversation.channel.replace("_", " "),
            Text(one_line(known or "-")),
            desk.clock.relative(row.created_at),
            _due(desk, row),
            Text(one_line(row.resolution or row.reason)),
        )
    show(console, grid)


def _due(desk: Desk, row: Escalation) -> str:
    if row.acknowledged_at or row.resolved_at or row.due_at is None:
        return "-"
    return "overdue" if row.due_at < desk.clock.now else desk.clock.relative(row.due_at)


def take(
    number: EscalationId,
    *,
    who: As,
    instead_of: Annotated[
        str | None, typer.Option(help="Who has it, to take it over from them.")
    ] = None,
) -> None:
    """Take a conversation: the assistant is silent until you give it back."""
    asyncio.run(_take(number, who, instead_of))
    typer.echo(f"escalation {number} is yours")


async def _take(number: str, who: str, instead_of: str | None) -> None:
    async with open_desk() as desk, desk.db.write() as session:
        await escalations.take(
            session, desk.tenant.id, number, who, instead_of=instead_of, now=desk.clock.now
        )


def give_back(number: EscalationId, *, who: As) -> None:
    """Let the assistant answer again."""
    asyncio.run(_give_back(number, who))
    typer.echo(f"escalation {number} given back")


async def _give_back(number: str, who: str) -> None:
    async with open_desk() as desk, desk.db.write() as session:
        await escalations.give_back(session, desk.tenant.id, number, who, now=desk.clock.now)


def resolve(
    number: EscalationId,
    *,
    who: As,
    note: Annotated[str | None, typer.Option(help="What came of it.")] = None,
) -> None:
    """Note that you have dealt with it; the lead stays with you."""
    asyncio.run(_resolve(number, who, note))
    typer.echo(f"escalation {number} resolved")


async def _resolve(number: str, who: str, note: str | None) -> None:
    async with open_desk() as desk, desk.db.write() as session:
        await escalations.resolve(
            session, desk.tenant.id, number, who, note=note, now=desk.clock.now
        )


def say(number: EscalationId, words: Annotated[str, typer.Argument()], *, who: As) -> None:
    """Write to the contact of a conversation that you have taken; the server sends it."""
    asyncio.run(_say(number, words, who))
    typer.echo(f"escalation {number}: said")


async def _say(number: str, words: str, who: str) -> None:
    async with open_desk() as desk, desk.db.write() as session:
        row = await escalations.find(session, desk.tenant.id, number)
        conversation = await conversations.by_id(session, row.conversation_id)
        policy = rules.Policy.of(desk.settings)
        await replies.say(session, conversation, words, who, policy=policy, now=desk.clock.now)


app = commands("See who waits for a person; take over, give back.")
add(app, list_, "list")
add(app, take)
add(app, say)
add(app, give_back, "give-back")
add(app, resolve)
