"""How finished leads look on a terminal and in a spreadsheet. Reads nothing, decides nothing."""

import csv
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from ivr.cli.rows import Line, next_attempt
from ivr.cli.story import count
from ivr.cli.terminal import (
    Clock,
    complain,
    one_line,
    pairs,
    plain,
    screen,
    show,
    table,
)
from ivr.db.tables import FailedLead, SubmissionState, SucceededLead
from ivr.leads.delivery.submissions import Outcome
from ivr.spreadsheets import cell

NO_FAILED = "no failed leads; `view_succeeded_leads.py` shows the delivered ones"
NO_SUCCEEDED = "no delivered leads yet; `manage_failed_leads.py list` shows the failed ones"
NONE_MATCH = "no delivered leads match; without --since and --channel all are shown"

_STATES = {
    SubmissionState.PENDING: "due",
    SubmissionState.IN_FLIGHT: "being sent",
    SubmissionState.SUCCEEDED: "submitted",
    SubmissionState.FAILED: "waits for you: retry",
    SubmissionState.AMBIGUOUS: "may be there: ask; if so resolve, else retry --force",
    SubmissionState.HELD: "held back: retry --force or resolve",
    SubmissionState.RESOLVED: "closed",
}


def show_failed(found: Sequence[Line], clock: Clock) -> None:
    """Print the leads that were not delivered: in a pipe one line each."""
    console = screen()
    if not found:
        show(console, Text(NO_FAILED))
        return
    if console.is_terminal:
        grid = table(["id", "caller", "what went wrong"], right=["id"])
        for line in found:
            grid.add_row(str(line.row.id), _who(line, clock), _trouble(line, clock))
    else:
        titles = ["id", "when", "caller", "phone", "missing", "error", "tries", "next"]
        grid = table(titles, right=["id", "tries"])
        for line in found:
            grid.add_row(*_failed_cells(line, clock))
    show(console, grid)


def _who(line: Line, clock: Clock) -> Text:
    """Return who it was and when, below each other, and a blank line before the next one."""
    when = Text(f"{clock.local(_moment(line))}, {clock.relative(_moment(line))}", style="dim")
    who = [Text(line.name or "unknown name"), Text(line.phone or "no number")]
    return Text("\n").join([*who, when, Text()])


def _moment(line: Line) -> datetime:
    row = line.row
    return row.created_at if isinstance(row, FailedLead) else row.submitted_at


def _trouble(line: Line, clock: Clock) -> Text:
    row = line.row
    assert isinstance(row, FailedLead), "the table of failed leads"
    parts = [Text(one_line(row.error_message), style="yellow")]
    if line.missing:
        parts.append(Text(f"missing: {', '.join(line.missing)}", style="red"))
    parts.append(Text(f"{count(line.submission.attempts, 'try', 'tries')}; {_next(line, clock)}"))
    return Text("\n").join([*parts, Text()])


def _failed_cells(line: Line, clock: Clock) -> list[str | Text]:
    row = line.row
    assert isinstance(row, FailedLead), "the table of failed leads"
    return [
        str(row.id),
        clock.both(row.created_at),
        line.name or "-",
        line.phone or "-",
        ", ".join(line.missing) or "-",
        Text(one_line(row.error_message)),
        str(line.submission.attempts),
        _next(line, clock),
    ]


def _next(line: Line, clock: Clock) -> str:
    moment = next_attempt(line)
    if moment is not None:
        return f"next {clock.relative(moment)}" if moment > clock.now else "now due"
    return _STATES.get(SubmissionState(line.submission.state), line.submission.state)


def show_one(line: Line, clock: Clock) -> None:
    """Print everything about one lead that was not delivered."""
    row = line.row
    assert isinstance(row, FailedLead), "only failed leads are shown one by one"
    last = clock.both(row.last_retry_at) if row.last_retry_at else "never"
    grid = pairs(
        [
            ("failed lead", str(row.id)),
            ("when", clock.both(row.created_at)),
            ("error", one_line(row.error_message)),
            ("state", f"{line.submission.state} ({_next(line, clock)})"),
            ("attempts", f"{line.submission.attempts}, last retry: {last}"),
            ("call", f"{row.channel} {line.call}"),
            ("reference", line.submission.reference),
        ]
    )
    if row.resolved:
        grid.add_row("closed", Text(plain(row.resolution or "")))
    console = screen()
    show(console, grid)
    show(console, Text())
    show(console, _lead(line))
    show(console, Text(f"\nmore: ivr explain {line.call}", style="dim"))


def _lead(line: Line) -> Table:
    grid = pairs()
    for name, value in line.data.items():
        if value not in {None, ""}:
            grid.add_row(name, Text(plain(value)))
        elif name in line.missing:
            grid.add_row(name, Text("missing", style="red"))
        else:
            grid.add_row(name, Text("-", style="dim"))
    return grid


def show_outcome(number: int, outcome: Outcome) -> None:
    """Print what an attempt came to: success on stdout, anything else on stderr."""
    if outcome.state is SubmissionState.SUCCEEDED:
        show(screen(), Text(f"failed lead {number} submitted", style="green"))
        return
    then = _STATES[outcome.state]
    if outcome.next_attempt_at is not None:
        then = f"the server tries again at {outcome.next_attempt_at:%Y-%m-%d %H:%M} UTC"
    complain(f"failed lead {number}: {outcome.message}" + (f" ({then})" if then else ""))


def show_sum(states: Sequence[str]) -> None:
    """Print the last line of `retry-all`."""
    counted = Counter(states)
    done = counted.pop(SubmissionState.SUCCEEDED, 0)
    skipped = counted.pop("skipped", 0)
    parts = [f"{done} submitted", f"{counted.total()} not taken", f"{skipped} left alone"]
    show(screen(), Text(", ".join(parts), style="bold"))


def show_succeeded(found: Sequence[Line], clock: Clock, *, is_filtered: bool) -> None:
    """Print the table of leads that the target took."""
    console = screen()
    if not found:
        show(console, Text(NONE_MATCH if is_filtered else NO_SUCCEEDED))
        return
    if console.is_terminal:
        grid = table(["id", "caller", "lead"], right=["id"])
        for line in found:
            grid.add_row(str(line.row.id), _who(line, clock), _delivered(line))
    else:
        grid = table(["id", "when", "caller", "phone", "lead", "missing", "answer"], right=["id"])
        for line in found:
            grid.add_row(*_delivered_cells(line, clock))
    show(console, grid)


def _delivered(line: Line) -> Text:
    parts = [Text(line.rest or "nothing else"), Text(_answer(line), style="dim")]
    if line.missing:
        parts.insert(1, Text(f"missing: {', '.join(line.missing)}", style="red"))
    return Text("\n").join([*parts, Text()])


def _delivered_cells(line: Line, clock: Clock) -> list[str | Text]:
    return [
        str(line.row.id),
        clock.both(_moment(line)),
        line.name or "-",
        line.phone or "-",
        Text(line.rest or "-"),
        ", ".join(line.missing) or "-",
        Text(_answer(line)),
    ]


def _answer(line: Line) -> str:
    """Return the number under which the target keeps the lead, or else its message."""
    row = line.row
    assert isinstance(row, SucceededLead), "only delivered leads were answered"
    number = row.npa_response.get("recordID")
    return (
        f"record {one_line(number)}" if number else one_line(row.npa_response.get("message") or "")
    )


def print_csv(found: Sequence[Line]) -> None:
    """Print delivered leads as CSV; the columns are the owner's, then one for each field."""
    names = list(dict.fromkeys(name for line in found for name in line.data))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    heads = ["id", "submitted_at", "channel", "session_id", "call", *names, "npa_response"]
    writer.writerow(map(cell, heads))
    for line in found:
        row = line.row
        assert isinstance(row, SucceededLead), "only delivered leads are exported"
        cells = [row.id, f"{row.submitted_at:%Y-%m-%dT%H:%M:%SZ}", row.channel, row.session_id]
        fields = [line.data.get(name) or "" for name in names]
        writer.writerow(map(cell, [*cells, line.call, *fields, _answer(line)]))
