"""What a person sees of the demo: the conversation as it is written down, the fields, the lead."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ivr.cli.story import SOURCES
from ivr.db.tables import FieldValue, Role, Source, Turn
from ivr.leads.profile import Profile
from tools.call_page import Page
from tools.demo_audio import Script


class Screen:
    """Prints each thing once, when it is first seen."""

    def __init__(self, console: Console, profile: Profile) -> None:
        self._console = console
        self._profile = profile
        self._began = time.monotonic()
        self._turns: set[str] = set()
        self._seen: set[int | None] = set()
        self._known: set[str | None] = set()
        self._has_ended = False

    def opening(self, folder: Path) -> None:
        """Say what is about to happen."""
        text = (
            "A caller phones the server to sell a vehicle; you see what becomes of it.\n"
            "Twilio and the buyer (NPA) are emulated on this machine. No key is set,\n"
            f"so the offline voice answers. What it writes lies in [bold]{folder}/[/]."
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
            is_reading = value.source in {Source.EXTRACTED, Source.INFERRED}
            if value.id not in self._seen and not (is_reading and value.value in self._known):
                self._value(value)
            self._seen.add(value.id)
            self._known.add(value.value)
        ended = page.conversation is not None and page.conversation.ended_at is not None
        if page.conversation is not None and ended and not self._has_ended:
            self._has_ended = True
            self._line("call", f"is over: {page.conversation.end_reason}", "bold")

    def lead(self, page: Page) -> None:
        """Show the finished lead, or why it was not delivered."""
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

    def received(self, leads: Sequence[Mapping[str, Any]]) -> None:
        """Show what the buyer got."""
        for lead in leads:
            reference = lead["refNumber"]
            self._console.print(f"The buyer got one LeadCreate, our reference {reference}.")

    def what_next(self, folder: Path, page: Page) -> None:
        """Say what a person would do now."""
        call_sid = page.conversation.session_key if page.conversation else "CALLSID"
        self._console.print(
            Panel(
                "[bold]Look at it again[/]\n"
                f"  export DATABASE_URL=sqlite:///{folder}/nps_ivr.db\n"
                "  .venv/bin/python view_succeeded_leads.py\n"
                "  .venv/bin/python manage_failed_leads.py list\n"
                f"  .venv/bin/ivr explain {call_sid}\n"
                "  unset DATABASE_URL\n\n"
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
            self._line("field", f"✘ {label}: {row.problem}", "yellow")
        else:
            source = SOURCES[Source(row.source)]
            self._line("field", f"✔ {label}: {row.value}  ({source})", "green")

    def _label(self, name: str) -> str:
        labels = {field.key: field.label for field in self._profile.fields}
        return labels.get(name, name)

    def _line(self, who: str, what: str, style: str) -> None:
        seconds = int(time.monotonic() - self._began)
        grid = Table.grid(padding=(0, 2, 0, 0))
        for width in (5, 9, None):
            grid.add_column(width=width, overflow="fold")
        clock = Text(f"{seconds // 60:02}:{seconds % 60:02}", "dim")
        grid.add_row(clock, Text(who, "dim"), Text(what, style))
        self._console.print(grid)
