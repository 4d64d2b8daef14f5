"""What people are to do: one open call back per lead, ticked off by the beginning of its id."""

import asyncio

import pytest

from ivr.db import Database
from ivr.db.tables import Conversation, Task
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.leads.attention import tasks
from tests.leads.cast import NOW, call


async def ask(db: Database, conversation: Conversation, reason: str = "lines busy") -> None:
    async with db.write() as session:
        await tasks.ask_call_back(session, conversation, reason, now=NOW)


async def listed(db: Database, conversation: Conversation, *, done: bool = False) -> list[Task]:
    async with db.read() as session:
        found = await tasks.of_tenant(session, conversation.tenant_id, include_done=done)
    return list(found)


async def finish(db: Database, conversation: Conversation, beginning: str) -> Task:
    async with db.write() as session:
        tenant = conversation.tenant_id
        return await tasks.finish(session, tenant, beginning, "talked to her", now=NOW)


async def test_a_lead_has_one_open_call_back_however_often_it_is_asked_for(db: Database) -> None:
    conversation = await call(db)
    await asyncio.gather(*(ask(db, conversation) for _ in range(5)))
    assert len(await listed(db, conversation)) == 1


async def test_a_task_is_done_by_the_beginning_of_its_id_and_may_be_asked_for_anew(
    db: Database,
) -> None:
    conversation = await call(db)
    await ask(db, conversation)
    (task,) = await listed(db, conversation)
    done = await finish(db, conversation, str(task.id)[:8].upper())
    assert (done.done_at, done.note) == (NOW, "talked to her")
    assert await listed(db, conversation) == []
    await ask(db, conversation, "again")
    assert [row.reason for row in await listed(db, conversation)] == ["again"]
    assert len(await listed(db, conversation, done=True)) == 2


async def test_a_task_that_is_done_unknown_or_one_of_several_is_refused(
    sqlite_db: Database,
) -> None:
    conversation = await call(sqlite_db)
    await ask(sqlite_db, conversation)
    (task,) = await listed(sqlite_db, conversation)
    await finish(sqlite_db, conversation, str(task.id))
    with pytest.raises(Conflict, match="talked to her"):
        await finish(sqlite_db, conversation, str(task.id))
    with pytest.raises(NotFound):
        await finish(sqlite_db, conversation, "no-such-id")
    await ask(sqlite_db, conversation)
    with pytest.raises(BadRequest, match="more of the id"):
        await finish(sqlite_db, conversation, "")
