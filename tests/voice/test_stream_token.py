"""A token opens one stream of one call, once."""

from ivr import conversations
from ivr.db import Database
from ivr.db.tables import Conversation
from ivr.voice import stream_token
from tests.leads.cast import NOW, call

KEY = b"k" * 32


async def _redeem(db: Database, token: str, call_sid: str = "CA1") -> Conversation | None:
    async with db.write() as session:
        return await stream_token.redeem(
            session, KEY, token=token, call_sid=call_sid, carrier="web", now=NOW
        )


async def test_a_token_opens_the_stream_of_its_call_once(db: Database) -> None:
    conversation = await call(db, sid="CA1")
    token = stream_token.issue(KEY, conversation)
    opened = await _redeem(db, token)
    assert opened is not None
    assert (opened.id, opened.streaming, opened.streams) == (conversation.id, True, 1)
    assert (opened.carried_by, opened.stream_opened_at) == ("web", NOW)
    assert await _redeem(db, token) is None


async def test_a_repeated_webhook_is_given_the_same_token(db: Database) -> None:
    conversation = await call(db)
    assert stream_token.issue(KEY, conversation) == stream_token.issue(KEY, conversation)


async def test_each_stream_of_a_call_has_a_token_of_its_own(db: Database) -> None:
    first = stream_token.issue(KEY, await call(db, sid="CA1"))
    opened = await _redeem(db, first)
    assert opened is not None
    async with db.write() as session:
        await conversations.stream_lost(session, opened.id, stream=1, reason="server_stopped")
    second = stream_token.issue(KEY, opened)
    assert second != first
    resumed = await _redeem(db, second)
    assert resumed is not None
    assert (resumed.streams, resumed.streaming, resumed.end_reason) == (2, True, None)
    assert [await _redeem(db, token) for token in (first, second)] == [None, None]


async def test_a_token_of_another_call_key_or_stream_opens_nothing(db: Database) -> None:
    first, second = await call(db, sid="CA1"), await call(db, sid="CA2")
    mine, others = stream_token.issue(KEY, first), stream_token.issue(KEY, second)
    forged = stream_token.issue(b"x" * 32, first)
    renumbered = mine.replace(f"{first.id}.1.", f"{first.id}.2.")
    wrong = (forged, others, renumbered, "", "nonsense", "é", f"{first.id}.1.", str(first.id))
    for token in wrong:
        assert await _redeem(db, token) is None
    assert await _redeem(db, mine) is not None
