"""Turns are written behind, never lost, and in order."""

import asyncio

import pytest
import structlog

from ivr import conversations, turns
from ivr.conversations import Said
from ivr.db import Database, engine
from ivr.db.tables import Conversation, Role
from ivr.turns import TurnLog, TurnWriter
from tests.db.wire import wire_to
from tests.leads.cast import NOW, call, until


def said(item_id: str, position: int, text: str, *, cut: bool = False) -> Said:
    return Said(item_id, position, Role.ASSISTANT, text, NOW, cut=cut)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (engine, turns):
        monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)


async def _texts(db: Database, conversation: Conversation) -> list[str]:
    async with db.read() as session:
        return [turn.text for turn in await conversations.transcript(session, conversation.id)]


async def test_turns_are_written_while_the_call_runs_and_in_order(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(TurnLog(db), conversation)
    writer.put(said("b", 1, "second"))
    writer.put(said("a", 0, "first"))

    async def written() -> bool:
        return await _texts(db, conversation) == ["first", "second"]

    await until(written)
    await writer.close()


async def test_closing_writes_what_still_waits(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(TurnLog(db), conversation)
    for number in range(50):
        writer.put(said(f"item_{number}", number, str(number)))
    await writer.close()
    assert await _texts(db, conversation) == [str(number) for number in range(50)]


async def test_turns_do_not_stand_in_the_queue_of_all_that_writes(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    conversation = await call(db)
    turn_log, seen = TurnLog(db), list[bool]()

    async def write_something() -> None:
        async with db.write():
            seen.append(bool(await _texts(db, conversation)))

    async with db.write():
        others = [asyncio.create_task(write_something()) for _ in range(5)]
        await asyncio.sleep(0)  # now they wait
        turn_log.put(conversation, said("a", 0, "Hello"))
        mine = asyncio.create_task(turn_log.flush())
        await asyncio.sleep(0)
    await asyncio.gather(mine, *others)
    await turn_log.close()
    await db.close()
    assert seen == [True] * 5, "they came first"


async def test_a_turn_that_was_cut_replaces_the_whole_one(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(TurnLog(db), conversation)
    writer.put(said("a", 0, "all of a long answer"))
    writer.put(said("a", 0, "all of", cut=True))
    await writer.close()
    async with db.read() as session:
        [turn] = await conversations.transcript(session, conversation.id)
    assert (turn.text, turn.cut) == ("all of", True)


@pytest.mark.usefixtures("impatient")
async def test_a_database_that_is_away_for_a_while_loses_no_turn(postgres_url: str) -> None:
    with wire_to(postgres_url) as (wire, url):
        db = Database(url)
        conversation = await call(db)
        writer = TurnWriter(TurnLog(db), conversation)
        with structlog.testing.capture_logs() as logs:
            wire.cut()
            writer.put(said("a", 0, "kept"))
            await until(lambda: "turns not written yet" in str(logs))
        wire.mend()

        async def written() -> bool:
            return await _texts(db, conversation) == ["kept"]

        await until(written)
        await writer.close()
        await db.close()


@pytest.mark.usefixtures("impatient")
async def test_the_last_words_wait_for_a_database_that_is_away(postgres_url: str) -> None:
    with wire_to(postgres_url) as (wire, url):
        db = Database(url)
        conversation = await call(db)
        writer = TurnWriter(TurnLog(db), conversation)
        wire.cut()
        writer.put(said("a", 0, "kept"))
        with structlog.testing.capture_logs() as logs:
            closing = asyncio.create_task(writer.close())
            await until(lambda: str(logs).count("turns not written yet") > 2)
        wire.mend()
        await closing
        assert await _texts(db, conversation) == ["kept"]
        await db.close()


async def test_a_database_that_stays_away_does_not_keep_the_writer(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "LAST_TRIES_SECONDS", 0.0)
    with wire_to(postgres_url) as (wire, url):
        db = Database(url)
        writer = TurnWriter(TurnLog(db), await call(db))
        wire.cut()
        writer.put(said("a", 0, "lost"))
        with structlog.testing.capture_logs() as logs:
            await writer.close()
        await db.close()
    assert logs[-1]["event"] == "turns lost"
    assert logs[-1]["turns"] == 1


@pytest.mark.parametrize(
    ("text", "kept"), [("he\0llo", "hello"), ("half a letter: \ud800", "half a letter: \ufffd")]
)
async def test_what_no_database_holds_is_left_out_of_what_was_said(
    db: Database, text: str, kept: str
) -> None:
    conversation = await call(db)
    writer = TurnWriter(TurnLog(db), conversation)
    writer.put(said("a", 0, text))
    await writer.close()
    assert await _texts(db, conversation) == [kept]


async def test_a_turn_that_cannot_be_written_keeps_back_no_other(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(TurnLog(db), conversation)
    for position, text in ((0, "first"), (2**70, "beyond all numbers"), (2, "last")):
        writer.put(said(f"item_{position}", position, text))
    with structlog.testing.capture_logs() as logs:
        await writer.close()
    assert await _texts(db, conversation) == ["first", "last"]
    assert [line["event"] for line in logs] == ["turn dropped"]
