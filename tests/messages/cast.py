"""The cast of the message tests: a contact who writes, the business's rows, and an outbox."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
from sqlmodel import col, select

from ivr.db import Database
from ivr.db.tables import (
    Channel,
    Conversation,
    Direction,
    Message,
    MessageState,
    Purpose,
    Tenant,
    utc_now,
)
from ivr.leads.attention import tasks
from ivr.messages import store
from ivr.messages.outbox import Outbox
from ivr.vendors.twilio_messages import TwilioMessages
from tests.calls.world import PUBLIC, SID, TOKEN
from tests.leads.cast import call
from tools.emulators.twilio import TwilioEmulator

JOHN, BUSINESS = "+17705550123", "+18005551212"


@asynccontextmanager
async def twilio_alone(**options: Any) -> AsyncIterator[TwilioEmulator]:
    """Twilio without a server of ours behind it."""
    options = {"webhook": "http://127.0.0.1:9/voice", "public_base_url": PUBLIC, **options}
    async with TwilioEmulator(SID, TOKEN, **options) as twilio:
        yield twilio


async def texting(
    db: Database,
    *,
    channel: Channel = Channel.SMS,
    number: str = JOHN,
    wrote_at: datetime | None = None,
) -> Conversation:
    """John has just written, or `wrote_at` that time."""
    now = wrote_at or utc_now()
    conversation = await call(db, caller=number, sid=f"{channel}:{number}", now=now)
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        row.channel, row.session_key = channel, number
        await store.received(
            session,
            row,
            body="Hi",
            sender=number,
            recipient=BUSINESS,
            provider_id=f"SM{uuid.uuid4().hex}",
            now=now,
        )
    return row


async def queued(
    db: Database,
    conversation: Conversation,
    text: str = "What year is it?",
    *,
    purpose: Purpose = Purpose.REPLY,
    **options: Any,
) -> uuid.UUID:
    """Have the business write something, and return the row's id."""
    now = options.pop("now", None) or utc_now()
    async with db.write() as session:
        message = await store.queue(
            session, conversation, text, purpose=purpose, now=now, **options
        )
    return message.id


async def outgoing(db: Database) -> list[Message]:
    """Every row that was to go out, in its order."""
    query = (
        select(Message).where(Message.direction == Direction.OUT).order_by(col(Message.created_at))
    )
    async with db.read() as session:
        return list((await session.exec(query)).all())


async def states(db: Database) -> list[str]:
    return [message.state for message in await outgoing(db)]


async def in_state(db: Database, *wanted: MessageState) -> bool:
    return await states(db) == list(wanted)


async def nothing_waits(db: Database) -> bool:
    """Whether every message has gone out or never will."""
    return not {MessageState.PENDING, MessageState.IN_FLIGHT} & set(await states(db))


async def tenant_is(db: Database, **values: Any) -> None:
    """Change the one tenant there is."""
    async with db.write() as session:
        tenant = (await session.exec(select(Tenant))).one()
        for name, value in values.items():
            setattr(tenant, name, value)


class Hurried:
    """The real clock, put forward by hand: nobody sits out a back-off."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@asynccontextmanager
async def outbox_of(
    db: Database, twilio: TwilioEmulator, *, timeout_s: float = 10.0, **options: Any
) -> AsyncIterator[Outbox]:
    """The outbox of one process, without its loop: `rounds` does the work."""
    async with httpx.AsyncClient() as http:
        rest = TwilioMessages(
            http, SID, TOKEN, api_base_url=twilio.api_base_url, timeout_s=timeout_s
        )
        options = {"on_undeliverable": tasks.write_back, **options}
        yield Outbox(db, rest, **options)


LONG = timedelta(hours=2)  # beyond every back-off


async def to_the_end(outbox: Outbox, clock: Hurried | None = None, *, rounds: int = 40) -> None:
    """Have the outbox work until it has nothing to do, putting the clock forward."""
    idle = 0
    for _ in range(rounds):
        idle = 0 if await outbox.send_due() else idle + 1
        if idle > 2:
            return
        if clock is not None:
            clock.ahead += LONG
