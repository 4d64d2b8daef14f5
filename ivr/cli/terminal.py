"""How the commands talk to an operator: tables, times in words, JSON, errors. No queries.

On a terminal: its width, with colours. In a pipe: no colours, nothing cut, a row is a line.
"""

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand

from ivr.errors import IvrError
from ivr.leads.progress.funnel import international

BROKEN = 1  # the exit code of a command that could not do what it was asked to
_PIPE_WIDTH = 20_000  # in a pipe no line is wrapped; no lead has a line as long as this
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


class Command(TyperCommand):
    """A command whose expected errors are words on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an `IvrError` becomes its words, all else is a bug and shows as one."""
        try:
            return super().invoke(ctx)
        except IvrError as exc:
            complain(str(exc))
            raise typer.Exit(BROKEN) from exc


def commands(help_text: str) -> typer.Typer:
    """Return an empty group of commands in the style of this program."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def add(group: typer.Typer, function: Callable[..., None], name: str | None = None) -> None:
    """Add a command to a group, under the function's own name unless told another."""
    group.command(name, cls=Command)(function)


def screen(*, error: bool = False) -> Console:
    """Return the console to print on; not kept, for pipes and tests swap stdout."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, emoji=False, markup=False)


def show(console: Console, what: RenderableType) -> None:
    """Print `what`; in a pipe without the blanks that fill its lines up."""
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    lines = captured.get().splitlines()
    console.file.write("".join(f"{line.rstrip()}\n" for line in lines))


def complain(message: str) -> None:
    """Print an error in words on stderr."""
    screen(error=True).print(Text(plain(message), style="red"), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print one JSON document on stdout: times are RFC 3339 in UTC."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False, default=_json_word)
    sys.stdout.write("\n")


def _json_word(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def plain(text: object) -> str:
    """Return what a caller said without the characters that would command the terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def one_line(text: object) -> str:
    """Return `text` on one line, for a cell."""
    return " ".join(plain(text).split())


def table(titles: Sequence[str], *, right: Sequence[str] = ()) -> Table:
    """Return an empty table; the columns named in `right` hold numbers."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        grid.add_column(
            title,
            justify="right" if title in right else "left",
            no_wrap=title in right,
            overflow="fold",
        )
    return grid


def pairs(rows: Sequence[tuple[str, str]] = ()) -> Table:
    """Return a table of names and what they stand for, one below the other."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in rows:
        grid.add_row(name, Text(plain(value)))
    return grid


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment at which the operator asks, and the zone in which the business lives."""

    now: datetime
    zone: tzinfo

    def local(self, moment: datetime) -> str:
        """Return e.g. `Nov 20 16:41`, with the year when it is another one."""
        there = moment.astimezone(self.zone)
        year = "" if there.year == self.now.astimezone(self.zone).year else " %Y"
        return there.strftime(f"%b %d{year} %H:%M")

    def zoned(self, moment: datetime) -> str:
        """Return the local time with its zone: `Nov 20 16:41 EST`."""
        return f"{self.local(moment)} {moment.astimezone(self.zone):%Z}"

    def to_the_second(self, moment: datetime) -> str:
        """Return e.g. `16:41:07`, for events within one call."""
        return moment.astimezone(self.zone).strftime("%H:%M:%S")

    def relative(self, moment: datetime) -> str:
        """Return e.g. `3 min ago` or `in 2 h`."""
        seconds = (self.now - moment).total_seconds()
        words = span(abs(seconds))
        return f"{words} ago" if seconds >= 0 else f"in {words}"

    def both(self, moment: datetime) -> str:
        """Return the local time with its zone, and the relative one in brackets."""
        return f"{self.zoned(moment)} ({self.relative(moment)})"


def clock(zone_name: str, *, now: datetime) -> Clock:
    """Return the clock of a business; UTC when its zone is not known on this machine."""
    try:
        return Clock(now, ZoneInfo(zone_name))
    except (ZoneInfoNotFoundError, ValueError):
        return Clock(now, UTC)


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: `45 s`, `3 min`, `2 h`, `5 d`."""
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (48 * 3600, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} d"


def phone(number: str | None) -> str:
    """Return an E.164 number as people write it, anything else as it is."""
    return plain(international(number or ""))
