"""An operator's desk: a terminal, a house with calls in it, a buyer that can be told to refuse."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlmodel import select
from typer.testing import CliRunner

from ivr import tenants
from ivr.cli import main
from ivr.conversations import Said, write_turn
from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.db.tables import (
    Channel,
    Conversation,
    ConversationStatus,
    Role,
    Source,
    Submission,
    utc_now,
)
from ivr.leads import values
from ivr.leads.conclusion import conclude
from ivr.leads.delivery.submissions import Outcome, Submissions
from ivr.leads.extraction import Extraction
from ivr.leads.intake import Enquiry, begin
from ivr.leads.profile import load_profile
from ivr.settings import Settings, load_settings
from tools.emulators.npa import NpaEmulator

JOHN = {
    "full_name": "John Doe",
    "zip_code": "30093",
    "phone": "+17705550123",
    "vehicle_year": "2020",
    "vehicle_make": "Yamaha",
    "vehicle_model": "MT-07",
}
CALLER = "+17705550123"
CALLED = "+18005551212"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


class Terminal:
    """Types commands, in a thread of its own: the emulators live in this test's loop."""

    async def run(self, *words: str, typed: str = "") -> Answer:
        return await asyncio.to_thread(self.run_now, *words, typed=typed)

    def run_now(self, *words: str, typed: str = "") -> Answer:
        result = CliRunner().invoke(main, list(words), input=typed, catch_exceptions=False)
        return Answer(result.exit_code, result.stdout, result.stderr)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    """A terminal in an empty folder, where nothing is set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return Terminal()


class House:
    """The rows of a business with one buyer, made through the doors that the server uses."""

    def __init__(self, db: Database, settings: Settings, npa: NpaEmulator, tenant: Any) -> None:
        self.db, self.settings, self.npa, self.tenant = db, settings, npa, tenant
        self.profile = load_profile("powersports")

    async def use_own_profile(self, path: Path) -> None:
        """Ask by a file named in the settings, `PROFILE=./mine.toml`; its key is not shipped."""
        write_own_profile(path)
        self.profile = load_profile(path)
        settings = self.settings.model_copy(update={"profile": str(path)})
        self.tenant = await tenants.ensure_default(self.db, settings, now=utc_now())

    async def call(
        self,
        sid: str,
        *,
        known: Mapping[str, str] = JOHN,
        caller: str | None = CALLER,
        ago: timedelta = timedelta(minutes=3),
    ) -> Conversation:
        """Begin a call in which the caller says `known` and the phone number is confirmed aloud."""
        now = utc_now() - ago
        enquiry = Enquiry(Channel.VOICE, sid, caller, CALLED, now + timedelta(hours=1), now)
        conversation = await begin(self.db, self.tenant, self.profile, enquiry)
        async with self.db.write() as session:
            for position, (name, value) in enumerate(known.items()):
                ask = self.profile.field(name).ask
                for role, text in ((Role.ASSISTANT, ask), (Role.CALLER, value)):
                    place = 2 * position + (role is Role.CALLER)
                    said = Said(f"item{place}", place, role, text, now + timedelta(seconds=place))
                    await write_turn(session, conversation, said)
                await values.add(
                    session,
                    conversation,
                    name=name,
                    value=value,
                    raw=value,
                    source=Source.CONFIRMED if name == "phone" else Source.TOOL,
                    quote=f"it is {value}",
                    now=now,
                )
        return conversation

    async def conclude(
        self,
        conversation: Conversation,
        extraction: Extraction | None = None,
        *,
        reason: str = "goodbye",
    ) -> UUID | None:
        """End the call and write down what follows; return the submission that may go."""
        now = utc_now()
        async with self.db.write() as session:
            row = await session.get_one(Conversation, conversation.id)
            row.end_reason, row.finish_after = reason, now
        async with self.db.write() as session:
            concluded = await conclude(
                session,
                load_profile,
                conversation.id,
                conversation.episode,
                extraction or Extraction(by="rules"),
                now=now,
            )
        async with self.db.write() as session:
            row = await session.get_one(Conversation, conversation.id)
            row.status, row.ended_at, row.finished_at = ConversationStatus.FINISHED, now, now
        assert concluded is not None
        return concluded.submission_id

    async def send(self, submission_id: UUID | None) -> Outcome:
        """Make the first attempt, as the road does."""
        assert submission_id is not None
        async with httpx.AsyncClient() as http:
            sender = Submissions(self.db, http, self.settings, load_profile)
            outcome = await sender.first_attempt(submission_id)
        assert outcome is not None
        return outcome

    async def lead(self, sid: str, **options: Any) -> Outcome:
        """Take a whole call, from the ring to the first attempt."""
        return await self.send(await self.conclude(await self.call(sid, **options)))

    async def change_submission(self, **columns: Any) -> None:
        """Put the only submission into a state that takes hours, or an accident, to reach."""
        async with self.db.write() as session:
            row = (await session.exec(select(Submission))).one()
            for name, value in columns.items():
                setattr(row, name, value)


def write_own_profile(path: Path) -> None:
    """Write the shipped profile under a key that only its file knows."""
    shipped = resources.files("ivr.leads") / "profiles" / "powersports.toml"
    text = shipped.read_text(encoding="utf-8")
    path.write_text(text.replace('key = "powersports"', 'key = "mine"', 1), encoding="utf-8")


@pytest.fixture
async def house(
    terminal: Terminal, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    """A house whose buyer takes leads, on SQLite and on PostgreSQL in turn."""
    async with NpaEmulator(username="dealer", password="right-password") as npa:
        for name, value in {
            "DATABASE_URL": database_url,
            "NPA_API_BASE_URL": npa.base_url,
            "NPA_API_USERNAME": "dealer",
            "NPA_API_PASSWORD": "right-password",
        }.items():
            monkeypatch.setenv(name, value)
        settings = load_settings()
        db = Database(database_url, hash_key=hash_key(settings))
        tenant = await tenants.ensure_default(db, settings, now=utc_now())
        yield House(db, settings, npa, tenant)
        await db.close()


def minutes_ago(minutes: float) -> datetime:
    """Return the moment so many minutes before now."""
    return utc_now() - timedelta(minutes=minutes)
