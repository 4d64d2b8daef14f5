"""The cast of the lead tests: a tenant, a caller, their words, and models that answer by script."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import inspect
from sqlmodel import SQLModel, select

from ivr import tenants
from ivr.conversations import Said, write_turn
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, ConversationStatus, Role, Source, utc_now
from ivr.errors import ModelError
from ivr.jobs import Jobs
from ivr.leads import intake, values
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.extraction import Model
from ivr.leads.profile import load_profile
from ivr.leads.road import Road
from ivr.settings import Settings
from ivr.vendors.llm import Answer, Usage
from tools.emulators.npa import NpaEmulator

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
JOHN = "+17705550123"
LEAD = {
    "full_name": "John Doe",
    "zip_code": "30093",
    "phone": JOHN,
    "vehicle_year": "2020",
    "vehicle_make": "Yamaha",
    "vehicle_model": "MT-07",
}
TALK = (
    (Role.ASSISTANT, "Thank you for calling. May I have your first and last name?"),
    (Role.CALLER, "John Doe"),
    (Role.ASSISTANT, "Thanks John. What is your ZIP code?"),
    (Role.CALLER, "30093"),
    (Role.ASSISTANT, "What is the best phone number to reach you?"),
    (Role.CALLER, "7 7 0 5 5 5 0 1 2 3"),
    (Role.ASSISTANT, "What year is the vehicle?"),
    (Role.CALLER, "2020"),
    (Role.ASSISTANT, "What make is it?"),
    (Role.CALLER, "Yamaha"),
    (Role.ASSISTANT, "And which model is it?"),
    (Role.CALLER, "MT-07"),
    (Role.ASSISTANT, "Thank you. Goodbye!"),
)


def settings_for(url: str, npa_url: str | None = None, **changes: Any) -> Settings:
    """Settings of one process with the buyer's account; nothing is read from this machine."""
    account = {
        "npa_api_base_url": npa_url,
        "npa_api_username": "buyer",
        "npa_api_password": "secret",
        "npa_timeout_seconds": 5.0,
    }
    return Settings(_env_file=None, database_url=url, **{**account, **changes})


async def call(
    db: Database,
    talk: Sequence[tuple[Role, str]] = (),
    *,
    caller: str | None = JOHN,
    sid: str = "CA1",
    now: datetime = NOW,
    **settings: Any,
) -> Conversation:
    """Have somebody call and say something; the call is over since `now`."""
    tenant = await tenants.ensure_default(db, settings_for(db.url, **settings), now=now)
    enquiry = intake.Enquiry(
        channel=Channel.VOICE,
        session_key=sid,
        caller=caller,
        called="+18005551212",
        finish_after=now,
        now=now,
    )
    conversation = await intake.begin(db, tenant, load_profile(tenant.profile), enquiry)
    async with db.write() as session:
        for position, (role, text) in enumerate(talk):
            said = Said(f"item_{position}", position, role, text, now)
            await write_turn(session, conversation, said)
    return conversation


async def carried(
    db: Database, conversation: Conversation, *, by: str, streaming: bool = True
) -> None:
    """Have the process of this executor id carry the call's stream."""
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        row.carried_by, row.streaming = by, streaming


async def save(
    db: Database,
    conversation: Conversation,
    given: Mapping[str, str],
    *,
    source: Source = Source.TOOL,
) -> None:
    """Give fields their values, as the voice's tools do."""
    async with db.write() as session:
        for name, value in given.items():
            await values.add(
                session, conversation, name=name, value=value, raw=value, source=source, now=NOW
            )


def answer(lead: Mapping[str, str | None]) -> dict[str, Any]:
    """What an obedient model extracts: every field, null or with a quote."""
    return {
        key: {"value": lead[key], "quote": lead[key]} if lead.get(key) else None for key in LEAD
    }


class ScriptedModel:
    """Answers in order: a document, the reason for which there is none, or an exception."""

    def __init__(self, *answers: dict[str, Any] | str | Exception, name: str = "model-1") -> None:
        self.provider, self.name = "scripted", name
        self.asked: list[dict[str, Any]] = []
        self._answers = list(answers)

    async def answer(self, **question: Any) -> Answer:
        self.asked.append(question)
        assert self._answers, "asked more often than scripted"
        usage = Usage(input_tokens=1000, output_tokens=100)
        match self._answers.pop(0):
            case Exception() as exc:
                raise exc
            case str() as problem:
                return Answer(document=None, usage=usage, problem=problem)
            case document:
                return Answer(document=document, usage=usage)

    def assert_complete(self) -> None:
        assert self._answers == [], "answers left over"


NO_ANSWER = ModelError("model-1 gave no answer in 30 s")


async def rows(db: Database, table: type[SQLModel]) -> list[Any]:
    """Every row of a table, the oldest first: PostgreSQL gives them in any order."""
    mapper = inspect(table)
    counts = all(key.type.python_type is int for key in mapper.primary_key)
    names = () if counts else ("created_at", "started_at", "at")
    since = [mapper.columns[name] for name in names if name in mapper.columns]
    async with db.read() as session:
        # Of one moment they stay as they were written: ids are random.
        query = select(table).order_by(*(mapper.primary_key if counts else since))
        return list((await session.exec(query)).all())


async def is_finished(db: Database, conversation_id: uuid.UUID) -> bool:
    async with db.read() as session:
        found = await session.get_one(Conversation, conversation_id)
        return found.status == ConversationStatus.FINISHED


async def until(
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool], *, seconds: float = 60
) -> None:
    """Wait for something that another task or process does."""
    async with asyncio.timeout(seconds):
        while True:
            result = condition()
            if await result if isinstance(result, Awaitable) else result:
                return
            await asyncio.sleep(0.02)


class DyingJobs(Jobs):
    """Jobs of a process that dies after the step of this name, before that is written down."""

    dies_after = ""

    async def step(
        self, name: str, function: Callable[..., Any], *args: object, kept: bool = True
    ) -> Any:
        if name != self.dies_after:
            return await super().step(name, function, *args, kept=kept)
        await function(*args)
        raise asyncio.CancelledError


@asynccontextmanager
async def road_of(
    db: Database,
    npa: NpaEmulator,
    *models: Model,
    dies_after: str = "",
    live: Collection[str] = (),
    **settings: Any,
) -> AsyncIterator[Road]:
    """A process with its road, without the schedule; it carries the conversations in `live`."""
    given = settings_for(db.url, npa.base_url, **settings)
    jobs = DyingJobs(db.url, executor_id=given.executor_id)
    jobs.dies_after = dies_after
    async with httpx.AsyncClient() as http:
        submissions = Submissions(db, http, given, load_profile)
        road = Road(
            given, db, jobs, submissions, models, load_profile, is_live=lambda key: key in live
        )
        await submissions.recover(opened_at=utc_now())
        await jobs.open()
        try:
            yield road
        finally:
            await jobs.close()


async def finish(road: Road, db: Database, conversation: Conversation) -> Conversation:
    """Have the conversation's episode finished and return it."""
    await road.start_finish(conversation.id, conversation.episode)
    await until(lambda: is_finished(db, conversation.id))
    return await reread(db, conversation)


async def reread(db: Database, conversation: Conversation) -> Conversation:
    """The conversation as it is now."""
    async with db.read() as session:
        return await session.get_one(Conversation, conversation.id)


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, delta: timedelta) -> None:
        self.now += delta


def strict_profile(folder: Path) -> str:
    """The path of a profile that is `powersports` but lets only complete leads go."""
    text = Path(load_profile.__code__.co_filename).parents[1] / "profiles" / "powersports.toml"
    path = folder / "strict.toml"
    path.write_text(text.read_text().replace('policy = "best_effort"', 'policy = "strict"'))
    return str(path)
