"""`ivr doctor`: is each link between a caller and a delivered lead whole?

Changes nothing, submits nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict

import httpx
import typer
from rich.table import Table
from rich.text import Text

from ivr.cli.checkup.finding import TIMEOUT_SECONDS, Finding, Level, Link, Visit
from ivr.cli.checkup.house import check_database, check_profile, check_settings, check_voice
from ivr.cli.checkup.neighbours import (
    check_buyer,
    check_models,
    check_phone,
    check_public,
    compare_clocks,
)
from ivr.cli.desk import quiet_logs
from ivr.cli.terminal import BROKEN, JsonFlag, plain, print_json, screen, show
from ivr.db.tables import utc_now
from ivr.errors import SettingsError
from ivr.settings import load_settings

Examination = Callable[[Visit], Awaitable[list[Finding]]]

CHAIN: tuple[Examination, ...] = (
    check_settings,
    check_profile,
    check_database,
    check_voice,
    check_models,
    check_phone,
    check_public,
    check_buyer,
)

_MARKS = {
    Level.FINE: Text("✔", style="green"),
    Level.WARNING: Text("!", style="yellow"),
    Level.BROKEN: Text("✘", style="red"),
}


def check_links(*, as_json: JsonFlag = False) -> None:
    """Check every link from the caller to the buyer.

    Exit code 1 when one is broken.
    """
    findings = asyncio.run(examine())
    is_whole = not any(finding.level is Level.BROKEN for finding in findings)
    if as_json:
        print_json({"ok": is_whole, "links": [asdict(finding) for finding in findings]})
    else:
        _print(findings)
    raise typer.Exit(0 if is_whole else BROKEN)


async def examine() -> list[Finding]:
    """Return what there is to say about each link, in the order of the chain."""
    try:
        settings = load_settings()
    except SettingsError as exc:
        hint = "mend it in the environment or in .env; .env.example documents every setting"
        return [Link("settings").broken("unusable", line, hint) for line in str(exc).splitlines()]
    quiet_logs(settings)
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        visit = Visit(settings, http, utc_now())
        answers = await asyncio.gather(*(examination(visit) for examination in CHAIN))
        return [*(finding for found in answers for finding in found), *compare_clocks(visit)]


def _print(findings: list[Finding]) -> None:
    console = screen()
    grid = Table.grid(padding=(0, 2, 0, 0))
    for finding in findings:
        words = Text(plain(finding.message))
        if finding.hint:
            separator = "\n" if console.is_terminal else " "
            words.append(f"{separator}→ {plain(finding.hint)}", style="dim")
        grid.add_row(_MARKS[finding.level], finding.link, words)
    show(console, grid)
    show(console, Text(_summary(findings), style="bold"))


def _summary(findings: list[Finding]) -> str:
    broken = list(dict.fromkeys(f.link for f in findings if f.level is Level.BROKEN))
    warnings = sum(finding.level is Level.WARNING for finding in findings)
    if broken:
        return f"broken: {', '.join(broken)}"
    return f"nothing is broken; {warnings} to look at" if warnings else "every link is whole"
