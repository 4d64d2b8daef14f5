"""The schedule: it never stops, and what cannot be done holds up nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import structlog

from ivr.db import Database
from ivr.db.tables import Conversation, Submission, SubmissionState, utc_now
from ivr.jobs import Jobs
from ivr.leads import road as road_module
from ivr.leads.profile import load_profile
from ivr.leads.road import Road, run_scheduler
from ivr.leads.submissions import Submissions
from ivr.runtime import open_state
from tests.leads.cast import LEAD, NOW, TALK, call, is_finished, rows, settings_for, until
from tools.emulators.npa import NpaEmulator


class Breakdown(BaseException):
    """Worse than any `Exception`; the jobs' library has some of these."""


class BrokenJobs(Jobs):
    """Jobs that write nothing down: for some conversations starting one fails."""

    def __init__(self, url: str, failures: dict[str, BaseException]) -> None:
        super().__init__(url, executor_id="web")
        self.failures = failures
        self.asked: list[str] = []

    async def start(self, name: str, job_id: str, *args: str | int) -> None:
        conversation_id = str(args[0])
        self.asked.append(conversation_id)
        if conversation_id in self.failures:
            raise self.failures[conversation_id]


@asynccontextmanager
async def broken_road(db: Database, npa: NpaEmulator, jobs: Jobs) -> AsyncIterator[Road]:
    settings = settings_for(db.url, npa.base_url)
    async with httpx.AsyncClient() as http:
        submissions = Submissions(db, http, settings, load_profile)
        yield Road(settings, db, jobs, submissions, (), load_profile)


async def a_due_submission(db: Database, conversation: Conversation) -> None:
    async with db.write() as session:
        session.add(
            Submission(
                tenant_id=conversation.tenant_id,
                lead_id=conversation.lead_id,
                conversation_id=conversation.id,
                episode=1,
                target="npa",
                channel="voice",
                lead_data=LEAD,
                next_attempt_at=NOW,
                created_at=NOW,
                updated_at=NOW,
            )
        )


async def test_a_conversation_that_cannot_be_started_does_not_hold_up_the_next(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    first = await call(sqlite_db, caller=None)
    second = await call(sqlite_db, caller=None, sid="CA2")
    jobs = BrokenJobs(sqlite_db.url, {str(first.id): RuntimeError("broken")})
    async with broken_road(sqlite_db, npa, jobs) as road:
        assert await road.start_due() == 1
    assert set(jobs.asked) == {str(first.id), str(second.id)}


async def test_the_schedule_goes_on_after_anything_and_sends_what_is_due(
    sqlite_db: Database, npa: NpaEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(road_module, "SCHEDULE_SECONDS", 0.01)
    conversation = await call(sqlite_db)
    await a_due_submission(sqlite_db, conversation)
    jobs = BrokenJobs(sqlite_db.url, {str(conversation.id): Breakdown()})

    async def sent() -> bool:
        (submission,) = await rows(sqlite_db, Submission)
        return len(jobs.asked) > 2 and submission.state == SubmissionState.SUCCEEDED

    async with broken_road(sqlite_db, npa, jobs) as road:
        with structlog.testing.capture_logs() as logs:
            schedule = asyncio.create_task(run_scheduler(road))
            await until(sent)
            assert not schedule.done()
            schedule.cancel()
            await asyncio.gather(schedule, return_exceptions=True)
    assert "the schedule missed a beat" in [line["event"] for line in logs]


async def test_the_server_does_not_finish_a_call_that_it_carries(
    sqlite_db: Database, npa: NpaEmulator, tmp_path: Path
) -> None:
    conversation = await call(sqlite_db, TALK, now=utc_now())
    settings = settings_for(sqlite_db.url, npa.base_url)
    async with open_state(settings, voice=None) as state:
        with state["live"].carry(conversation.session_key):
            assert await state["road"].start_due() == 0
        await until(lambda: is_finished(sqlite_db, conversation.id))
