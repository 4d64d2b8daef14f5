"""Turns are written behind, never lost, and in order."""

import asyncio
from datetime import timedelta

import pytest
import structlog

from ivr import conversations
from ivr.conversations import Said, TurnWriter
from ivr.db import Database
from ivr.db.tables import Conversation, ConversationStatus, Role
from tests.db.wire import wire_to
from tests.leads.cast import NOW, call, until


def said(item_id: str, position: int, text: str, *, cut: bool = False) -> Said:
    return Said(item_id, position, Role.ASSISTANT, text, NOW, cut=cut)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "RETRY_SECONDS", 0.01)


async def _texts(db: Database, conversation: Conversation) -> list[str]:
    async with db.read() as session:
        return [turn.text for turn in await conversations.transcript(session, conversation.id)]


async def test_turns_are_written_while_the_call_runs_and_in_order(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(db, conversation)
    writer.put(said("b", 1, "second"))
    writer.put(said("a", 0, "first"))

    async def written() -> bool:
        return await _texts(db, conversation) == ["first", "second"]

    await until(written)
    await writer.close()


async def test_closing_writes_what_still_waits(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(db, conversation)
    for number in range(50):
        writer.put(said(f"item_{number}", number, str(number)))
    await writer.close()
    assert await _texts(db, conversation) == [str(number) for number in range(50)]


async def test_a_turn_that_was_cut_replaces_the_whole_one(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(db, conversation)
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
        writer = TurnWriter(db, conversation)
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
        writer = TurnWriter(db, conversation)
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
    monkeypatch.setattr(conversations, "LAST_TRIES_SECONDS", 0.0)
    with wire_to(postgres_url) as (wire, url):
        db = Database(url)
        writer = TurnWriter(db, await call(db))
        wire.cut()
        writer.put(said("a", 0, "lost"))
        with structlog.testing.capture_logs() as logs:
            await writer.close()
        await db.close()
    assert logs[-1]["event"] == "turns lost"
    assert logs[-1]["turns"] == 1


async def test_a_nul_is_left_out_of_what_was_said(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(db, conversation)
    writer.put(said("a", 0, "he\0llo"))
    await writer.close()
    assert await _texts(db, conversation) == ["hello"]


async def test_a_turn_that_cannot_be_written_keeps_back_no_other(db: Database) -> None:
    conversation = await call(db)
    writer = TurnWriter(db, conversation)
    for number, text in enumerate(["first", "half a letter: \ud800", "last"]):
        writer.put(said(f"item_{number}", number, text))
    with structlog.testing.capture_logs() as logs:
        await writer.close()
    assert await _texts(db, conversation) == ["first", "last"]
    assert [line["event"] for line in logs] == ["turn dropped"]


async def _row(db: Database, conversation: Conversation) -> Conversation:
    async with db.read() as session:
        return await conversations.by_id(session, conversation.id)


async def test_a_call_that_is_over_is_finished_at_once(db: Database) -> None:
    conversation = await call(db)
    later = NOW + timedelta(seconds=5)
    async with db.write() as session:
        await conversations.continue_until(session, conversation.id, NOW + timedelta(hours=1))
        await conversations.call_over(session, conversation.id, now=later)
    row = await _row(db, conversation)
    assert (row.ended_at, row.finish_after) == (later, later)


async def test_a_call_that_is_over_waits_for_its_stream_to_close(db: Database) -> None:
    conversation = await call(db)
    lease = NOW + timedelta(seconds=20)
    async with db.write() as session:
        row = await conversations.by_id(session, conversation.id)
        row.streaming, row.finish_after = True, lease
    async with db.write() as session:
        await conversations.call_over(session, conversation.id, now=NOW)
    assert (await _row(db, conversation)).finish_after == lease

    async with db.write() as session:
        await conversations.stream_closed(
            session,
            conversation.id,
            reason="goodbye",
            finish_after=lease + timedelta(hours=1),
            usage={},
            now=NOW,
        )
    row = await _row(db, conversation)
    assert (row.finish_after, row.end_reason, row.streaming) == (NOW, "goodbye", False)


async def test_going_on_after_the_end_is_the_next_episode(db: Database) -> None:
    conversation = await call(db)
    async with db.write() as session:
        row = await conversations.by_id(session, conversation.id)
        row.status = ConversationStatus.FINISHED
    later = NOW + timedelta(minutes=1)
    async with db.write() as session:
        await conversations.continue_until(session, conversation.id, later)
    row = await _row(db, conversation)
    assert (row.status, row.episode, row.finish_after) == (ConversationStatus.OPEN, 2, later)
