"""Who is at the same people at once: nobody waits for ever, and nothing is lost on the way."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from ivr.agent.toolbox import ToolBox
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Lead, Lifecycle, ReviewItem, Tenant
from ivr.leads.attention import merge_review, review
from ivr.leads.people import identity, merging
from ivr.leads.profile import load_profile
from tests.leads.cast import NOW, rows, save, until
from tests.leads.people.acquaintances import (
    HOME,
    PROFILE,
    comes,
    contact_of,
    owner_of,
    says,
    settled,
)

LATER = NOW + timedelta(minutes=5)
NUMBERS = ("+17705550101", "+17705550102")
OPEN = {"lifecycle": Lifecycle.NEW, "closed_at": None}
EMAILS = ("one@example.com", "two@example.com")
_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    """On SQLite there is one writer: nobody gets in anybody's way."""
    db = Database(postgres_url)
    yield db
    await db.close()


async def somebody_waits(db: Database) -> bool:
    """Whether a transaction waits for a row of another one."""
    async with db.read() as session:
        return bool(await (await session.connection()).scalar(_WAITING))


class Pauses:
    """Stops each task that comes by, until another one waits for it or has come by as well."""

    def __init__(self, db: Database, work: Any) -> None:
        self._db, self._work = db, work
        self._come: set[Any] = set()

    async def __call__(self, *given: Any, **more: Any) -> Any:
        result = await self._work(*given, **more)
        self._come.add(asyncio.current_task())

        async def may_go_on() -> bool:
            return len(self._come) > 1 or await somebody_waits(self._db)

        await until(may_go_on, seconds=60)
        return result


async def test_two_who_join_the_same_two_people_the_other_way_round(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has done a step, and wants for the next one whom the other has got hold of."""
    db = postgres
    for number, email in zip(NUMBERS, EMAILS, strict=True):
        await comes(db, Channel.WEB_FORM, email, number=number, email=email)
    crosswise = zip(NUMBERS, reversed(EMAILS), strict=True)
    chats = [await writes(db, phone=phone, email=email) for phone, email in crosswise]
    monkeypatch.setattr(merging, "merge", Pauses(db, merging.merge))
    await asyncio.gather(*(settled(db, chat, now=LATER) for chat in chats))
    owners = {await owner_of(db, "phone", one) for one in NUMBERS}
    assert len(owners | {await contact_of(db, chat) for chat in chats}) == 1


async def test_a_person_s_word_while_one_of_the_two_becomes_one_with_a_third(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question hangs on a lead that a merge moves just then."""
    db, open_item = postgres, review.open_item
    john = await comes(db, Channel.VOICE, "CA1", number=HOME)
    await says(db, john, {"full_name": "John Doe"})
    await comes(db, Channel.WEB_FORM, "form", email=EMAILS[0])
    chat = await comes(db, Channel.CHAT, "chat", now=LATER)
    chat = await says(db, chat, {"full_name": "Jon Doe", "phone": HOME}, now=LATER)
    (item,) = await rows(db, ReviewItem)
    await types(db, chat, email=EMAILS[0])
    joining: list[asyncio.Task[Any]] = []

    async def pausing(*given: Any, **more: Any) -> ReviewItem:
        found = await open_item(*given, **more)
        if not joining:
            joining.append(asyncio.create_task(settled(db, chat, now=LATER)))

        async def may_go_on() -> bool:
            return joining[0].done() or await somebody_waits(db)

        await until(may_go_on, seconds=60)
        return found

    monkeypatch.setattr(review, "open_item", pausing)
    (tenant,) = await rows(db, Tenant)
    async with db.write() as session:
        assert item.id is not None
        await merge_review.decide(session, load_profile, tenant, item.id, are_one=True, now=LATER)
    await joining[0]
    assert await contact_of(db, chat) == await contact_of(db, john)
    assert await owner_of(db, "email", EMAILS[0]) == await contact_of(db, john)


async def test_who_is_not_this_person_while_somebody_begins_a_lead_of_theirs(
    postgres: Database,
) -> None:
    """One of the two cannot be written, and is done again."""
    db = postgres
    john = await comes(db, Channel.VOICE, "CA1", number=HOME)
    await says(db, john, {"full_name": "John Doe"})
    mary = await comes(db, Channel.VOICE, "CA2", number=HOME, now=LATER)
    mary = await says(db, mary, {"full_name": "Mary Major"}, now=LATER)
    async with db.write() as session:
        before = await session.get_one(Lead, mary.lead_id)
        before.lifecycle, before.closed_at = Lifecycle.SUBMITTED, LATER
    again = await comes(db, Channel.VOICE, "CA3", number=HOME, now=LATER)
    await save(db, again, {"full_name": "Mary Major"})
    toolbox = ToolBox(db, PROFILE, again, zone=ZoneInfo("UTC"), now=lambda: LATER)
    async with db.write() as session:
        begun = await session.get_one(Lead, before.id)
        staff_s = Lead(**{**begun.model_dump(), "id": uuid.uuid4(), **OPEN})
        session.add(staff_s)
        await session.flush()
        left = asyncio.create_task(toolbox.not_this_person(recycled=False))
        await until(lambda: somebody_waits(db), seconds=60)
    await left
    assert toolbox.conversation.lead_id == staff_s.id


async def writes(db: Database, **typed: str) -> Conversation:
    """Have somebody write in a chat, who has typed this beside the first message."""
    key = f"chat-{uuid.uuid4()}"
    return await types(db, await comes(db, Channel.CHAT, key, now=LATER), **typed)


async def types(db: Database, chat: Conversation, **typed: str) -> Conversation:
    async with db.write() as session:
        row = await session.get_one(Conversation, chat.id)
        row.state = {**row.state, identity.TYPED: typed}
    return chat
