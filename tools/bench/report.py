"""Prints what was measured: a table for people, one line of JSON for machines."""

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .chat import Chatted
from .figures import Figures, Spread
from .overload import Overload
from .road import Rate
from .run import Result
from .soak import MOST_KIB_PER_MINUTE, Verdict

_LIBRARIES = ("starlette", "uvicorn", "uvloop", "websockets", "msgspec", "sqlalchemy", "dbos")


def machine() -> dict[str, str]:
    """Return hardware and versions."""
    return {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count()),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
    }


def describe_machine(console: Console) -> None:
    """Say where this was measured."""
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()))


def tell(console: Console, result: Result) -> None:
    """Say in a line that a run is done, and what was wrong with it."""
    void = "  void: generator late" if result.is_void else ""
    console.print(
        f"{result.name} {result.calls}: up {_pair(result.up)} down {_pair(result.down)} ms, "
        f"CPU {result.cpu_ms:.2f} ms/call-s ({result.core_share:.0%} of the core), "
        f"generator {result.generator_share:.0%}, late p99 {result.lateness.p99:.2f} ms{void}"
    )
    for words, times in result.problems.items():
        console.print(f"  {times} x {words}")


def table(results: Sequence[Result]) -> Table:
    """Return all runs side by side: a line per figure, a column per run."""
    sheet = Table(title="p50 / p95 / p99 / max in ms", title_justify="left")
    sheet.add_column("")
    for result in results:
        sheet.add_column(f"{result.name} {result.calls}", justify="right")
    for name, read in _LINES.items():
        sheet.add_row(name, *(read(result) for result in results))
    return sheet


def ratios(results: Sequence[Result]) -> list[dict[str, float]]:
    """Return what we cost beside the relay, per number of calls measured with both."""
    relays = {result.calls: result for result in results if result.name == "relay"}
    return [
        {
            "calls": result.calls,
            "cpu": _ratio(result.cpu_ms, relays[result.calls].cpu_ms),
            "up_p99": _ratio(result.up.p99, relays[result.calls].up.p99),
            "down_p99": _ratio(result.down.p99, relays[result.calls].down.p99),
        }
        for result in results
        if result.name == "ours" and result.calls in relays
    ]


def print_all(console: Console, results: Sequence[Result], **more: Any) -> None:
    """Print the table, the ratios and the JSON line."""
    console.print(table(results))
    for ratio in ratios(results):
        console.print(
            f"{ratio['calls']:.0f} calls, ours : relay = CPU {ratio['cpu']:.2f}, "
            f"p99 up {ratio['up_p99']:.2f}, p99 down {ratio['down_p99']:.2f}"
        )
    runs = [result.as_json() for result in results]
    print_json(machine=machine(), runs=runs, ratios=ratios(results), **more)


def tell_rates(console: Console, rates: Sequence[Rate]) -> None:
    """Say how fast leads go through the road."""
    for rate in rates:
        console.print(
            f"road on {rate.database}: {rate.per_second:.1f} leads/s, "
            f"{rate.cpu_ms_per_lead:.1f} ms CPU each; "
            f"{rate.delivered} of {rate.leads} delivered, {rate.doubled} doubled"
        )


def tell_stages(console: Console, spread: Spread, most_p95_ms: float) -> None:
    """Say what stage tracking adds to a turn."""
    verdict = "kept" if spread.p95 < most_p95_ms else "NOT kept"
    console.print(
        f"stage tracking per turn: {_four(spread)} ms in {spread.count} turns; "
        f"p95 < {most_p95_ms:.0f} ms is {verdict}"
    )


def tell_chat(console: Console, chatted: Chatted) -> None:
    """Say how fast written messages are answered."""
    answers = chatted.answers
    console.print(
        f"/chat on sqlite, rules, one process: {chatted.per_second:.1f} messages/s, "
        f"{chatted.cpu_ms_per_message:.1f} ms CPU each; answered in p50 {answers.p50:.0f}, "
        f"p95 {answers.p95:.0f} ms ({answers.count} messages)"
    )


def tell_overload(console: Console, outcome: Overload) -> None:
    """Say what became of everybody."""
    inside = outcome.inside
    console.print(table([inside]))
    console.print(
        f"{outcome.rang} rang at once while {inside.calls} talked: {outcome.refused} got no voice, "
        f"{outcome.answered} of them were asked for their name ({_four(outcome.answers)} ms), "
        f"{outcome.written_down} are leads, {outcome.delivered} delivered"
    )
    print_json(machine=machine(), overload=asdict(outcome))


def tell_soak(console: Console, verdict: Verdict, figures: Figures) -> None:
    """Say whether anything grew."""
    console.print(
        f"memory {verdict.kib_per_minute:+.0f} KiB per minute (at most {MOST_KIB_PER_MINUTE:.0f}), "
        f"other files and sockets {verdict.fds_grown:+.1f}, threads {verdict.threads_grown:+.1f}: "
        f"{'flat' if verdict.is_good else 'it grows'}"
    )
    console.print(
        f"{figures.started} calls, {len(figures.ended)} ended, {figures.broken} broken, "
        f"{figures.undelivered} leads missing, {figures.doubled} doubled, "
        f"{figures.lost} frames lost"
    )
    for words, times in figures.problems.items():
        console.print(f"  {times} x {words}")
    print_json(machine=machine(), soak=asdict(verdict), problems=figures.problems)


def print_json(**content: Any) -> None:
    """Print one line for machines."""
    print(json.dumps(_rounded(content)), flush=True)  # noqa: T201


def _rounded(value: Any) -> Any:
    """Return JSON's types, with no more digits than mean anything."""
    if is_dataclass(value) and not isinstance(value, type):
        return _rounded(asdict(value))
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {key: _rounded(part) for key, part in value.items()}
        case list() | tuple():
            return [_rounded(part) for part in value]
    return value


_LINES: dict[str, Callable[[Result], str]] = {
    "up": lambda r: _four(r.up),
    "down": lambda r: _four(r.down),
    "barge-in to clear": lambda r: _four(r.clear),
    "webhook": lambda r: _four(r.webhook),
    "webhook to first audio": lambda r: _four(r.first_audio),
    "/health/ready": lambda r: _four(r.health),
    "CPU ms per call-second": lambda r: f"{r.cpu_ms:.2f}",
    "share of the core": lambda r: f"{r.core_share:.0%}",
    "KiB per call": lambda r: f"{r.kib:.0f} beyond {r.base_mib:.0f} MiB",
    "frames": lambda r: f"{r.sent:,}",
    "lost, out of order": lambda r: f"{r.lost}, {r.disordered}",
    "not cleared, broken, refused": lambda r: f"{r.not_cleared}, {r.broken}, {r.refused}",
    "calls ended, leads missing, doubled": lambda r: f"{r.ended}, {r.undelivered}, {r.doubled}",
    "generator, its lateness p99": lambda r: f"{r.generator_share:.0%}, {r.lateness.p99:.2f}",
    "other programs, of a core": lambda r: f"{r.others_share:.0%}",
}


def _ratio(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else 0.0


def _four(spread: Spread) -> str:
    if not spread.count:
        return "-"
    return f"{spread.p50:.1f} / {spread.p95:.1f} / {spread.p99:.1f} / {spread.max:.0f}"


def _pair(spread: Spread) -> str:
    return f"{spread.p50:.2f} / {spread.p99:.2f}"


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
