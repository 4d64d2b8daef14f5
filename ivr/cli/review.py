"""`ivr review`: questions that only a person can answer, and the answers."""

import asyncio
from functools import cache
from typing import Annotated, Any

import typer
from rich.text import Text

from ivr.cli import merges
from ivr.cli.desk import Desk, open_desk
from ivr.cli.terminal import JsonFlag, add, commands, one_line, print_json, screen, show, table
from ivr.db.engine import despite_races
from ivr.db.tables import Conversation, ReviewItem, ReviewKind
from ivr.errors import BadRequest
from ivr.leads.attention import merge_review, opt_out_review, review
from ivr.leads.profile import load_profile

ItemId = Annotated[int, typer.Argument(metavar="ID", help="The id that `ivr review list` shows.")]
Answers = Annotated[
    list[str], typer.Argument(metavar="FIELD=VALUE...", help="What the caller really said.")
]


def list_(*, as_json: JsonFlag = False) -> None:
    """List what waits for a person, oldest first."""
    asyncio.run(_list(as_json=as_json))


async def _list(*, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            items = await review.open_items(session, desk.tenant.id)
            calls = [await session.get_one(Conversation, item.conversation_id) for item in items]
        found = list(zip(items, calls, strict=True))
        if as_json:
            print_json([_document(item, call) for item, call in found])
        else:
            _print(desk, found)


def _document(item: ReviewItem, call: Conversation) -> dict[str, Any]:
    return {
        "id": item.id,
        "created_at": item.created_at,
        "kind": item.kind,
        "call": call.session_key,
        "lead_id": item.lead_id,
        "submission_id": item.submission_id,
        "detail": item.detail,
    }


def _print(desk: Desk, found: list[tuple[ReviewItem, Conversation]]) -> None:
    console = screen()
    if not found:
        show(console, Text("nothing waits for a person"))
        return
    grid = table(["id", "call", "question"], right=["id"])
    for item, call in found:
        where = f"{call.session_key}\n{desk.clock.both(item.created_at)}\n"
        if not console.is_terminal:
            where = f"{call.session_key}  {desk.clock.both(item.created_at)}"
        separator = "\n" if console.is_terminal else "; "
        grid.add_row(str(item.id), where, Text(separator.join(_question(item))))
    show(console, grid)
    show(console, Text("`ivr explain CALL` shows the transcript", style="dim"))


def _question(item: ReviewItem) -> list[str]:
    if item.kind == ReviewKind.MERGE:
        return _about_people(item)
    if item.kind == ReviewKind.OPT_OUT:
        words = one_line(item.detail.get("words", ""))
        return [f'do they refuse messages? "{words}"', "then `ivr review yes` or `ivr review no`"]
    if item.kind == ReviewKind.AMBIGUOUS_SUBMISSION:
        reason = one_line(item.detail.get("reason", ""))
        return [f"did the buyer take it? {reason}", "then retry --force or resolve the failed lead"]
    return [
        f"{name}: {' or '.join(one_line(answer or 'nothing') for answer in answers)}?"
        for name, answers in item.detail.get("fields", {}).items()
    ]


def _about_people(item: ReviewItem) -> list[str]:
    names = [one_line(name) for name in item.detail["names"] if name]
    shared = item.detail["kind"] or "number"
    return [
        f"one person, or two who share a {shared}? {' and '.join(names)}",
        "then `ivr review same` or `ivr review different`",
    ]


def same(number: ItemId) -> None:
    """Say that the two people in question are one: they become one contact with one lead."""
    asyncio.run(_decide_who(number, are_one=True))
    typer.echo(f"review item {number} decided: one person")


def different(number: ItemId) -> None:
    """Say that the two people in question are two, and stay so."""
    asyncio.run(_decide_who(number, are_one=False))
    typer.echo(f"review item {number} decided: two people")


async def _decide_who(number: int, *, are_one: bool) -> None:
    async def decide(desk: Desk) -> None:
        async with desk.db.write() as session:
            profiles, now = cache(load_profile), desk.clock.now
            await merge_review.decide(
                session, profiles, desk.tenant, number, are_one=are_one, now=now
            )

    async with open_desk() as desk:
        await despite_races(lambda: decide(desk))


def yes(number: ItemId) -> None:
    """Say that they refuse messages: nothing more is written to them, until they allow it."""
    typer.echo(f"review item {number} decided: {asyncio.run(_decide_consent(number, True))}")


def no(number: ItemId) -> None:
    """Say that they do not refuse messages."""
    typer.echo(f"review item {number} decided: {asyncio.run(_decide_consent(number, False))}")


async def _decide_consent(number: int, is_refusal: bool) -> str:
    async def decide(desk: Desk) -> str:
        async with desk.db.write() as session:
            return await opt_out_review.decide(
                session, desk.tenant, number, is_refusal=is_refusal, now=desk.clock.now
            )

    async with open_desk() as desk:
        return await despite_races(lambda: decide(desk))


def decide(number: ItemId, answers: Answers) -> None:
    """Answer a question about fields; a lead that waited for it goes out."""
    freed = asyncio.run(_decide(number, _pairs(answers)))
    then = "; the lead goes out with the server's next beat" if freed else ""
    typer.echo(f"review item {number} decided{then}")


def _pairs(answers: list[str]) -> dict[str, str]:
    pairs = {}
    for answer in answers:
        name, separator, value = answer.partition("=")
        if not separator or not name or not value.strip():
            raise BadRequest(f"{answer}: expected FIELD=VALUE, like vehicle_year=2020")
        pairs[name] = value.strip()
    return pairs


async def _decide(number: int, answers: dict[str, str]) -> bool:
    """Return whether a submission was set free."""
    async with open_desk() as desk, desk.db.write() as session:
        freed = await review.decide_fields(
            session, cache(load_profile), desk.tenant, number, answers, now=desk.clock.now
        )
    return bool(freed)


app = commands("Answer what only a person can decide.")
add(app, list_, "list")
add(app, decide)
add(app, same)
add(app, different)
add(app, yes)
add(app, no)
add(app, merges.list_, "merges")
add(app, merges.split)
