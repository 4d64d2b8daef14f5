"""`ivr leads`, `manage_failed_leads.py` and `view_succeeded_leads.py`: what became of the leads.

Works beside a running server and while it is down: every command is its own transaction, and a
retry claims its row like everybody else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cache
from typing import Annotated

import httpx
import typer

from ivr.cli import leads_view
from ivr.cli.desk import Desk, Slug, choose, open_desk
from ivr.cli.forget import forget
from ivr.cli.period import since as moment_of
from ivr.cli.rows import Line, failed_document, lines, succeeded_document
from ivr.cli.terminal import BROKEN, JsonFlag, add, commands, complain, print_json
from ivr.db.tables import SubmissionState, utc_now
from ivr.errors import BadRequest, IvrError
from ivr.leads.delivery import ledger
from ivr.leads.delivery.submissions import Outcome, Submissions
from ivr.leads.profile import load_profile
from ivr.tenants import DEFAULT

# What retry-all leaves alone: the target may have the lead already, or it is held back.
NEEDS_FORCE = frozenset({SubmissionState.AMBIGUOUS, SubmissionState.HELD})

LeadId = Annotated[int, typer.Argument(metavar="ID", help="The id that `list` shows.")]
Force = Annotated[
    bool,
    typer.Option("--force", help="Send it even if the buyer may have it, or it is held back."),
]
Since = Annotated[
    str | None, typer.Option(metavar="24h|7d", help="Only those of the last hours or days.")
]
InChannel = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only those of one channel, like voice.")
]
Export = Annotated[
    str | None, typer.Option(metavar="csv|json", help="Print for a spreadsheet or a program.")
]


def list_(
    *,
    everything: Annotated[bool, typer.Option("--all", help="The closed ones as well.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the leads that were not delivered, oldest first."""
    asyncio.run(_list(everything=everything, as_json=as_json))


async def _list(*, everything: bool, as_json: bool) -> None:
    async with open_desk() as desk:
        found = await _failed(desk, everything=everything)
    if as_json:
        print_json([failed_document(line) for line in found])
    else:
        leads_view.show_failed(found, desk.clock)


async def _failed(desk: Desk, *, everything: bool = False) -> list[Line]:
    async with desk.db.read() as session:
        rows = await ledger.failed(session, desk.tenant.id, include_resolved=everything)
        return await lines(session, desk.tenant, rows)


def show(number: LeadId, *, as_json: JsonFlag = False) -> None:
    """Show everything about one lead that was not delivered."""
    asyncio.run(_show(number, as_json=as_json))


async def _show(number: int, *, as_json: bool) -> None:
    async with open_desk() as desk:
        line = await _one(desk, number)
    if as_json:
        print_json(failed_document(line))
    else:
        leads_view.show_one(line, desk.clock)


async def _one(desk: Desk, number: int) -> Line:
    async with desk.db.read() as session:
        entry, _ = await ledger.find_failed(session, desk.tenant.id, number)
        (line,) = await lines(session, desk.tenant, [entry])
        return line


def retry(number: LeadId, *, force: Force = False, as_json: JsonFlag = False) -> None:
    """Send one lead again, now.

    Exit code 1 when it was not taken.
    """
    outcome = asyncio.run(_retry(number, force=force))
    if as_json:
        print_json(_outcome_document(number, outcome))
    else:
        leads_view.show_outcome(number, outcome)
    raise typer.Exit(0 if _is_delivered(outcome) else BROKEN)


async def _retry(number: int, *, force: bool) -> Outcome:
    async with open_desk() as desk, _submissions(desk) as submissions:
        return await submissions.retry(desk.tenant.id, number, force=force)


@asynccontextmanager
async def _submissions(desk: Desk) -> AsyncIterator[Submissions]:
    async with httpx.AsyncClient() as http:
        yield Submissions(desk.db, http, desk.settings, cache(load_profile))


def _is_delivered(outcome: Outcome) -> bool:
    return outcome.state is SubmissionState.SUCCEEDED


def _outcome_document(number: int | None, outcome: Outcome) -> dict[str, object]:
    return {
        "id": number,
        "state": outcome.state,
        "message": outcome.message,
        "next_attempt_at": outcome.next_attempt_at,
    }


def retry_all(*, as_json: JsonFlag = False) -> None:
    """Send every open lead again, save those that need --force."""
    is_clean = asyncio.run(_retry_all(as_json=as_json))
    raise typer.Exit(0 if is_clean else BROKEN)


async def _retry_all(*, as_json: bool) -> bool:
    """Return whether every lead that was sent was taken."""
    async with open_desk() as desk, _submissions(desk) as submissions:
        open_ones = await _failed(desk)
        if not open_ones and not as_json:
            leads_view.show_failed([], desk.clock)
        results = [await _retry_one(desk, submissions, line, as_json=as_json) for line in open_ones]
    if as_json:
        print_json(results)
    elif results:
        leads_view.show_sum([str(result["state"]) for result in results])
    return all(result["state"] in {SubmissionState.SUCCEEDED, "skipped"} for result in results)


async def _retry_one(
    desk: Desk, submissions: Submissions, line: Line, *, as_json: bool
) -> dict[str, object]:
    """Send one; what stands against it is told and does not stop the others."""
    number = line.row.id
    assert number is not None, "a row that was read has an id"
    if line.submission.state in NEEDS_FORCE:
        return _skipped(number, f"needs `retry {number} --force`", as_json=as_json)
    try:
        outcome = await submissions.retry(desk.tenant.id, number)
    except IvrError as exc:
        why = str(exc).replace(f"failed lead {number}", "it", 1)
        return _skipped(number, why, as_json=as_json)
    if not as_json:
        leads_view.show_outcome(number, outcome)
    return _outcome_document(number, outcome)


def _skipped(number: int, why: str, *, as_json: bool) -> dict[str, object]:
    if not as_json:
        complain(f"failed lead {number} left alone: {why}")
    return {"id": number, "state": "skipped", "message": why, "next_attempt_at": None}


def resolve(
    number: LeadId,
    *,
    note: Annotated[str, typer.Option(help="Why it needs no sending; kept with the lead.")],
    as_json: JsonFlag = False,
) -> None:
    """Close one lead without sending it.

    One that may have arrived counts as arrived: if that person calls again, it is a new lead.
    """
    if not note.strip():
        raise BadRequest("--note: expected a few words on why it needs no sending")
    line = asyncio.run(_resolve(number, note.strip()))
    if as_json:
        print_json(failed_document(line))
    else:
        typer.echo(f"failed lead {number} closed: {note.strip()}")


async def _resolve(number: int, note: str) -> Line:
    async with open_desk() as desk:
        async with desk.db.write() as session:
            await ledger.resolve(session, desk.tenant.id, number, note, now=desk.clock.now)
        return await _one(desk, number)


def succeeded(
    *,
    since: Since = None,
    channel: InChannel = None,
    export: Export = None,
    as_json: JsonFlag = False,
) -> None:
    """List the leads that the buyer took, newest first."""
    if export not in {None, "csv", "json"}:
        raise BadRequest("--export: expected csv or json")
    form = "json" if as_json and export is None else export
    begin = None if since is None else moment_of(since, now=utc_now())
    asyncio.run(_succeeded(begin, channel, form))


def succeeded_of(
    *,
    tenant: Slug = DEFAULT,
    since: Since = None,
    channel: InChannel = None,
    export: Export = None,
    as_json: JsonFlag = False,
) -> None:
    """List the leads that the buyer took, newest first."""
    choose(tenant=tenant)
    succeeded(since=since, channel=channel, export=export, as_json=as_json)


async def _succeeded(since: datetime | None, channel: str | None, form: str | None) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            rows = await ledger.succeeded(session, desk.tenant.id, since=since, channel=channel)
            found = await lines(session, desk.tenant, rows)
    match form:
        case "json":
            print_json([succeeded_document(line) for line in found])
        case "csv":
            leads_view.print_csv(found)
        case _:
            leads_view.show_succeeded(
                found, desk.clock, is_filtered=since is not None or channel is not None
            )


def _with_failed(app: typer.Typer) -> typer.Typer:
    add(app, list_, "list")
    for command in (show, retry, retry_all, resolve):
        add(app, command)
    return app


app = _with_failed(commands("See which finished leads were delivered, and retry others."))
add(app, succeeded)
add(app, forget)

failed_app = _with_failed(commands("Look after the leads that were not delivered."))
failed_app.callback()(choose)

succeeded_app = commands("")
add(succeeded_app, succeeded_of, "succeeded")
