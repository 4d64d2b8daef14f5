"""The world of who writes: the real server in this loop, and the emulated vendors around it."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlmodel import select

from ivr import api_keys, tenants
from ivr.app import create_app
from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.db.tables import Conversation, KeyKind, Message, Turn, utc_now
from ivr.settings import Settings
from tests.calls.world import NPA_PASSWORD, NPA_USER, PUBLIC, SID, TOKEN, Books, read_books
from tests.leads.cast import until
from tools.emulators.npa import NpaEmulator
from tools.emulators.serving import listen, serve
from tools.emulators.twilio import TwilioEmulator
from tools.emulators.twilio.texter import Texter

BUSINESS = "+18005551212"
JOHN = "+17705550123"
SITE = "https://shop.example"
# What the rules ask for in turn, in the words of somebody who texts.
ANSWERS = ("Hi, I want to sell my bike", "John Doe", "30093", "yes", "2020", "Yamaha", "MT-07")


@dataclass(frozen=True, slots=True)
class World:
    """What a test of written conversations can touch; `http` carries the secret key."""

    settings: Settings
    twilio: TwilioEmulator
    npa: NpaEmulator
    db: Database
    url: str
    http: httpx.AsyncClient
    visitor: httpx.AsyncClient
    listener: socket.socket
    server: AsyncExitStack

    async def start(self) -> None:
        """Start the server under test, also again."""
        app = create_app(self.settings)
        await self.server.enter_async_context(serve(app, listener=self.listener.dup()))

    async def stop(self) -> None:
        """Stop the server under test; the vendors stay."""
        await self.server.aclose()

    def texter(self, number: str = JOHN, **options: Any) -> Texter:
        """Somebody who writes an SMS, or on WhatsApp."""
        if options.get("whatsapp"):
            options["url"] = "/webhooks/whatsapp/inbound"
        return self.twilio.texter(number, BUSINESS, **options)

    async def chat(self, message: str, **more: Any) -> dict[str, Any]:
        """Say something in a chat and return the answer."""
        response = await self.http.post("/chat", json={"message": message, **more})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def reply_to(self, texter: Texter, body: str, **options: Any) -> str:
        """Text something and return what came back."""
        before = len(texter.received)
        await texter.text(body, **options)
        await until(lambda: len(texter.received) > before)
        return str(texter.received[-1]["body"])

    async def books(self) -> Books:
        """Return every row there is now."""
        return await read_books(self.settings.database_url)

    async def conversation(self, channel: str) -> Conversation:
        """Return the one conversation on this channel."""
        async with self.db.read() as session:
            query = select(Conversation).where(Conversation.channel == channel)
            return (await session.exec(query)).one()

    async def turns(self, conversation: Conversation) -> list[tuple[str, str]]:
        """Return who said what in a conversation."""
        async with self.db.read() as session:
            query = select(Turn).where(Turn.conversation_id == conversation.id)
            found = (await session.exec(query.order_by(Turn.position))).all()  # type: ignore[arg-type]  # a column
            return [(turn.role, turn.text) for turn in found]

    async def messages(self) -> Sequence[Message]:
        """Return the messages that came in and went out."""
        async with self.db.read() as session:
            query = select(Message).order_by(Message.created_at)  # type: ignore[arg-type]  # a column
            return (await session.exec(query)).all()

    async def submitted(self, leads: int = 1) -> Books:
        """Wait until so many leads have reached the buyer, and return all rows."""

        async def is_there() -> bool:
            return len((await self.books()).succeeded) >= leads

        await until(is_there)
        return await self.books()


@asynccontextmanager
async def world(database_url: str, **changes: Any) -> AsyncIterator[World]:
    """Open it all, with no model unless `changes` bring one."""
    with listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            NpaEmulator(username=NPA_USER, password=NPA_PASSWORD) as npa,
            TwilioEmulator(
                SID, TOKEN, webhook=f"{url}/twilio/voice", public_base_url=PUBLIC
            ) as twilio,
            AsyncExitStack() as resources,
            AsyncExitStack() as server,
        ):
            settings = settings_for(database_url, twilio, npa, **changes)
            db = Database(settings.database_url, hash_key=hash_key(settings))
            resources.push_async_callback(db.close)
            secret, public = await keys_of_default(db, settings)
            http = await resources.enter_async_context(_client(url, {"X-API-Key": secret}))
            visitor = await resources.enter_async_context(
                _client(url, {"X-API-Key": public, "Origin": SITE})
            )
            w = World(settings, twilio, npa, db, url, http, visitor, listener, server)
            await w.start()
            yield w
            await until(lambda: len(twilio.receipts) >= 2 * len(twilio.messages))


def _client(url: str, headers: dict[str, str]) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=400)
    return httpx.AsyncClient(
        base_url=url, headers=headers, timeout=60, limits=limits, trust_env=False
    )


async def keys_of_default(db: Database, settings: Settings) -> tuple[str, str]:
    """A secret key of the first client, and a publishable one of `SITE`."""
    now = utc_now()
    tenant = await tenants.ensure_default(db, settings, now=now)
    async with db.write() as session:
        _, secret = api_keys.make(session, tenant.id, kind=KeyKind.SECRET, name="test", now=now)
        _, public = api_keys.make(
            session, tenant.id, kind=KeyKind.PUBLISHABLE, name="site", origin=SITE, now=now
        )
    return secret, public


def settings_for(
    database_url: str, twilio: TwilioEmulator, npa: NpaEmulator, **changes: Any
) -> Settings:
    """Return settings that point at the emulators and at nothing of this machine."""
    given = {
        "database_url": database_url,
        "secret_key": "a-secret-key-of-more-than-32-characters",
        "twilio_sid": SID,
        "twilio_auth_token": TOKEN,
        "twilio_phone_number": BUSINESS,
        "twilio_api_base_url": twilio.api_base_url,
        "public_base_url": PUBLIC,
        "npa_api_base_url": npa.base_url,
        "npa_api_username": NPA_USER,
        "npa_api_password": NPA_PASSWORD,
        "max_loop_lag_ms": 60_000,
        "follow_up_first_hour": 0,  # whatever the hour in which the tests run
        "follow_up_last_hour": 24,
    }
    return Settings(_env_file=None, **{**given, **changes})
