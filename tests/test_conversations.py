"""One exchange: its streams, its end, and how it goes on after that."""

from datetime import timedelta
from typing import Any

from ivr import conversations
from ivr.db import Database
from ivr.db.tables import Conversation, ConversationStatus, Role
from tests.leads.cast import NOW, call


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
            stream=0,
            reason="goodbye",
            finish_after=lease + timedelta(hours=1),
            usage={},
            now=NOW,
        )
    row = await _row(db, conversation)
    assert (row.finish_after, row.end_reason, row.streaming) == (NOW, "goodbye", False)


async def _close(db: Database, conversation: Conversation, *, stream: int, **usage: Any) -> None:
    async with db.write() as session:
        await conversations.stream_closed(
            session,
            conversation.id,
            stream=stream,
            reason="caller_hung_up",
            finish_after=NOW,
            usage={"voice": usage},
            now=NOW,
        )


async def test_what_the_streams_of_a_call_used_is_added_up(db: Database) -> None:
    conversation = await call(db)
    await _close(db, conversation, stream=0, model="one", tokens=3)
    await _close(db, conversation, stream=0, model="two", tokens=4)
    used = (await _row(db, conversation)).usage
    assert used == {"voice": {"model": "two", "tokens": 7}}


async def test_a_stream_that_was_given_up_does_not_end_the_one_after_it(db: Database) -> None:
    conversation = await call(db)
    async with db.write() as session:
        row = await conversations.by_id(session, conversation.id)
        row.streaming, row.streams = True, 2
    await _close(db, conversation, stream=1, tokens=3)
    row = await _row(db, conversation)
    assert (row.streaming, row.end_reason, row.usage) == (True, None, {"voice": {"tokens": 3}})


async def test_a_stream_is_offered_twice_and_again_to_the_same_request(db: Database) -> None:
    conversation = await call(db)

    async def offer(request: str) -> bool:
        async with db.write() as session:
            return await conversations.stream_offered(session, conversation.id, request=request)

    requests = ("one", "one", "two", "one", "three", "")
    assert [await offer(request) for request in requests] == [True] * 4 + [False] * 2
    async with db.write() as session:
        (await conversations.by_id(session, conversation.id)).streams = 1
    assert await offer("four")


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


async def test_the_latest_turns_come_in_their_order(db: Database) -> None:
    conversation = await call(db, [(Role.CALLER, str(number)) for number in range(9)])
    async with db.read() as session:
        turns = await conversations.latest_turns(session, conversation.id, 4)
        all_of_them = await conversations.latest_turns(session, conversation.id, 50)
    assert [turn.text for turn in turns] == ["5", "6", "7", "8"]
    assert len(all_of_them) == 9


async def test_what_answers_take_is_added_up(db: Database) -> None:
    conversation = await call(db)
    took = {"text": {"requests": 2, "model": "small"}}
    async with db.write() as session:
        row = await conversations.by_id(session, conversation.id)
        conversations.add_usage(row, took)
        conversations.add_usage(row, took | {"text": {**took["text"], "model": "large"}})
    assert (await _row(db, conversation)).usage == {"text": {"requests": 4, "model": "large"}}
