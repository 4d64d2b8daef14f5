"""A message that is committed is answered, once, whoever dies in between."""

from datetime import timedelta

import pytest

from ivr.channels import desk, lease
from ivr.db.tables import Conversation, utc_now
from tests.channels.world import World, world
from tests.leads.cast import until


async def test_a_message_left_unanswered_by_a_dead_process_is_answered_by_the_next(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "BURST_SECONDS", 60.0)  # the process dies before it answers
    monkeypatch.setattr(desk, "CLOSING_SECONDS", 0.0)
    monkeypatch.setattr(desk, "SWEEP_SECONDS", 60.0)
    async with world(database_url) as w:
        john = w.texter()
        await john.text("Hello")
        await w.stop()
        assert [turn.role for turn in (await w.books()).turns] == []

        monkeypatch.setattr(desk, "SWEEP_SECONDS", 0.1)
        await w.start()
        await until(lambda: len(john.received) == 1)
        turns = await w.turns(await w.conversation("sms"))
    assert [role for role, _ in turns] == ["user", "assistant"]
    assert len(john.received) == 1


async def test_what_a_killed_process_had_claimed_is_answered_when_its_lease_ends(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "BURST_SECONDS", 60.0)
    monkeypatch.setattr(desk, "CLOSING_SECONDS", 0.0)
    async with world(sqlite_url) as w:
        john = w.texter()
        await john.text("Hello")
        await _claim(w, utc_now() + lease.LEASE / 2)
        await w.stop()
        await w.start()
        await until(lambda: _was_swept(w, john.number))
        assert john.received == []
        await _claim(w, utc_now() - timedelta(seconds=1))
        await until(lambda: len(john.received) == 1)
    assert len(john.received) == 1


async def _claim(w: World, until_: object) -> None:
    key = (await w.conversation("sms")).id
    async with w.db.write() as session:
        (await session.get_one(Conversation, key)).answering_until = until_  # type: ignore[assignment]  # a time


async def _was_swept(w: World, number: str) -> bool:
    """Somebody else who writes now is answered by this process."""
    other = w.texter("+17705550999")
    await w.chat("Hello")
    return other.number != number
