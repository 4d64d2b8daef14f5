"""The rows of calls with an open stream say so, as long as it is open."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import structlog

from ivr import conversations
from ivr.db import Database, engine
from ivr.db.tables import Conversation, utc_now
from ivr.leases import Leases
from tests.db.wire import wire_to
from tests.leads.cast import NOW, call, reread, until

GRACE = timedelta(seconds=0.2)


@pytest.fixture
async def leases(db: Database) -> AsyncIterator[Leases]:
    leases = Leases(db, grace=GRACE)
    yield leases
    await leases.close()


async def _streaming(db: Database, sid: str = "CA1") -> Conversation:
    conversation = await call(db, sid=sid)
    async with db.write() as session:
        (await conversations.by_id(session, conversation.id)).streaming = True
    return conversation


async def _is_renewed(db: Database, conversation: Conversation, since: object = NOW) -> bool:
    row = await reread(db, conversation)
    return row.finish_after is not None and row.finish_after > since  # type: ignore[operator]


def _nothing() -> None:
    pass


async def test_all_calls_are_renewed_again_and_again(db: Database, leases: Leases) -> None:
    one, two = await _streaming(db, "CA1"), await _streaming(db, "CA2")
    with leases.hold(one.id, _nothing), leases.hold(two.id, _nothing):
        for _ in range(3):
            now = utc_now() + GRACE
            await until(lambda now=now: _is_renewed(db, one, now))  # type: ignore[misc]
            await until(lambda now=now: _is_renewed(db, two, now))  # type: ignore[misc]


async def test_a_stream_that_has_closed_is_not_renewed(db: Database, leases: Leases) -> None:
    closed, other = await call(db, sid="CA1"), await _streaming(db, "CA2")
    with leases.hold(closed.id, _nothing), leases.hold(other.id, _nothing):
        await until(lambda: _is_renewed(db, other))
    assert not await _is_renewed(db, closed)


async def test_a_call_whose_line_has_closed_is_told_so(db: Database, leases: Leases) -> None:
    over, other = await _streaming(db, "CA1"), await _streaming(db, "CA2")
    async with db.write() as session:
        (await conversations.by_id(session, over.id)).line_closed_at = NOW
    told: list[str] = []
    with (
        leases.hold(over.id, lambda: told.append("over")),
        leases.hold(other.id, lambda: told.append("other")),
    ):
        await until(lambda: bool(told))
    assert set(told) == {"over"}


async def test_the_lease_outlasts_an_outage(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RETRY_SECONDS", 0.01)
    with wire_to(postgres_url) as (wire, url):
        db = Database(url)
        conversation = await _streaming(db)
        leases = Leases(db, grace=GRACE)
        with leases.hold(conversation.id, _nothing):
            with structlog.testing.capture_logs() as logs:
                wire.cut()
                await until(lambda: "the database is down" in str(logs))
            wire.mend()
            mended_at = utc_now()
            await until(lambda: _is_renewed(db, conversation, mended_at))
        await leases.close()
        await db.close()
