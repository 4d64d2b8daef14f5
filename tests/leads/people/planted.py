"""A person who comes through every door, with words that nobody else uses, and a look for them."""

import sqlite3
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import or_, text
from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ivr.db import Database
from ivr.db.engine import database_path
from ivr.db.tables import (
    Contact,
    Conversation,
    ConversationStatus,
    FailedLead,
    Lead,
    Role,
    Submission,
    Tenant,
    WebhookDelivery,
    WebhookEndpoint,
    utc_now,
)
from ivr.jobs import jobs_path
from ivr.leads.attention import tasks
from ivr.leads.people import merging
from ivr.sealing import Seal
from ivr.webhooks import endpoints
from tests.channels.world import BUSINESS, World
from tests.leads.cast import call, rows, until
from tools.emulators.serving import serve


@dataclass(frozen=True, slots=True)
class Someone:
    """Whom to plant; `word` is in all that they say."""

    first: str
    last: str
    number: str
    other_number: str
    word: str

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    @property
    def email(self) -> str:
        return f"{self.first}@{self.last}.example".casefold()

    @property
    def traces(self) -> list[str]:
        """What must be found nowhere; numbers also as people write them."""
        numbers = (self.number, self.other_number)
        shown = [f"{it[:2]} {it[2:5]}-{it[5:8]}-{it[8:]}" for it in numbers]
        return [self.first, self.last, self.word, *(it[2:] for it in numbers), *shown]


ZEBULON = Someone("Zebulon", "Quagmire", "+17705550147", "+14045550168", "periwinkle")
OSWALD = Someone("Oswald", "Tanglewood", "+17705550188", "+14045550199", "mulberry")


@asynccontextmanager
async def listener(w: World) -> AsyncIterator[list[str]]:
    """A program that is told of everything that happens to the leads of `default`."""
    told: list[str] = []

    async def hear(request: Request) -> JSONResponse:
        told.append((await request.body()).decode())
        return JSONResponse({})

    async with serve(Starlette(routes=[Route("/", hear, methods=["POST"])])) as port:
        assert w.settings.secret_key is not None
        seal = Seal(w.settings.secret_key.get_secret_value().encode())
        async with w.db.write() as session:
            tenant = (await session.exec(select(Tenant).where(Tenant.slug == "default"))).one()
            url = f"http://127.0.0.1:{port}/"
            endpoint, _ = await endpoints.add(
                session, tenant.id, url, only_public=False, seal=seal, now=utc_now()
            )
        yield told
    async with w.db.write() as session:  # it is gone, and so says the last of its answers
        (await session.get_one(WebhookEndpoint, endpoint.id)).disabled_at = utc_now()


async def come_through_every_door(w: World, who: Someone) -> None:
    """Call, text, chat, fill forms; be delivered, refused, escalated, merged."""
    await _write(w, who)
    await _be_refused(w, who)
    await _type(w, who)
    await _phone(w, who)
    await _be_taken_for_one(w, who)
    async with w.db.write() as session:
        talks = select(Conversation).where(Conversation.session_key == f"{who.word}-chat")
        talk = (await session.exec(talks)).one()
        await tasks.ask_call_back(session, talk, f"about the {who.word}", now=utc_now())
    await w.texter(who.number).text(f"how do I unsubscribe from {who.word} news")
    await w.texter(who.number).text("STOP")
    await until(lambda: is_quiet(w), seconds=30)


async def _write(w: World, who: Someone) -> None:
    texter = w.texter(who.number)
    for words in (f"Hi, I have a {who.word} bike", who.name, "30093", "yes", "2020", "Yamaha"):
        await w.reply_to(texter, words)
    await texter.text("MT-07", media=[(f"{w.twilio.api_base_url}/Media/{who.word}", "image/png")])
    await w.texter(who.number, whatsapp=True).text(f"the {who.word} one")


async def _type(w: World, who: Someone) -> None:
    person = {"name": who.name, "phone": who.number, "email": who.email}
    said = await w.chat(f"My {who.word} bike, I am {who.name}", session_id=f"{who.word}-chat")
    talk = f"/api/v1/conversations/{said['conversation_id']}"
    key = {"Idempotency-Key": f"{who.word}-key"}
    for path, body in (
        ("/webhooks/live-chat", {**person, "message": who.word, "session_id": f"{who.word}-live"}),
        ("/webhooks/web-form", {**person, "message": who.word, "event_id": f"{who.word}-form"}),
        (
            "/webhooks/missed-call",
            {"phone": who.other_number, "called": BUSINESS, "name": who.name},
        ),
        (
            "/api/v1/leads",
            {**person, "message": f"a {who.word}", "source": "fair", "consent": True},
        ),
        (f"{talk}/escalate", {"reason": f"wants {who.word}"}),
        (f"{talk}/messages", {"message": f"Dear {who.first}, a {who.word} it is"}),
    ):
        answer = await w.http.post(path, json=body, headers=key if "api" in path else {})
        assert answer.is_success, f"{path}: {answer.text}"
        key = {"Idempotency-Key": f"{who.word}-{len(path)}"}


async def _phone(w: World, who: Someone) -> None:
    talk = [
        (Role.ASSISTANT, "Who is calling, please?"),
        (Role.CALLER, f"{who.name}, it is about the {who.word}"),
    ]
    sid = f"CA{who.first}"
    conversation = await call(w.db, talk, caller=who.number, sid=sid, now=utc_now())
    await until(lambda: _is_over(w.db, conversation), seconds=30)


async def _be_refused(w: World, who: Someone) -> None:
    """Fill in a form whose lead the buyer does not take."""
    right, w.npa.password = w.npa.password, "changed"
    person = {"name": who.name, "phone": who.number, "email": who.email}
    bike = {"zip_code": "30093", "vehicle_year": 2020, "vehicle_make": "Yamaha"}
    form = {**person, **bike, "vehicle_model": "MT-07", "event_id": f"{who.word}-refused"}
    before = len(await rows(w.db, FailedLead))
    assert (await w.http.post("/webhooks/web-form", json=form)).is_success

    async def is_refused() -> bool:
        return len(await rows(w.db, FailedLead)) > before

    await until(is_refused)
    w.npa.password = right


async def _is_over(db: Database, conversation: Conversation) -> bool:
    async with db.read() as session:
        row = await session.get_one(Conversation, conversation.id)
        # The sweeper closes the line, and writes down what it has used.
        return row.status == ConversationStatus.FINISHED and row.line_closed_at is not None


async def _be_taken_for_one(w: World, who: Someone) -> None:
    """Become one with whom they are not seen to be: a chat, and the other number."""
    while len(ones := await _contacts(w, who)) > 1:
        async with w.db.write() as session:
            pair = await merging.lock_contacts(session, [one.id for one in ones[:2]])
            await merging.merge(session, *pair, reason=f"both {who.name}", now=utc_now())


async def _contacts(w: World, who: Someone) -> list[Contact]:
    is_theirs = or_(
        col(Conversation.from_number).in_((who.number, who.other_number)),
        col(Conversation.session_key).startswith(who.word),
    )
    query = (
        select(Contact)
        .join(Lead, col(Lead.contact_id) == col(Contact.id))
        .join(Conversation, col(Conversation.lead_id) == col(Lead.id))
        .where(is_theirs)
    )
    async with w.db.read() as session:
        found = {one.id: one for one in (await session.exec(query)).all()}
    return list(found.values())


async def is_quiet(w: World) -> bool:
    """Whether everything was done that was begun; what waits for its time is not meant."""
    states = {
        *(row.state for row in await rows(w.db, WebhookDelivery)),
        *(row.state for row in await rows(w.db, Submission) if not row.next_attempt_at),
        *(row.state for row in await w.messages()),
    }
    return not states & {"pending", "in_flight"}


async def found_in(db: Database, traces: Collection[str]) -> list[str]:
    """Return the rows, of the jobs as well, that have any of these in any letters."""
    lines = [line async for line in _lines(db)]
    wanted = [trace.casefold() for trace in traces]
    return [line for line in lines if any(one in line.casefold() for one in wanted)]


async def _lines(db: Database) -> AsyncIterator[str]:
    if db.is_sqlite:
        path = database_path(db.url)
        assert path is not None
        for line in (*_of_file(path), *_of_file(jobs_path(path))):
            yield line
        return
    async with db.read() as session:
        tables = text(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'dbos')"
        )
        connection = await session.connection()
        for schema, table in (await connection.execute(tables)).all():
            found = await connection.execute(text(f'SELECT t::text FROM "{schema}"."{table}" AS t'))
            for (row,) in found:
                yield f"{table}: {row}"


def _of_file(path: Path) -> Iterator[str]:
    with sqlite3.connect(path) as connection:
        tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
        for (name,) in connection.execute(tables).fetchall():
            for row in connection.execute(f'SELECT * FROM "{name}"'):
                yield f"{name}: {row}"
    connection.close()


def in_files(db: Database, traces: Collection[str]) -> list[str]:
    """Return which of these stand anywhere in the files of SQLite, also where no row is."""
    path = database_path(db.url)
    assert path is not None
    found = []
    for file in sorted(path.parent.glob(f"{path.stem}*")):
        content = file.read_bytes().lower()
        found += [f"{file.name}: {one}" for one in traces if one.lower().encode() in content]
    return found
