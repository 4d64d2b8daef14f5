"""`ivr rules`: what a business makes of a lead whose fields are so."""

import asyncio
from typing import Annotated, Any

import typer
from rich.text import Text

from ivr.cli.desk import Desk, open_desk
from ivr.cli.terminal import JsonFlag, add, commands, one_line, print_json, screen, show, table
from ivr.db.tables import QualificationRule
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.leads.profile import load_profile, tenant_profile
from ivr.leads.progress import qualification_rules
from ivr.leads.progress.qualification import Op
from ivr.leads.progress.qualification_rules import Draft

SHORT = 8  # characters of an id that are shown, and are enough

RuleId = Annotated[str, typer.Argument(metavar="ID", help="The id that `ivr rules list` shows.")]
When = Annotated[
    list[str],
    typer.Option(
        "--when", metavar="'FIELD OP VALUE'", help="For example 'budget at_least 500000 SAR'."
    ),
]


def list_(*, as_json: JsonFlag = False) -> None:
    """List the rules in the order in which they are asked."""
    asyncio.run(_list(as_json=as_json))


async def _list(*, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            found = await qualification_rules.of_tenant(session, desk.tenant.id)
    if as_json:
        print_json([row.model_dump(mode="json", exclude={"tenant_id"}) for row in found])
        return
    console = screen()
    if not found:
        show(console, Text("no rules: all required fields qualify a lead"))
        return
    grid = table(["id", "position", "rule", "when", "then"])
    for row in found:
        name = one_line(row.name if row.is_active else f"{row.name} (off)")
        grid.add_row(
            str(row.id)[:SHORT], str(row.position), Text(name), Text(_when(row)), row.outcome
        )
    show(console, grid)


def _when(row: QualificationRule) -> str:
    word = "or" if "any" in row.conditions else "and"
    entries: list[dict[str, Any]] = row.conditions.get("any") or row.conditions.get("all") or []
    said = (f"{it['field']} {it['op']} {_said(it.get('value'))}".strip() for it in entries)
    return one_line(f" {word} ".join(said))


def _said(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def add_rule(
    name: Annotated[str, typer.Argument(help="What it is called where it has decided.")],
    outcome: Annotated[str, typer.Argument(help="QUALIFIED, NURTURING or DISQUALIFIED.")],
    when: When,
    *,
    is_any: Annotated[bool, typer.Option("--any", help="One of them is enough.")] = False,
    reason: Annotated[str, typer.Option(help="Kept with a lead that does not fit.")] = "",
    position: Annotated[int | None, typer.Option(min=1, help="Behind all others else.")] = None,
) -> None:
    """Add a rule: the first that fits decides."""
    conditions = {"any" if is_any else "all": [_condition(words) for words in when]}
    draft = Draft(
        name=name, outcome=outcome, conditions=conditions, reason=reason, position=position
    )
    row = asyncio.run(_add(draft))
    typer.echo(f"rule {str(row.id)[:SHORT]} added at position {row.position}")


async def _add(draft: Draft) -> QualificationRule:
    async with open_desk() as desk, desk.db.write() as session:
        profile = tenant_profile.own(load_profile, desk.tenant)
        return await qualification_rules.add(
            session, desk.tenant.id, profile, draft, now=desk.clock.now
        )


def _condition(words: str) -> dict[str, Any]:
    """Return "budget at_least 500000 SAR" as a condition; the values of `one_of` have commas."""
    name, op, value = [*words.split(maxsplit=2), "", ""][:3]
    if not op:
        raise BadRequest(f"--when: expected 'FIELD OP VALUE', OP one of {', '.join(Op)}")
    given: Any = value.strip() or None
    if op == Op.ONE_OF:
        given = [part.strip() for part in value.split(",") if part.strip()]
    elif name == "score" and value.isdecimal():
        given = int(value)
    return {"field": name, "op": op, "value": given}


def remove(number: RuleId) -> None:
    """Remove a rule; what it has done to leads stays."""
    asyncio.run(_remove(number))
    typer.echo(f"rule {number} removed")


async def _remove(number: str) -> None:
    async with open_desk() as desk, desk.db.write() as session:
        await session.delete(await _named(desk, session, number))


async def _named(desk: Desk, session: Any, number: str) -> QualificationRule:
    rules = await qualification_rules.of_tenant(session, desk.tenant.id)
    found = [row for row in rules if number and str(row.id).startswith(number.lower())]
    if len(found) > 1:
        raise Conflict(f"several rules begin with {number}: more of the id is needed")
    if not found:
        raise NotFound(f"no rule {number}: `ivr rules list` shows which there are")
    return found[0]


app = commands("Say which leads are qualified, nurtured, or do not fit.")
add(app, list_, "list")
add(app, add_rule, "add")
add(app, remove)
