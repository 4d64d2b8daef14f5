"""The whole world of a call: the real server in this loop, and the emulated vendors around it."""

import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlmodel import SQLModel, col, select

from ivr.app import create_app
from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.db.tables import (
    Contact,
    Conversation,
    FailedLead,
    FieldValue,
    InboundEvent,
    Lead,
    ReviewItem,
    Submission,
    SubmissionAttempt,
    SucceededLead,
    Turn,
)
from ivr.live_calls import LiveCalls
from ivr.runtime import live_calls
from ivr.settings import Settings
from tests.leads.cast import until
from tools.call_page import CallPages, Page
from tools.emulators.npa import NpaEmulator
from tools.emulators.openai import OpenAIEmulator
from tools.emulators.serving import listen, serve
from tools.emulators.twilio import TwilioEmulator
from tools.emulators.twilio.call import Call
from tools.scenarios import Expect, Scenario, load

SPEED = 20.0
# Speech comes much faster than it is played, or a busy machine would tear holes into it.
PACE = 50.0
SID = "AC" + "0123456789abcdef" * 2
TOKEN = "a-twilio-auth-token"
PUBLIC = "https://ivr.example.test"
NPA_USER, NPA_PASSWORD = "buyer", "secret"
WORD_MS = 400
GRACE = 3.0  # seconds, where nothing but time tells that a call is over


@dataclass(frozen=True, slots=True)
class Books:
    """Every row that calls leave, in the order in which they were written."""

    contacts: Sequence[Contact]
    leads: Sequence[Lead]
    conversations: Sequence[Conversation]
    turns: Sequence[Turn]
    values: Sequence[FieldValue]
    submissions: Sequence[Submission]
    attempts: Sequence[SubmissionAttempt]
    succeeded: Sequence[SucceededLead]
    failed: Sequence[FailedLead]
    reviews: Sequence[ReviewItem]
    events: Sequence[InboundEvent]

    def values_of(self, name: str) -> list[str | None]:
        """Return every value that a field was given, oldest first."""
        return [row.value for row in self.values if row.name == name]


async def read_books(database_url: str) -> Books:
    """Read everything, also after the server is gone."""
    db = Database(database_url)
    try:
        return Books(
            contacts=await _rows(db, Contact, "created_at"),
            leads=await _rows(db, Lead, "created_at"),
            conversations=await _rows(db, Conversation, "started_at"),
            turns=await _rows(db, Turn, "id"),
            values=await _rows(db, FieldValue, "id"),
            submissions=await _rows(db, Submission, "created_at"),
            attempts=await _rows(db, SubmissionAttempt, "id"),
            succeeded=await _rows(db, SucceededLead, "id"),
            failed=await _rows(db, FailedLead, "id"),
            reviews=await _rows(db, ReviewItem, "created_at"),
            events=await _rows(db, InboundEvent, "id"),
        )
    finally:
        await db.close()


async def _rows(db: Database, table: type[SQLModel], order: str) -> Sequence[Any]:
    async with db.read() as session:
        return (await session.exec(select(table).order_by(col(getattr(table, order))))).all()


@dataclass(frozen=True, slots=True)
class World:
    """What a test of whole calls can touch."""

    settings: Settings
    openai: OpenAIEmulator
    twilio: TwilioEmulator
    npa: NpaEmulator
    db: Database
    url: str
    scenario: Scenario
    listener: socket.socket
    server: AsyncExitStack
    books_of_calls: list[LiveCalls] = field(default_factory=list)  # one of each server

    @property
    def live(self) -> LiveCalls:
        """Return the calls that the server under test carries."""
        return self.books_of_calls[-1]

    async def start(self) -> None:
        """Start the server under test, also again: as under systemd, who came early has waited."""
        self.books_of_calls.append(live_calls(self.settings))
        app = create_app(self.settings, live=self.live)
        await self.server.enter_async_context(
            serve(app, listener=self.listener.dup(), ws_max_size=64 * 1024)
        )

    async def stop(self) -> None:
        """Stop the server under test; the emulators stay."""
        await self.server.aclose()

    async def ring(self, from_: str | None = None) -> Call:
        """Call the business."""
        return await self.twilio.call(
            from_=from_ if from_ is not None else self.scenario.caller, to=self.scenario.called
        )

    async def page(self, call: Call) -> Page:
        """Return what the database knows about a call."""
        return await CallPages(self.db).page(call.sid)

    async def finished(self, call: Call) -> Page:
        """Wait until the road has done its work."""
        return await self.until_page(call, _is_finished)

    async def until_page(self, call: Call, is_true: Callable[[Page], bool]) -> Page:
        """Wait until the database knows what `is_true` looks for."""
        page = Page()

        async def is_seen() -> bool:
            nonlocal page
            page = await self.page(call)
            return is_true(page)

        await until(is_seen)
        return page

    async def books(self) -> Books:
        """Return every row there is now."""
        return await read_books(self.settings.database_url)


def _is_finished(page: Page) -> bool:
    return page.conversation is not None and page.conversation.finished_at is not None


@asynccontextmanager
async def world(
    database_url: str,
    *,
    scenario: str | Scenario = "john_doe",
    speed: float = SPEED,
    pace: float = PACE,
    allow_violations: bool = False,
    door: str = "/twilio/voice-realtime-proxied",
    **changes: Any,
) -> AsyncIterator[World]:
    """Open it all; on the way out the emulators say whether anybody broke a protocol."""
    told = load(scenario) if isinstance(scenario, str) else scenario
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            NpaEmulator(username=NPA_USER, password=NPA_PASSWORD) as npa,
            OpenAIEmulator(
                told, speed=speed, pace=pace, allow_violations=allow_violations
            ) as openai,
            TwilioEmulator(
                SID,
                TOKEN,
                webhook=f"{url}{door}",
                public_base_url=PUBLIC,
                status_callback=f"{url}/twilio/voice/status",
                speed=speed,
            ) as twilio,
        ):
            settings = settings_for(database_url, openai, twilio, npa, **changes)
            async with AsyncExitStack() as resources, AsyncExitStack() as server:
                db = Database(settings.database_url, hash_key=hash_key(settings))
                resources.push_async_callback(db.close)
                w = World(settings, openai, twilio, npa, db, url, told, listener, server)
                await w.start()
                yield w


def settings_for(
    database_url: str,
    openai: OpenAIEmulator,
    twilio: TwilioEmulator,
    npa: NpaEmulator,
    **changes: Any,
) -> Settings:
    """Return settings that point at the emulators and at nothing of this machine."""
    given = {
        "database_url": database_url,
        "secret_key": "a-secret-key-of-more-than-32-characters",
        "openai_api_key": openai.api_key,
        "openai_base_url": openai.base_url,
        "twilio_sid": SID,
        "twilio_auth_token": TOKEN,
        "twilio_api_base_url": twilio.api_base_url,
        "public_base_url": PUBLIC,
        "npa_api_base_url": npa.base_url,
        "npa_api_username": NPA_USER,
        "npa_api_password": NPA_PASSWORD,
        # This loop carries the vendors too, on a machine that does other things.
        "max_loop_lag_ms": 60_000,
    }
    return Settings(_env_file=None, **{**given, **changes})


def brisk(name: str = "john_doe", **changes: Any) -> Scenario:
    """Return a scenario that ships, with each turn of the assistant cut to its last sentence."""
    told = load(name)
    turns = [replace(turn, assistant=_last_sentence(turn.assistant)) for turn in told.turns]
    return replace(told, turns=tuple(turns), **changes)


def _last_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?]) +", text)[-1]


def short(**changes: Any) -> Scenario:
    """Return a conversation of three turns: name, ZIP code, goodbye."""
    told = brisk()
    bye = replace(
        told.turns[2], assistant="Goodbye!", caller="", then_calls=told.turns[-1].then_calls
    )
    lead = {"full_name": "John Doe", "zip_code": "30093"}
    turns = (*told.turns[:2], bye)
    return replace(told, **{"turns": turns, "expect": Expect(lead), "extraction": lead, **changes})


async def talk_through(call: Call, scenario: Scenario, *, turns: int | None = None) -> None:
    """Answer the assistant's first `turns` turns (all of them) with words made of noise."""
    for turn in scenario.turns[:turns]:
        if turn.caller:
            await call.quiet()
            await call.play(words(turn.caller))


async def whole_call(w: World) -> tuple[Call, Page]:
    """Have the whole conversation, and wait for the road."""
    call = await w.ring()
    await talk_through(call, w.scenario)
    assert await call.ended() == "completed"
    return call, await w.finished(call)


async def by_gather(call: Call, steps: Sequence[tuple[str, str]]) -> None:
    """Answer each question asked by <Gather>, which must contain the step's first text.

    An answer of digits alone, such as "30093#", is keyed in.
    """
    for question, answer in steps:
        asked = (await call.gathering()).children[0].text
        assert question in asked, f"expected {question!r}, heard {asked!r}"
        if answer.rstrip("#").isdecimal() and answer.endswith("#"):
            await call.answer(digits=answer)
        elif answer:
            await call.answer(speech=answer)
        else:
            await call.answer(nothing=True)


def words(text: str) -> bytes:
    """Return mu-law noise as long as it takes to say `text`; its meaning is in the scenario."""
    return bytes(b"\x10\x90" * (WORD_MS * 4)) * max(1, len(text.split()) // 2)
