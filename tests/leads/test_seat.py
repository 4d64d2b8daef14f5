"""Executor ids: two living processes never share one, whatever their settings say."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from ivr.db import Database
from ivr.db.tables import SubmissionAttempt
from ivr.leads import seat
from ivr.leads.profile import load_profile
from ivr.leads.road import Road
from tests.leads.cast import TALK, call, is_finished, rows, settings_for, until
from tools.emulators.npa import NpaEmulator


async def lock_holders(db: Database) -> set[int]:
    """The connections of this PostgreSQL database that hold a seat."""
    query = """
        SELECT array_agg(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
    async with db.read() as session:
        return set(await session.scalar(text(query)) or ())


async def terminate(db: Database, pids: set[int]) -> None:
    assert pids
    async with db.read() as session:
        for pid in pids:
            await session.scalar(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})


async def is_held_by_another(db: Database, than: set[int]) -> bool:
    holders = await lock_holders(db)
    return bool(holders) and holders.isdisjoint(than)


async def test_a_taken_id_is_left_to_the_process_that_lives(database_url: str) -> None:
    one, other = Database(database_url), Database(database_url)
    async with seat.take(one, "web") as first, seat.take(other, "web") as second:
        assert first == "web"
        assert second.startswith("web-")
        assert await seat.is_taken(one, second), "the name that nobody had is locked too"
        async with seat.take(other, "night/shift") as third:
            assert third == "night/shift"
    async with seat.take(other, "web") as later:
        assert later == "web", "free again"
    await one.close()
    await other.close()


async def test_a_seat_is_taken_as_long_as_its_process_lives(database_url: str) -> None:
    one, other = Database(database_url), Database(database_url)
    assert not await seat.is_taken(other, "web")
    async with seat.take(one, "web"):
        assert await seat.is_taken(other, "web")
        assert await seat.is_taken(one, "web")
        assert not await seat.is_taken(other, "night/shift")
    assert not await seat.is_taken(other, "web")
    async with seat.take(other, "web") as later:
        assert later == "web", "whoever looked has let go"
    await one.close()
    await other.close()


async def test_a_seat_is_kept_when_postgresql_cuts_its_connection(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "LOOK_SECONDS", 0.05)
    one, other = Database(postgres_url), Database(postgres_url)
    async with seat.take(one, "web"):
        for _ in range(2):
            cut_off = await lock_holders(other)
            await terminate(other, cut_off)
            await until(lambda cut_off=cut_off: is_held_by_another(other, cut_off), seconds=30)
            assert await seat.is_taken(other, "web")
        async with seat.take(other, "web") as second:
            assert second != "web"
    assert not await seat.is_taken(other, "web")
    await one.close()
    await other.close()


async def test_a_seat_lost_to_another_process_is_taken_back_when_that_leaves(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "_DEATH_TRIES", 1)
    monkeypatch.setattr(seat, "LOOK_SECONDS", 0.3)
    one, other = Database(postgres_url), Database(postgres_url)
    async with seat.take(one, "web"):
        await terminate(other, await lock_holders(other))
        async with seat.take(other, "web") as thief:
            assert thief == "web"
            held = await lock_holders(other)
        await until(lambda: is_held_by_another(other, held), seconds=30)
    await one.close()
    await other.close()


async def test_a_twin_sends_under_a_name_that_is_its_own(db: Database, npa: NpaEmulator) -> None:
    conversation = await call(db, TALK)
    settings = settings_for(db.url, npa.base_url, executor_id="web")
    async with (
        httpx.AsyncClient() as http,
        seat.take(db, "web"),
        Road.open(settings, db, http, load_profile) as road,
    ):
        await until(lambda: is_finished(db, conversation.id))
        assert await road.submissions.recover(opened_at=road.opened_at + timedelta(hours=1)) == 0
    (attempt,) = await rows(db, SubmissionAttempt)
    assert attempt.actor.startswith("web-")
