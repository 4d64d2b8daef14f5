"""Who comes back in the moment in which they are forgotten: what they say now is not lost."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Lead, utc_now
from ivr.leads.people import erasing, forgetting
from ivr.leads.people.retention import Retention
from ivr.memory import open_memory
from tests.channels.conftest import eager, nobody_calls
from tests.channels.world import JOHN, World, world
from tests.leads.cast import NOW, Clock, call, rows, until
from tests.leads.courses import centre
from tests.leads.people.acquaintances import comes, contact_of
from tests.leads.people.gone_quiet import person
from tests.leads.people.test_lock_order import somebody_waits

__all__ = ["eager", "nobody_calls"]  # both for every test here

DAY = timedelta(days=1)
BACK = "Hello, it is me again"


class SlowRetention(Retention):
    """Everybody whose time has come comes again between the look and the lock."""

    again: Channel = Channel.SMS

    async def _found(self, query: Any) -> Sequence[Any]:
        found = await super()._found(query)
        if found:
            await comes(self._db, self.again, "again", number=JOHN, now=self._clock())
        return found


@pytest.mark.parametrize("door", [Channel.SMS, Channel.VOICE])
async def test_who_comes_back_in_the_last_moment_is_kept(db: Database, door: Channel) -> None:
    before = await person(db, number=JOHN)
    clock = Clock()
    clock.now = NOW + 365 * DAY
    retention = SlowRetention(db, clock=clock)
    retention.again = door
    assert await retention.sweep() == 0
    (closed, begun) = sorted(await rows(db, Lead), key=lambda lead: lead.created_at)
    assert (closed.id, begun.closed_at) == (before.id, None)
    assert len(await rows(db, Conversation)) == 2


class Erasing:
    """Goes on when somebody waits for what it is about to erase."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self._db, self._work = db, erasing.erase
        self.has_begun = asyncio.Event()
        monkeypatch.setattr(erasing, "erase", self)

    async def __call__(self, *given: Any, **more: Any) -> Any:
        self.has_begun.set()
        await until(lambda: somebody_waits(self._db))
        return await self._work(*given, **more)


async def has_texted(w: World) -> Conversation:
    await w.reply_to(w.texter(), "Hi")
    return await w.conversation(Channel.SMS)


async def has_called(w: World) -> Conversation:
    return await call(w.db, caller=JOHN, now=utc_now() + DAY)


async def being_forgotten(
    db: Database, talk: Conversation, monkeypatch: pytest.MonkeyPatch
) -> asyncio.Task[Any]:
    """Begin to forget whose conversation it is; it ends when somebody waits for that."""
    contact_id = await contact_of(db, talk)
    erases = Erasing(db, monkeypatch)
    task = asyncio.create_task(
        forgetting.forget(db, talk.tenant_id, contact_id, actor="test", now=utc_now(), force=True)
    )
    await erases.has_begun.wait()
    return task


@pytest.mark.parametrize("before", [has_texted, has_called])
async def test_a_text_of_whom_we_are_forgetting_is_answered_as_a_stranger_s(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, before: Any
) -> None:
    """On SQLite there is one writer: who texts comes before or after."""
    async with world(postgres_url) as w:
        first = await before(w)
        task = await being_forgotten(w.db, first, monkeypatch)
        await w.reply_to(w.texter(), BACK)
        await task
        talk = await w.conversation(Channel.SMS)
        assert talk.id != first.id
        assert (await w.turns(talk))[0][1] == BACK
        assert len(await rows(w.db, Lead)) == 1


async def test_a_program_goes_on_with_a_conversation_whose_person_we_are_forgetting(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = Database(postgres_url)
    await centre(db)
    with await asyncio.to_thread(open_memory, postgres_url) as memory:
        key = await asyncio.to_thread(memory.start_conversation, "ahmed")
        (first,) = await rows(db, Conversation)
        task = await being_forgotten(db, first, monkeypatch)
        assert await asyncio.to_thread(memory.start_conversation, "ahmed") != key
        await task
        assert await asyncio.to_thread(memory.get_stage, "ahmed") == "NEW"
    assert len(await rows(db, Lead)) == 1
    await db.close()
