"""Executor ids: two living processes never share one, whatever their settings say."""

from datetime import timedelta

import httpx

from ivr.db import Database
from ivr.db.tables import SubmissionAttempt
from ivr.leads import seat
from ivr.leads.profile import load_profile
from ivr.leads.road import Road
from tests.leads.cast import TALK, call, is_finished, rows, settings_for, until
from tools.emulators.npa import NpaEmulator


async def test_a_taken_id_is_left_to_the_process_that_lives(database_url: str) -> None:
    one, other = Database(database_url), Database(database_url)
    async with seat.take(one, "web") as first, seat.take(other, "web") as second:
        assert first == "web"
        assert second.startswith("web-")
        async with seat.take(other, "night/shift") as third:
            assert third == "night/shift"
    async with seat.take(other, "web") as later:
        assert later == "web", "free again"
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
