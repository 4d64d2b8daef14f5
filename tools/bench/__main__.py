"""Reads the options and runs what they ask for; `make bench` is this without any."""

import argparse
import signal
import sys

from rich.console import Console

from . import report
from .capacity import search
from .chat import chat_rate
from .lists import LEADS, measure_lists
from .overload import measure_overload
from .road import lead_rates
from .run import Plan, Result, measure
from .served import allow_many_files
from .soak import soak
from .stages import MOST_P95_MS, stage_tracking

QUICK = ([100, 300], 15.0, 200)
CHAT_SECONDS = 5.0
FULL = ([1, 100, 500], 60.0, 1000)


def main() -> None:
    """Measure, and print."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # takes the server with it
    console = Console(width=100 if not sys.stdout.isatty() else None)
    allow_many_files()
    report.describe_machine(console)
    if options.lists:
        measure_lists(options.leads or LEADS, options.database, console)
    elif options.soak:
        sys.exit(_soak(options, console))
    elif options.overload:
        _overload(options, console)
    else:
        _bench(options, console)


def _bench(options: argparse.Namespace, console: Console) -> None:
    results = [_tell(console, measure(plan)) for plan in _plans(options)]
    more: dict[str, object] = {}
    if options.full:
        best, tried = search(
            lambda plan: _tell(console, measure(plan)),
            lambda calls: _plan(options, calls),
        )
        results += tried
        more["capacity"] = best
        console.print(f"carried with p99 < 20 ms and nothing lost: {best} calls")
    if options.leads:
        rates = lead_rates(options.leads)
        more["leads"] = rates
        report.tell_rates(console, rates)
        more["stages"] = tracked = stage_tracking(options.leads)
        report.tell_stages(console, tracked, MOST_P95_MS)
        more["chat"] = chatted = chat_rate(CHAT_SECONDS)
        report.tell_chat(console, chatted)
    report.print_all(console, results, **more)


def _plans(options: argparse.Namespace) -> list[Plan]:
    """Return ours and the relay in turn, so that a slow minute of the machine hits both."""
    return [
        _plan(options, calls, is_bare=name == "relay")
        for calls in options.calls
        for name in ("ours", "relay")
        if options.only in (None, name)
    ]


def _plan(options: argparse.Namespace, calls: int, *, is_bare: bool = False) -> Plan:
    return Plan(calls, options.window, is_bare=is_bare, seed=options.seed, length_s=options.length)


def _tell(console: Console, result: Result) -> Result:
    report.tell(console, result)
    return result


def _overload(options: argparse.Namespace, console: Console) -> None:
    outcome = measure_overload(_plan(options, options.calls[0]))
    report.tell(console, outcome.inside)
    report.tell_overload(console, outcome)


def _soak(options: argparse.Namespace, console: Console) -> int:
    verdict, figures = soak(options.soak, options.calls[0], seed=options.seed, console=console)
    report.tell_soak(console, verdict, figures)
    return 0 if verdict.is_good and figures.undelivered == 0 else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--calls", type=_counts, help="at once, e.g. 1,100,500")
    parser.add_argument("--seconds", type=float, dest="window", help="length of each window")
    parser.add_argument("--length", type=float, default=120.0, help="of a call, in seconds")
    parser.add_argument("--only", choices=("ours", "relay"))
    parser.add_argument("--leads", type=int, help="through the road without calls; 0 leaves it out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="longer, and search for the most calls")
    parser.add_argument(
        "--lists", action="store_true", help="lists of --leads leads, a million without it"
    )
    parser.add_argument(
        "--database", action="append", default=[], help="for --lists: filled unless it is"
    )
    parser.add_argument("--overload", action="store_true", help="three times the cap at once")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="is memory flat?")
    return _complete(parser.parse_args())


def _complete(options: argparse.Namespace) -> argparse.Namespace:
    calls, window, leads = FULL if options.full else QUICK
    # Who asks for certain calls, or one side, wants those alone.
    if options.leads is None and not options.lists:
        options.leads = 0 if options.calls or options.only else leads
    options.calls = options.calls or calls
    options.window = options.window or window
    return options


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


if __name__ == "__main__":
    main()
