"""What a person sees of the demo: the conversation as it is written down, the fields, the lead."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ivr.db.tables import FieldValue, Role, Source, Turn
from ivr.leads.profile import Profile
from tools.demo_audio import Script
from tools.ledger import Page

_SOURCES = {
    Source.CONFIRMED: "confirmed aloud",
    Source.CALLER_ID: "shown by the network",
    Source.TYPED: "keyed in",
    Source.TOOL: "checked and saved",
    Source.EXTRACTED: "found in the transcript",
}


class Screen:
    """Prints each thing once, when it is first seen."""

    def __init__(self, console: Console, profile: Profile) -> None:
        self._console = console
        self._profile = profile
        self._began = time.monotonic()
        self._turns: set[str] = set()
        self._values: set[int | None] = set()
        self._has_ended = False

    def opening(self, folder: Path) -> None:
        """Say what is about to happen."""
        text = (
            "A caller phones the server and sells a vehicle; you see what becomes of it.\n"
            "Twilio and the buyer (NPA) are emulators on this machine. No key is set, so the\n"
            f"offline voice answers. Everything it writes lies in [bold]{folder}/[/]."
        )
        self._console.print(Panel(text, title="ivr: a phone call becomes a lead", expand=False))
        self._console.print("Starting the server ...", style="dim")

    def ready(self, url: str) -> None:
        """Say where the server is."""
        self._console.print(f"The server answers at {url}", style="dim")

    def ringing(self, script: Script) -> None:
        """Say who calls whom; the clock starts."""
        self._began = time.monotonic()
        self._line("call", f"{script.caller} calls {script.called}", "bold")

    def update(self, page: Page) -> None:
        """Print what is new."""
        for turn in page.turns:
            if turn.item_id not in self._turns:
                self._turns.add(turn.item_id)
                self._turn(turn)
        for value in page.values:
            if value.id not in self._values:
                self._values.add(value.id)
                self._value(value)
        ended = page.conversation is not None and page.conversation.ended_at is not None
        if page.conversation is not None and ended and not self._has_ended:
            self._has_ended = True
            self._line("call", f"is over: {page.conversation.end_reason}", "bold")

    def lead(self, page: Page, received: Sequence[Mapping[str, Any]]) -> None:
        """Show the finished lead and what the buyer got of it."""
        if page.failed is not None and page.succeeded is None:
            self._line("lead", f"not delivered: {page.failed.error_message}", "bold red")
            return
        assert page.succeeded is not None, "the watch ends with a row"
        answer = page.succeeded.npa_response
        self._line("lead", f"delivered to the buyer: record {answer.get('recordID')}", "bold green")
        table = Table(title="The finished lead", title_justify="left", show_header=False)
        for name, value in page.succeeded.lead_data.items():
            table.add_row(self._label(name), str(value))
        self._console.print(table)
        self._console.print(
            f"The buyer received {len(received)} LeadCreate request with our reference "
            f"{received[-1]['refNumber'] if received else '-'}.",
            style="dim",
        )

    def what_next(self, folder: Path) -> None:
        """Say what a person would do now."""
        database = f"DATABASE_URL=sqlite:///{folder}/nps_ivr.db"
        python = ".venv/bin/python"
        self._console.print(
            Panel(
                "[bold]Look at it again[/]\n"
                f"  {database} {python} view_succeeded_leads.py\n"
                f"  {database} {python} manage_failed_leads.py list\n"
                f"  {database} .venv/bin/ivr explain {{CALLSID}}\n\n"
                "[bold]Answer real calls[/]\n"
                "  1. cp .env.example .env, and fill in OPENAI_API_KEY, TWILIO_SID,\n"
                "     TWILIO_AUTH_TOKEN, PUBLIC_BASE_URL and the NPA settings\n"
                "  2. make run\n"
                "  3. at Twilio, set your number's voice webhook (POST) to\n"
                "     https://YOUR.HOST/twilio/voice-realtime-proxied\n"
                "  4. .venv/bin/ivr doctor says which link is broken, if one is",
                title="What next",
                expand=False,
            )
        )

    def _turn(self, turn: Turn) -> None:
        speaker, style = ("caller", "cyan") if turn.role == Role.CALLER else ("assistant", "white")
        self._line(speaker, turn.text + (" …" if turn.cut else ""), style)

    def _value(self, row: FieldValue) -> None:
        label = self._label(row.name)
        if row.value is None:
            self._line("  field", f"✘ {label}: {row.problem}", "yellow")
        else:
            self._line("  field", f"✔ {label}: {row.value}  ({_SOURCES[Source(row.source)]})", "green")

    def _label(self, name: str) -> str:
        labels = {field.key: field.label for field in self._profile.fields}
        return labels.get(name, name)

    def _line(self, who: str, what: str, style: str) -> None:
        seconds = int(time.monotonic() - self._began)
        clock = f"{seconds // 60:02}:{seconds % 60:02}"
        self._console.print(Text.assemble((f"{clock}  {who:<10} ", "dim"), (what, style)))
