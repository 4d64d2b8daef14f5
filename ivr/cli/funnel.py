"""`ivr stages`: where the leads stand, a stage set by hand, the old store's file in and out."""

import asyncio
import json
from functools import cache
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.text import Text

from ivr.cli.desk import Desk, open_desk
from ivr.cli.terminal import (
    JsonFlag,
    add,
    commands,
    one_line,
    print_json,
    screen,
    show,
    span,
    table,
)
from ivr.errors import BadRequest, NotFound
from ivr.leads.attention import review
from ivr.leads.delivery.handover import profile_of
from ivr.leads.profile import Profile, load_profile
from ivr.leads.progress import exchange, funnel, funnel_analysis, imported, stages
from ivr.leads.progress.exchange import Outcome
from ivr.leads.progress.funnel import Entry, Page, Stats
from ivr.leads.progress.funnel_analysis import Analysis

ACTOR = "operator"

_profiles = cache(load_profile)

Pipeline = Annotated[
    str | None, typer.Option(metavar="PROFILE", help="Another profile than the business's own.")
]
ConversationId = Annotated[
    str, typer.Argument(metavar="CONVERSATION", help="The conversation's id, or a call's CallSid.")
]


def stats(*, pipeline: Pipeline = None, as_json: JsonFlag = False) -> None:
    """Count the leads in each stage; how long they stay there, and how many go on."""
    asyncio.run(_stats(pipeline, as_json=as_json))


async def _stats(pipeline: str | None, *, as_json: bool) -> None:
    async with open_desk() as desk, desk.db.read() as session:
        profile = _profile(desk, pipeline)
        counted = await funnel.stats(session, desk.tenant.id, profile)
        found = await funnel_analysis.analysis(session, desk.tenant.id, profile)
    if as_json:
        print_json(_stats_document(counted, found))
    else:
        _show_stats(counted, found)


def _stats_document(counted: Stats, found: Analysis) -> dict[str, Any]:
    return {
        "total_leads": counted.total_leads,
        "by_stage": counted.by_stage,
        "conversion_rate": counted.conversion_rate,
        "stages": [
            {
                "stage": one.stage,
                "average_seconds": one.average_seconds,
                "median_seconds": one.median_seconds,
                "reached": one.reached,
                "conversion_rate": one.conversion_rate,
                "moved_on_rate": one.moved_on_rate,
            }
            for one in found.stages
        ],
        "bottleneck": found.bottleneck,
        "slowest": found.slowest,
    }


def _show_stats(counted: Stats, found: Analysis) -> None:
    numbers = ["leads", "reached", "went on", "won", "stay"]
    grid = table(["stage", *numbers], right=numbers)
    figures = {one.stage: one for one in found.stages}
    for stage, count in counted.by_stage.items():
        one = figures.get(stage)
        cells = ["", "", "", ""]
        if one is not None:
            rates = f"{one.moved_on_rate:.1f} %", f"{one.conversion_rate:.1f} %"
            stay = "-" if one.average_seconds is None else span(one.average_seconds)
            cells = [str(one.reached), *rates, stay]
        grid.add_row(stage, str(count), *cells)
    show(screen(), grid)
    total = f"{counted.total_leads} leads, {counted.conversion_rate:.1f} % won"
    if found.bottleneck is not None:
        total += f"; most stay behind in {found.bottleneck}"
    show(screen(), Text(total))


def list_(
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="As `stats` names it.")],
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    offset: Annotated[int, typer.Option(min=0, help="Leave so many out first.")] = 0,
    pipeline: Pipeline = None,
    as_json: JsonFlag = False,
) -> None:
    """List the leads in a stage, oldest first."""
    asyncio.run(_list(stage, limit, offset, pipeline, as_json=as_json))


async def _list(
    stage: str, limit: int, offset: int, pipeline: str | None, *, as_json: bool
) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            profile = _profile(desk, pipeline)
            page = await funnel.by_stage(
                session, desk.tenant.id, profile, stage, limit=limit, offset=offset
            )
        if as_json:
            print_json(_page_document(page))
        else:
            _show_page(desk, page)


def _page_document(page: Page) -> dict[str, Any]:
    leads = [
        {
            "conversation_id": line.conversation_id,
            "lead_id": line.lead_id,
            "stage": line.stage,
            "stage_updated_at": line.stage_updated_at,
            "created_at": line.created_at,
            "lead_data": line.lead_data,
        }
        for line in page.leads
    ]
    return {"stage": page.stage, "count": page.count, "leads": leads}


def _show_page(desk: Desk, page: Page) -> None:
    grid = table(["conversation", "since", "what is known"])
    for line in page.leads:
        known = ", ".join(one_line(it) for it in line.lead_data.values() if it and it is not True)
        since = desk.clock.relative(line.stage_updated_at)
        grid.add_row(str(line.conversation_id or "-"), since, Text(known or "-"))
    if page.leads:
        show(screen(), grid)
    show(screen(), Text(f"{page.count} in {page.stage}"))


def show_(conversation: ConversationId, *, as_json: JsonFlag = False) -> None:
    """Show where the lead of one conversation stands, and how it came there."""
    asyncio.run(_show(conversation, as_json=as_json))


async def _show(name: str, *, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            found, lead = await funnel.conversation_of(session, desk.tenant.id, name)
            data = await funnel.data_of(session, _profiles, desk.tenant, lead)
            entries = await funnel.history(session, lead.id)
        if as_json:
            document = {"conversation_id": found.id, "stage": lead.stage, "lead_data": data}
            print_json({**document, "stage_history": [_entry_document(one) for one in entries]})
        else:
            _show_history(desk, data, entries)


def _entry_document(one: Entry) -> dict[str, Any]:
    return {"stage": one.stage, "timestamp": one.at, "actor": one.actor, "reason": one.reason}


def _show_history(desk: Desk, data: dict[str, Any], entries: list[Entry]) -> None:
    grid = table(["stage", "since", "by", "why"])
    for one in entries:
        grid.add_row(one.stage, desk.clock.both(one.at), one.actor, Text(one_line(one.reason)))
    show(screen(), grid)
    known = table(["field", "value"])
    for name, value in data.items():
        known.add_row(name, Text("-" if value is None else one_line(value)))
    show(screen(), known)


def set_(
    conversation: ConversationId,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="As `stats` names it.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the history.")] = "set by hand",
) -> None:
    """Put the lead of one conversation into a stage, where it stays."""
    asyncio.run(_set(conversation, stage, reason.strip()))
    typer.echo(f"{conversation} stands in {stage}")


async def _set(name: str, stage: str, reason: str) -> None:
    if not reason:
        raise BadRequest("--reason: expected a few words")
    async with open_desk() as desk, desk.db.write() as session:
        _, lead = await funnel.conversation_of(session, desk.tenant.id, name, lock=True)
        profile = profile_of(_profiles, desk.tenant, lead)
        now = desk.clock.now
        await stages.pin(session, lead, profile, stage, actor=ACTOR, reason=reason, now=now)
        await review.let_go(session, lead, profile, now=now)


def release(conversation: ConversationId) -> None:
    """Let the stage of one conversation's lead follow from what is known again."""
    stage = asyncio.run(_release(conversation))
    typer.echo(f"{conversation} stands in {stage}")


async def _release(name: str) -> str:
    async with open_desk() as desk, desk.db.write() as session:
        _, lead = await funnel.conversation_of(session, desk.tenant.id, name, lock=True)
        profile = profile_of(_profiles, desk.tenant, lead)
        now, reason = desk.clock.now, "let go by hand"
        await stages.unpin(session, lead, profile, actor=ACTOR, reason=reason, now=now)
        await review.let_go(session, lead, profile, now=now)
        return lead.stage


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="conversations_metadata.json")],
    *,
    pipeline: Pipeline = None,
) -> None:
    """Bring in the conversations of an older system; a second time nothing changes."""
    outcome = asyncio.run(_import(file, pipeline))
    typer.echo(f"{outcome.added} conversations imported, {outcome.known} were here already")


async def _import(file: Path, pipeline: str | None) -> Outcome:
    async with open_desk() as desk:
        profile, zone = _profile(desk, pipeline), ZoneInfo(desk.tenant.timezone)
        records = imported.read(_text(file), profile, zone, now=desk.clock.now)
        return await exchange.bring_in(desk.db, desk.tenant, profile, records, now=desk.clock.now)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"no file {file}") from None
    except (OSError, UnicodeDecodeError) as exc:
        raise BadRequest(f"{file}: cannot be read: {exc}") from exc


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Must not be there yet.")],
    *,
    pipeline: Pipeline = None,
) -> None:
    """Write all conversations with stage, history and data into a file, as the old store did."""
    count = asyncio.run(_export(file, pipeline))
    typer.echo(f"{count} conversations written to {file}")


async def _export(file: Path, pipeline: str | None) -> int:
    async with open_desk() as desk, desk.db.read() as session:
        document = await exchange.take_out(session, desk.tenant, _profile(desk, pipeline))
    try:
        with file.open("x", encoding="utf-8") as target:
            json.dump(document, target, indent=2, ensure_ascii=False)
    except OSError as exc:
        raise BadRequest(f"{file}: cannot be written: {exc.strerror}") from exc
    return len(document)


def _profile(desk: Desk, pipeline: str | None) -> Profile:
    return funnel.pipeline(_profiles, desk.tenant, pipeline)


app = commands("See and change where leads stand; import and export.")
add(app, stats)
add(app, list_, "list")
add(app, show_, "show")
add(app, set_, "set")
add(app, release)
add(app, import_, "import")
add(app, export)
