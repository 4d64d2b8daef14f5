"""A lead whose profile hands over by webhook: written, signed, taken; refused, and sent again."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ivr.cli.leads import failed_app
from ivr.db.tables import Submission
from ivr.leads.delivery import delays
from tests.channels.world import World, world
from tests.leads.cast import rows, until
from tools.emulators.receiver import LeadReceiver, ReceiverFaults

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of no secret...").decode()
TOLD = ("My name is Ahmed and I want to learn CTA", "+92 300 1234567", "Bachelor of Commerce")
GOAL = "my own practice"
AHMED = {
    "name": "Ahmed",
    "phone": "+923001234567",
    "selected_course": "CTA",
    "education_level": "Bachelor of Commerce",
    "goal": GOAL,
    "demo_shared": "true",
}


@asynccontextmanager
async def centre(url: str) -> AsyncIterator[tuple[World, LeadReceiver]]:
    """A training centre, and the receiver of its leads."""
    async with LeadReceiver(SECRET) as receiver:
        target = {"target_webhook_url": receiver.url, "target_webhook_secret": SECRET}
        async with world(url, profile="courses", **target) as w:
            yield w, receiver


async def ahmed_writes(w: World) -> None:
    """Somebody tells in a chat all that an adviser needs."""
    for words in (*TOLD, GOAL):
        await w.chat(words, session_id="ahmed")


async def test_a_lead_of_courses_reaches_its_receiver_signed(database_url: str) -> None:
    async with centre(database_url) as (w, receiver):
        await ahmed_writes(w)
        books = await w.submitted()

    (taken,), (lead,) = receiver.taken, books.succeeded
    assert taken.data == AHMED
    assert (lead.channel, books.failed) == ("chat", [])
    assert AHMED.items() <= lead.lead_data.items()
    (submission,) = books.submissions
    assert (submission.target, submission.state, submission.attempts) == ("webhook", "succeeded", 1)
    assert taken.message_id == str(submission.id)


async def test_a_receiver_that_is_away_gets_the_lead_by_itself_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delays, "DELAYS", (timedelta(0),))
    async with centre(database_url) as (w, receiver):
        receiver.faults = ReceiverFaults(status=503, times=1)
        await ahmed_writes(w)
        books = await w.submitted()

    (failed,), (submission,) = books.failed, books.submissions
    assert (submission.state, submission.attempts) == ("succeeded", 2)
    assert "503" in failed.error_message and failed.resolved
    assert [one.data for one in receiver.taken] == [AHMED]


async def test_a_receiver_that_broke_gets_the_lead_again_only_by_force(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(delays, "DELAYS", (timedelta(0),))
    async with centre(database_url) as (w, receiver):
        receiver.faults = ReceiverFaults(status=500, times=1)
        await ahmed_writes(w)

        async def has_failed() -> bool:
            return bool((await w.books()).failed)

        await until(has_failed)
        await w.stop()
        books, asked = await w.books(), receiver.requests
        (failed,), (item,) = books.failed, books.reviews
        monkeypatch.chdir(tmp_path)  # no .env of this machine
        monkeypatch.setenv("DATABASE_URL", w.settings.database_url)
        monkeypatch.setenv("TARGET_WEBHOOK_URL", receiver.url)
        monkeypatch.setenv("TARGET_WEBHOOK_SECRET", SECRET)
        retry = partial(asyncio.to_thread, CliRunner().invoke, failed_app)
        unsure = await retry(["retry", str(failed.id)])
        forced = await retry(["retry", str(failed.id), "--force"])
        (submission,) = await rows(w.db, Submission)

    assert "500" in failed.error_message and item.kind == "ambiguous_submission"
    assert asked == 1, "it may have the lead: nobody sends it again unasked"
    assert unsure.exit_code == 1 and "may have been taken" in unsure.output
    assert forced.exit_code == 0, forced.output
    assert (submission.state, submission.attempts) == ("succeeded", 2)
    assert [(one.message_id, one.data) for one in receiver.taken] == [(str(submission.id), AHMED)]
