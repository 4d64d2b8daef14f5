"""`ivr explain CALLSID`: what happened in a call and why its lead looks as it does."""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ivr.cli import story
from ivr.cli.desk import open_desk
from ivr.cli.story import Story
from ivr.cli.terminal import (
    Clock,
    JsonFlag,
    one_line,
    pairs,
    phone,
    plain,
    print_json,
    screen,
    show,
    table,
)
from ivr.costs import summary
from ivr.db.tables import (
    Channel,
    Conversation,
    FieldValue,
    Role,
    Source,
    SubmissionAttempt,
    UsageLog,
)
from ivr.leads import values

_TRIES = frozenset({Source.TOOL, Source.TYPED})


def explain_call(
    call_sid: Annotated[
        str,
        typer.Argument(help="The CallSid, as Twilio and the logs show it, or a conversation_id."),
    ],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Tell what happened in a call, and why its lead looks so."""
    asyncio.run(_explain(call_sid, as_json=as_json))


async def _explain(call_sid: str, *, as_json: bool) -> None:
    async with open_desk() as desk:
        async with desk.db.read() as session:
            told = await story.read(session, desk.tenant, call_sid)
        if as_json:
            print_json(document(told, desk.clock))
            return
        console = screen()
        for title, body in sections(told, desk.clock):
            show(console, Text(title, style="bold"))
            show(console, Padding(body, (0, 0, 1, 2), expand=False))


def sections(told: Story, clock: Clock) -> list[tuple[str, RenderableType]]:
    """Return the headed parts of the answer, those that have something to say."""
    parts: list[tuple[str, RenderableType]] = [
        (_headline(told), _facts(told, clock)),
        ("Checks", _checks(told)),
        ("Transcript", _transcript(told, clock)),
        ("Fields", _fields(told)),
        ("Extraction", _extraction(told)),
        ("Moves", _moves(told, clock)),
        ("Submission", _submissions(told, clock)),
    ]
    if told.costs:
        parts.append(("Costs", _costs(told)))
    if told.tasks:
        parts.append(("Tasks", _tasks(told, clock)))
    if told.escalations:
        parts.append(("Escalations", _escalations(told, clock)))
    return [*parts, ("Next", _lines(story.next_steps(told, clock)))]


def _headline(told: Story) -> str:
    return f"{told.conversation.channel} {told.conversation.session_key}"


def _lines(lines: list[str]) -> Text:
    return Text(plain("\n".join(lines)))


def _facts(told: Story, clock: Clock) -> Table:
    call = told.conversation
    rows = [
        ("from", phone(call.from_number) or "a withheld number"),
        ("to", phone(call.to_number)),
        ("began", clock.both(call.started_at)),
    ]
    if call.ended_at is not None:
        length = (call.ended_at - call.started_at).total_seconds()
        rows.append(("ended", f"{clock.zoned(call.ended_at)}, after {length:.0f} s"))
    if call.end_reason is not None or not told.is_open:
        rows.append(("how", story.ending(call.end_reason)))
    if call.line_closed_at is None and call.channel == Channel.VOICE:
        rows.append(("line", _line(call, clock)))
    if call.episode > 1:
        rows.append(("episodes", str(call.episode)))
    lead = told.lead
    rows.append(("lead", f"{lead.stage}, {lead.lifecycle}, {lead.status}; asked by {lead.profile}"))
    rows.append(("lead id", str(lead.id)))
    rows += [("usage", words) for words in [_usage(call.usage)] if words]
    return pairs(rows)


def _line(call: Conversation, clock: Clock) -> str:
    """Say what is known of a phone call that Twilio has not said to be over."""
    if call.line_due_at is None:
        return "Twilio never said that the call is over: look for it there"
    tried = f", after {call.line_tries} tries that failed" if call.line_tries else ""
    return f"open as far as we know; Twilio is asked at {clock.zoned(call.line_due_at)}{tried}"


def _usage(usage: dict[str, Any]) -> str:
    """Return the sums that were kept, e.g. `voice: audio in 812; extraction: ...`."""
    flat = {key: value for key, value in usage.items() if not isinstance(value, dict)}
    parts = [(key, value) for key, value in usage.items() if isinstance(value, dict)]
    groups = [*([("", flat)] if flat else []), *parts]
    return "; ".join(
        f"{name + ': ' if name else ''}{_amounts(amounts)}" for name, amounts in groups
    )


def _amounts(amounts: dict[str, Any]) -> str:
    shown = {key: value for key, value in amounts.items() if value}
    return ", ".join(_amount(key, value) for key, value in shown.items()) or "nothing"


def _amount(key: str, value: Any) -> str:
    return (
        f"{key.replace('_', ' ')} {value:g}" if isinstance(value, float | int) else f"{key} {value}"
    )


def _checks(told: Story) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for check in story.five_checks(told):
        mark = Text("✔", style="green") if check.ok else Text("✘", style="red")
        grid.add_row(mark, check.question, Text(plain(check.answer)))
    return grid


def _transcript(told: Story, clock: Clock) -> RenderableType:
    if not told.turns:
        return Text("nobody said a word")
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(2):
        grid.add_column(style="dim", no_wrap=True)
    for turn in told.turns:
        words = Text(one_line(turn.text))
        if turn.cut:
            heard = "" if turn.heard_ms is None else f", {turn.heard_ms / 1000:.1f} s were heard"
            words.append(f" [cut off{heard}]", style="yellow")
        who = "caller" if turn.role == Role.CALLER else turn.role
        grid.add_row(clock.to_the_second(turn.said_at), who, words)
    return grid


def _fields(told: Story) -> Table:
    known = values.choose(told.values)
    grid = table(["field", "value", "source", "tries", "why"], right=["tries"])
    for name in told.fields:
        rows = [row for row in told.values if row.name == name]
        tries = sum(row.source in _TRIES for row in rows)
        grid.add_row(
            name,
            _value(known.get(name), is_missing=name in told.missing),
            _source(known.get(name), told),
            str(tries or ""),
            Text("\n".join(_reasons(rows, known.get(name)))),
        )
    return grid


def _value(row: FieldValue | None, *, is_missing: bool) -> Text:
    if row is None:
        return Text("missing" if is_missing else "-", style="red" if is_missing else "dim")
    return Text(one_line(row.value))


def _source(row: FieldValue | None, told: Story) -> str:
    if row is None:
        return ""
    earlier = "" if row.conversation_id == told.conversation.id else ", another conversation"
    return story.SOURCES.get(Source(row.source), row.source) + earlier


def _reasons(rows: list[FieldValue], chosen: FieldValue | None) -> list[str]:
    """Return the quote behind the value, what was refused, and the values that lost against it."""
    lines = [f'"{one_line(chosen.quote)}"'] if chosen is not None and chosen.quote else []
    for row in rows:
        if row.problem:
            lines.append(f'refused "{one_line(row.raw)}": {one_line(row.problem)}')
        elif row.value is not None and chosen is not None and row.value != chosen.value:
            source = story.SOURCES.get(Source(row.source), row.source)
            lines.append(f"not {one_line(row.value)} ({source})")
    return list(dict.fromkeys(lines))


def _extraction(told: Story) -> RenderableType:
    if not told.extractions:
        return Text("none so far")
    grid = table(["model", "prompt", "tokens in", "out", "result"], right=["tokens in", "out"])
    notes = []
    for run in told.extractions:
        for request in run.get("requests", []):
            grid.add_row(*_request(request))
        for name, answers in run.get("disputed", {}).items():
            readings = " / ".join(one_line(answer or "nothing") for answer in answers)
            notes.append(f"disagreement on {name}: {readings}")
        if run.get("by") != "model":
            notes.append(f"the fields were read by {run.get('by', 'nobody')}")
    return Group(*([grid] if grid.row_count else []), *([_lines(notes)] if notes else []))


def _request(request: dict[str, Any]) -> list[str]:
    return [
        f"{request.get('provider', '')} {request.get('model', '')}".strip(),
        str(request.get("prompt", "")),
        str(request.get("input_tokens", "")),
        str(request.get("output_tokens", "")),
        one_line(request.get("problem") or "usable"),
    ]


def _costs(told: Story) -> RenderableType:
    grid = table(["what", "model", "quantities", "cost"], right=["cost"])
    for row in told.costs:
        what = f"{row.kind}: {row.purpose}"
        grid.add_row(what, f"{row.provider} {row.model}", _amounts(row.quantities), _price(row))
    total = summary.of_rows(told.costs)
    known = f"${total.usd}"
    more = f", and {total.unpriced} without a known price" if total.unpriced else ""
    return Group(grid, _lines([f"in all {known}{more}"]))


def _price(row: UsageLog) -> str:
    return "unknown" if row.cost_micros is None else f"${summary.as_usd(row.cost_micros)}"


def _moves(told: Story, clock: Clock) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for move in sorted(told.transitions, key=lambda row: (row.at, row.axis, row.seq)):
        change = f"{move.from_value} → {move.to_value}" if move.from_value else move.to_value
        why = Text(f"{move.actor}: {plain(move.reason)}", style="dim")
        grid.add_row(clock.local(move.at), move.axis, change, why)
    return grid


def _tasks(told: Story, clock: Clock) -> Text:
    lines = []
    for task in told.tasks:
        done = f"done {clock.local(task.done_at)} {task.note or ''}" if task.done_at else "open"
        lines.append(f"{story.short_id(task)}  {story.task_word(task)}; {one_line(done)}")
    return _lines(lines)


def _escalations(told: Story, clock: Clock) -> Text:
    lines = []
    for row in told.escalations:
        why = f"{row.trigger.replace('_', ' ')}: {one_line(row.reason)}"
        came_of_it = one_line(row.resolution or row.state)
        lines.append(f"{clock.local(row.created_at)}  {why}; {came_of_it}")
    return _lines(lines)


def _submissions(told: Story, clock: Clock) -> RenderableType:
    if not told.submissions:
        return Text("none")
    parts: list[RenderableType] = []
    for row in told.submissions:
        parts.append(Text(f"to {row.target.upper()}: {row.state}, reference {row.reference}"))
        grid = Table.grid(padding=(0, 2, 0, 0))
        for attempt in told.attempts:
            if attempt.submission_id == row.id:
                grid.add_row(*_attempt(attempt, clock))
        parts.append(grid)
    return Group(*parts)


def _attempt(attempt: SubmissionAttempt, clock: Clock) -> list[str | Text]:
    status = f"HTTP {attempt.status_code}" if attempt.status_code else ""
    answer = attempt.error or attempt.response or ""
    return [
        str(attempt.number),
        clock.local(attempt.started_at),
        f"by {attempt.actor}",
        attempt.outcome or "no answer yet",
        Text(" ".join(part for part in (status, one_line(answer)) if part)),
    ]


def document(told: Story, clock: Clock) -> dict[str, Any]:
    """Return the whole story as JSON's types; keys are stable."""
    call = told.conversation
    known = values.choose(told.values)
    total = summary.of_rows(told.costs)
    return {
        "call": call.model_dump(exclude={"state", "usage"}),
        "lead": told.lead.model_dump(),
        "checks": [asdict(check) for check in story.five_checks(told)],
        "next": story.next_steps(told, clock),
        "fields": {name: _field_document(known.get(name), told, name) for name in told.fields},
        "missing": told.missing,
        "turns": [row.model_dump(exclude={"id", "tenant_id"}) for row in told.turns],
        "values": [row.model_dump(exclude={"tenant_id"}) for row in told.values],
        "extractions": told.extractions,
        "transitions": [row.model_dump(exclude={"tenant_id"}) for row in told.transitions],
        "submissions": [row.model_dump(exclude={"tenant_id"}) for row in told.submissions],
        "attempts": [row.model_dump(exclude={"tenant_id"}) for row in told.attempts],
        "reviews": [row.model_dump(exclude={"tenant_id"}) for row in told.reviews],
        "tasks": [row.model_dump(exclude={"tenant_id"}) for row in told.tasks],
        "escalations": [row.model_dump(exclude={"tenant_id"}) for row in told.escalations],
        "usage": call.usage,
        "costs": [row.model_dump(exclude={"tenant_id", "source_key"}) for row in told.costs],
        "cost": {**asdict(total), "usd": total.usd},
    }


def _field_document(row: FieldValue | None, told: Story, name: str) -> dict[str, Any]:
    tries = sum(item.name == name and item.source in _TRIES for item in told.values)
    if row is None:
        return {"value": None, "source": None, "quote": None, "tries": tries}
    return {"value": row.value, "source": row.source, "quote": row.quote, "tries": tries}
