"""A stream's token opens one stream, once."""

from ivr.db import Database
from ivr.db.tables import Conversation
from ivr.voice import stream_token
from tests.leads.cast import NOW, call

KEY = b"k" * 32


async def _redeem(db: Database, token: str, call_sid: str = "CA1") -> Conversation | None:
    async with db.write() as session:
        return await stream_token.redeem(session, KEY, token=token, call_sid=call_sid, now=NOW)


async def test_a_token_opens_the_stream_of_its_call_once(db: Database) -> None:
    conversation = await call(db, sid="CA1")
    token = stream_token.issue(KEY, conversation.id)
    opened = await _redeem(db, token)
    assert opened is not None
    assert (opened.id, opened.streaming) == (conversation.id, True)
    assert await _redeem(db, token) is None


async def test_a_repeated_webhook_is_given_the_same_token(db: Database) -> None:
    conversation = await call(db)
    assert stream_token.issue(KEY, conversation.id) == stream_token.issue(KEY, conversation.id)


async def test_a_token_of_another_call_or_key_opens_nothing(db: Database) -> None:
    first, second = await call(db, sid="CA1"), await call(db, sid="CA2")
    forged = stream_token.issue(b"x" * 32, first.id)
    others = stream_token.issue(KEY, second.id)
    for token in (forged, others, "", "nonsense", "é", f"{first.id}.", str(first.id)):
        assert await _redeem(db, token) is None
    assert await _redeem(db, stream_token.issue(KEY, first.id)) is not None
