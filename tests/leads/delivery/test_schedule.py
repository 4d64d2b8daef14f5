"""The schedule: it never stops, and what cannot be done holds up nothing else."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Submission, SubmissionState, Tenant, utc_now
from ivr.jobs import Jobs
from ivr.leads import road as road_module
from ivr.leads import seat
from ivr.leads.delivery import next_due
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.intake import Enquiry, begin
from ivr.leads.profile import load_profile
from ivr.leads.road import Road, run_scheduler
from ivr.runtime import open_state
from tests.leads.cast import (
    LEAD,
    NOW,
    TALK,
    Clock,
    call,
    carried,
    is_finished,
    rows,
    settings_for,
    until,
)
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

    async def prune(self, *, older_than: timedelta) -> int:
        return 0


@asynccontextmanager
async def broken_road(
    db: Database, npa: NpaEmulator, jobs: Jobs, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[Road]:
    settings = settings_for(db.url, npa.base_url)
    async with httpx.AsyncClient() as http:
        submissions = Submissions(db, http, settings, load_profile)
        yield Road(settings, db, jobs, submissions, (), load_profile, clock=clock)


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


async def test_many_that_cannot_be_started_do_not_starve_those_behind_them(
    sqlite_db: Database, npa: NpaEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(road_module, "BATCH", 2)
    stuck = [await call(sqlite_db, caller=None, sid=f"CA{number}") for number in range(4)]
    behind = await call(sqlite_db, caller=None, sid="CA9", now=NOW + timedelta(seconds=1))
    jobs = BrokenJobs(sqlite_db.url, {str(one.id): RuntimeError("broken") for one in stuck})
    async with broken_road(sqlite_db, npa, jobs) as road:
        assert [await road.start_due() for _ in range(3)] == [0, 0, 1]
        await road.start_due()
        assert sorted(jobs.asked[:4]) == sorted(str(one.id) for one in stuck)
        assert jobs.asked[4:] == [str(behind.id), *jobs.asked[:2]], "and then from the beginning"


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


class Swallowing(httpx.AsyncBaseTransport):
    """The way to the buyers: of one of them nothing ever comes back until it is let go."""

    def __init__(self, swallowed: str) -> None:
        self.swallowed, self.waiting, self.let_go = swallowed, 0, asyncio.Event()
        self.taken: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == self.swallowed:
            self.waiting += 1
            await self.let_go.wait()
            raise httpx.ConnectTimeout("nobody answers")
        self.taken.append(request.url.host)
        return httpx.Response(200, json={"success": True, "recordID": "1"})


async def client_of(db: Database, slug: str, *, due: int, now: datetime) -> Tenant:
    """A business with a buyer at its own address, and so many leads whose next attempt is due."""
    target = {"name": "webhook", "url": f"http://{slug}.example/leads"}
    async with db.write() as session:
        words = {"slug": slug, "name": slug, "profile": "powersports", "timezone": "UTC"}
        tenant = Tenant(**words, config={"target": target}, created_at=NOW)
        session.add(tenant)
    for number in range(due):
        enquiry = Enquiry(Channel.VOICE, f"{slug}-{number}", None, None, now, now)
        conversation = await begin(db, tenant, load_profile("powersports"), enquiry)
        await a_due_submission(db, conversation)
    return tenant


async def test_a_clients_target_that_swallows_everything_holds_up_nobody_elses_leads(
    db: Database, npa: NpaEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(road_module, "SCHEDULE_SECONDS", 0.01)
    await client_of(db, "stuck", due=next_due.AT_ONCE + 5, now=NOW)
    await client_of(db, "well", due=3, now=NOW)
    transport = Swallowing("stuck.example")
    async with httpx.AsyncClient(transport=transport) as http:
        submissions = Submissions(db, http, settings_for(db.url), load_profile)
        jobs = BrokenJobs(db.url, {})
        road = Road(settings_for(db.url), db, jobs, submissions, (), load_profile)
        schedule = asyncio.create_task(run_scheduler(road))
        await until(lambda: len(transport.taken) == 3)
        await until(lambda: transport.waiting == next_due.AT_ONCE_EACH)
        transport.let_go.set()
        schedule.cancel()
        await asyncio.gather(schedule, return_exceptions=True)
    assert transport.taken == ["well.example"] * 3


async def test_who_has_the_fewest_on_the_way_comes_first(db: Database, npa: NpaEmulator) -> None:
    one = await client_of(db, "one", due=next_due.AT_ONCE_EACH + 2, now=NOW)
    other = await client_of(db, "other", due=2, now=NOW)
    third = await client_of(db, "third", due=1, now=NOW)
    async with broken_road(db, npa, BrokenJobs(db.url, {})) as road:
        load = {one.id: 3, other.id: 1}

        async def whose(limit: int, **load: Any) -> list[uuid.UUID]:
            return [tenant for _, tenant in await road.submissions.due(limit=limit, **load)]

        assert await whose(3, load=load) == [third.id, other.id, other.id]
        everyones = Counter(await whose(100))
        assert everyones == {one.id: next_due.AT_ONCE_EACH, other.id: 2, third.id: 1}
        full = {one.id: next_due.AT_ONCE_EACH}
        assert set(await whose(100, load=full)) == {other.id, third.id}


async def test_the_server_does_not_finish_a_call_that_it_carries(
    sqlite_db: Database, npa: NpaEmulator, tmp_path: Path
) -> None:
    conversation = await call(sqlite_db, TALK, now=utc_now())
    settings = settings_for(sqlite_db.url, npa.base_url)
    async with open_state(settings, voice=None) as state:
        with state["live"].carry(conversation.session_key):
            assert await state["road"].start_due() == 0
        await until(lambda: is_finished(sqlite_db, conversation.id))


async def test_a_call_that_another_process_carries_is_finished_when_that_one_is_gone(
    db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(db)
    await carried(db, conversation, by="other")
    clock, jobs = Clock(), BrokenJobs(db.url, {})
    clock.advance(timedelta(minutes=15))
    async with broken_road(db, npa, jobs, clock) as road:
        async with seat.take(db, "other"):
            assert await road.start_due() == 0
        assert await road.start_due() == 1


@pytest.mark.parametrize("case", ["ours", "not streaming", "overlong"])
async def test_no_call_is_left_to_a_process_that_cannot_carry_it(
    db: Database, npa: NpaEmulator, case: str
) -> None:
    conversation = await call(db)
    await carried(
        db,
        conversation,
        by="web" if case == "ours" else "other",
        streaming=case != "not streaming",
    )
    clock = Clock()
    clock.advance(timedelta(minutes=18 if case == "overlong" else 1))
    async with broken_road(db, npa, BrokenJobs(db.url, {}), clock) as road:
        async with seat.take(db, "web"), seat.take(db, "other"):
            assert await road.start_due() == 1


async def test_a_clock_that_is_put_back_by_hours_keeps_nobody_waiting_for_hours(
    db: Database, npa: NpaEmulator
) -> None:
    clock = Clock()
    conversation = await call(db, now=NOW + timedelta(hours=7))
    jobs = BrokenJobs(db.url, {})
    async with broken_road(db, npa, jobs, clock) as road:
        assert await road.start_due() == 0
        clock.advance(timedelta(minutes=11))
        assert await road.start_due() == 1
    assert jobs.asked == [str(conversation.id)]


async def test_who_writes_may_rest_for_hours(db: Database, npa: NpaEmulator) -> None:
    clock = Clock()
    conversation = await call(db, now=NOW + timedelta(hours=7))
    async with db.write() as session:
        (await session.get_one(Conversation, conversation.id)).channel = Channel.SMS
    jobs = BrokenJobs(db.url, {})
    async with broken_road(db, npa, jobs, clock) as road:
        clock.advance(timedelta(hours=6))
        assert await road.start_due() == 0
        clock.advance(timedelta(hours=1))
        assert await road.start_due() == 1
