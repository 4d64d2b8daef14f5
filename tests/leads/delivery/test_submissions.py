"""Sending finished leads: once, whoever sends; every way of failing ends before a person."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import Database
from ivr.db.tables import (
    FailedLead,
    Lead,
    Lifecycle,
    ReviewItem,
    Submission,
    SubmissionAttempt,
    SubmissionState,
    SucceededLead,
    Tenant,
)
from ivr.errors import Conflict, NotFound, ProfileError
from ivr.leads.delivery import submissions as sending
from ivr.leads.delivery.delays import DELAYS
from ivr.leads.delivery.handover import Profiles
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.profile import Profile, load_profile
from ivr.leads.progress import stages
from tests.leads.cast import LEAD, NOW, Clock, call, rows, save, settings_for, until
from tools.emulators.npa import NpaEmulator


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


class Desk:
    """One process's submissions with one lead to send, and a clock that stands still."""

    def __init__(self, db: Database, npa: NpaEmulator, http: httpx.AsyncClient) -> None:
        self.db, self.npa, self.http = db, npa, http
        self.clock = Clock()
        self.submissions = self.process()
        self.submission_id = uuid.uuid4()
        self.tenant_id = uuid.uuid4()

    def process(self, *, profiles: Profiles = load_profile, **changes: Any) -> Submissions:
        """Another process on the same database."""
        settings = settings_for(self.db.url, self.npa.base_url, **changes)
        return Submissions(
            self.db, self.http, settings, profiles, clock=self.clock, chance=lambda: 0.5
        )

    async def put(self, **changes: Any) -> None:
        conversation = self.conversation = await call(self.db)
        self.tenant_id = conversation.tenant_id
        submission = Submission(
            id=self.submission_id,
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
        for name, value in changes.items():
            setattr(submission, name, value)
        async with self.db.write() as session:
            session.add(submission)

    async def submission(self) -> Submission:
        (submission,) = await rows(self.db, Submission)
        assert isinstance(submission, Submission)
        return submission

    async def failed(self) -> FailedLead:
        (failed,) = await rows(self.db, FailedLead)
        assert isinstance(failed, FailedLead)
        return failed

    async def resolve(self, note: str) -> None:
        failed_id = (await self.failed()).id
        assert failed_id is not None
        async with self.db.write() as session:
            await sending.resolve(session, self.tenant_id, failed_id, note, now=self.clock.now)

    async def retry(self, *, force: bool = False) -> str:
        failed = await self.failed()
        assert failed.id is not None
        outcome = await self.submissions.retry(self.tenant_id, failed.id, force=force)
        return outcome.state


@pytest.fixture
async def desk(db: Database, npa: NpaEmulator, http: httpx.AsyncClient) -> Desk:
    desk = Desk(db, npa, http)
    await desk.put()
    return desk


async def test_a_lead_the_buyer_takes_is_in_succeeded_leads_with_the_answer(desk: Desk) -> None:
    outcome = await desk.submissions.attempt(desk.submission_id)
    assert outcome and outcome.state is SubmissionState.SUCCEEDED
    (row,) = await rows(desk.db, SucceededLead)
    assert (row.lead_data, row.channel, row.submitted_at) == (LEAD, "voice", NOW)
    assert row.npa_response["success"] is True
    (sent,) = desk.npa.leads
    assert sent["refNumber"] == str(desk.submission_id)
    (lead,) = await rows(desk.db, Lead)
    assert (lead.lifecycle, lead.closed_at) == (Lifecycle.SUBMITTED, NOW)
    assert await rows(desk.db, FailedLead) == []


async def test_two_who_try_at_once_send_once(desk: Desk) -> None:
    other = desk.process(executor_id="second")
    desk.npa.faults.slow_s = 0.05
    outcomes = await asyncio.gather(
        *(process.attempt(desk.submission_id) for process in (desk.submissions, other) * 5)
    )
    assert [outcome.state for outcome in outcomes if outcome] == [SubmissionState.SUCCEEDED]
    assert len(desk.npa.requests) == 1
    assert len(await rows(desk.db, SubmissionAttempt)) == 1


async def test_the_answer_counts_for_the_lead_that_has_the_submission_by_then(desk: Desk) -> None:
    other = await call(desk.db, sid="CA2", caller="+17705550166")
    desk.npa.faults.slow_s = 0.5
    sending_it = asyncio.create_task(desk.submissions.attempt(desk.submission_id))
    await until(lambda: _is_in_flight(desk))
    async with desk.db.write() as session:  # as a merge does that began before the attempt
        (await session.get_one(Submission, desk.submission_id)).lead_id = other.lead_id
    await sending_it
    leads = {lead.id: lead.lifecycle for lead in await rows(desk.db, Lead)}
    assert leads.pop(other.lead_id) == Lifecycle.SUBMITTED
    assert Lifecycle.SUBMITTED not in leads.values()


async def _is_in_flight(desk: Desk) -> bool:
    return (await desk.submission()).state == SubmissionState.IN_FLIGHT


async def test_unauthorized_waits_for_an_operator_whose_retry_moves_it_once(desk: Desk) -> None:
    desk.npa.password = "changed"
    outcome = await desk.submissions.attempt(desk.submission_id)
    assert outcome and outcome.state is SubmissionState.FAILED
    failed = await desk.failed()
    assert failed.error_message == "NPA API error: Unauthorized"
    assert (failed.retry_count, failed.last_retry_at, failed.resolved) == (0, None, False)

    desk.clock.advance(timedelta(hours=1))
    assert await desk.retry() == SubmissionState.FAILED
    assert ((await desk.failed()).retry_count, (await desk.failed()).resolved) == (1, False)

    desk.npa.password = "secret"
    assert await desk.retry() == SubmissionState.SUCCEEDED
    failed = await desk.failed()
    assert (failed.resolved, failed.retry_count) == (True, 2)
    assert failed.last_retry_at == desk.clock.now
    assert len(await rows(desk.db, SucceededLead)) == 1
    with pytest.raises(Conflict, match="already submitted"):
        await desk.retry()
    assert len(desk.npa.leads) == 1


async def test_an_operator_beside_the_scheduler_sends_once(desk: Desk) -> None:
    desk.npa.faults.status, desk.npa.faults.times = 503, 1
    await desk.submissions.attempt(desk.submission_id)
    desk.clock.advance(timedelta(minutes=5))
    desk.npa.faults.slow_s, desk.npa.faults.status, desk.npa.faults.times = 0.05, None, None
    command = desk.process()
    failed = await desk.failed()
    assert failed.id is not None
    results = await asyncio.gather(
        desk.submissions.attempt(desk.submission_id),
        command.retry(desk.tenant_id, failed.id),
        command.retry(desk.tenant_id, failed.id),
        return_exceptions=True,
    )
    assert len(desk.npa.leads) == 1
    assert len(await rows(desk.db, SucceededLead)) == 1
    losers = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(loser, Conflict) for loser in losers), losers


async def test_a_buyer_who_is_down_is_tried_on_schedule_and_then_left_to_a_person(
    desk: Desk,
) -> None:
    desk.npa.faults.status = 503
    for delay in DELAYS:
        assert await desk.submissions.due() == [(desk.submission_id, desk.tenant_id)]
        outcome = await desk.submissions.attempt(desk.submission_id)
        assert outcome and outcome.state is SubmissionState.PENDING
        assert outcome.next_attempt_at == desk.clock.now + delay
        assert await desk.submissions.attempt(desk.submission_id) is None, "not due yet"
        desk.clock.advance(delay - timedelta(seconds=1))
        assert await desk.submissions.due() == []
        desk.clock.advance(timedelta(seconds=1))
    outcome = await desk.submissions.attempt(desk.submission_id)
    assert outcome and outcome.state is SubmissionState.FAILED
    assert await desk.submissions.due() == []
    assert (await desk.failed()).retry_count == len(DELAYS)


async def test_the_buyers_retry_after_is_honoured_up_to_a_day(desk: Desk) -> None:
    for asked, waited in (("300", timedelta(minutes=5)), ("9999999", timedelta(hours=24))):
        desk.npa.faults.status, desk.npa.faults.retry_after = 429, asked
        outcome = await desk.submissions.attempt(desk.submission_id)
        assert outcome and outcome.next_attempt_at == desk.clock.now + waited
        desk.clock.advance(waited)


@pytest.mark.parametrize("fault", ["drop_after", "garbage", "not_json"])
async def test_a_lead_that_may_have_been_taken_is_left_to_a_person(desk: Desk, fault: str) -> None:
    setattr(desk.npa.faults, fault, True)
    outcome = await desk.submissions.attempt(desk.submission_id)
    assert outcome and outcome.state is SubmissionState.AMBIGUOUS
    (item,) = await rows(desk.db, ReviewItem)
    assert item.submission_id == desk.submission_id
    desk.clock.advance(timedelta(days=30))
    assert await desk.submissions.due() == []
    assert await desk.submissions.attempt(desk.submission_id) is None
    with pytest.raises(Conflict, match="may have been taken"):
        await desk.retry()
    assert len(desk.npa.requests) == 1


async def test_an_operator_may_decide_to_send_an_unclear_lead_again(desk: Desk) -> None:
    desk.npa.faults.drop_after, desk.npa.faults.times = True, 1
    await desk.submissions.attempt(desk.submission_id)
    assert await desk.retry(force=True) == SubmissionState.SUCCEEDED
    (item,) = await rows(desk.db, ReviewItem)
    assert item.resolution == "the target took it"


async def test_a_process_that_dies_while_sending_leaves_a_question_not_a_second_lead(
    desk: Desk,
) -> None:
    desk.npa.faults.timeout_after = True
    dying = asyncio.create_task(desk.submissions.attempt(desk.submission_id))
    await until(lambda: bool(desk.npa.leads))
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert (await desk.submission()).state == SubmissionState.IN_FLIGHT

    desk.clock.advance(timedelta(seconds=1))
    restarted = desk.process()
    assert await restarted.recover(opened_at=desk.clock.now) == 1
    assert await restarted.recover(opened_at=desk.clock.now) == 0
    assert (await desk.submission()).state == SubmissionState.AMBIGUOUS
    assert len(await rows(desk.db, ReviewItem)) == 1
    desk.clock.advance(timedelta(days=1))
    assert await restarted.attempt(desk.submission_id) is None
    assert len(desk.npa.leads) == 1


async def test_an_attempt_of_a_living_process_is_not_taken_for_dead(desk: Desk) -> None:
    desk.npa.faults.slow_s = 0.3
    living = asyncio.create_task(desk.submissions.attempt(desk.submission_id))
    await until(lambda: bool(desk.npa.requests))
    opened_at = desk.clock.now
    assert await desk.submissions.recover(opened_at=opened_at) == 0
    other = desk.process(executor_id="second")
    assert await other.recover(opened_at=opened_at + timedelta(hours=1)) == 0
    outcome = await living
    assert outcome and outcome.state is SubmissionState.SUCCEEDED


async def test_an_answer_that_comes_after_we_gave_up_still_counts(desk: Desk) -> None:
    desk.npa.faults.slow_s = 0.3
    slow = asyncio.create_task(desk.submissions.attempt(desk.submission_id))
    await until(lambda: bool(desk.npa.requests))
    desk.clock.advance(timedelta(minutes=10))
    assert await desk.submissions.recover(opened_at=NOW) == 1
    assert (await desk.submission()).state == SubmissionState.AMBIGUOUS
    await slow
    assert (await desk.submission()).state == SubmissionState.SUCCEEDED
    assert (await desk.failed()).resolved
    (item,) = await rows(desk.db, ReviewItem)
    assert item.resolved_at is not None


async def test_without_the_buyers_settings_the_lead_waits_and_says_so(desk: Desk) -> None:
    unset = desk.process(npa_api_base_url=None, npa_api_password=None)
    outcome = await unset.attempt(desk.submission_id)
    assert outcome and outcome.state is SubmissionState.FAILED
    message = (await desk.failed()).error_message
    assert "NPA_API_BASE_URL, NPA_API_PASSWORD missing" in message
    assert await desk.retry() == SubmissionState.SUCCEEDED


async def test_an_unknown_failed_lead_is_named(desk: Desk) -> None:
    with pytest.raises(NotFound, match="failed lead 42 not found; `list` shows the open ones"):
        await desk.submissions.retry(desk.tenant_id, 42)


async def test_a_failed_lead_of_another_tenant_is_not_found(desk: Desk) -> None:
    desk.npa.password = "changed"
    await desk.submissions.attempt(desk.submission_id)
    async with desk.db.write() as session:
        other = Tenant(slug="o", name="O", profile="powersports", timezone="UTC", created_at=NOW)
        session.add(other)
    failed_id = (await desk.failed()).id
    assert failed_id is not None
    with pytest.raises(NotFound):
        await desk.submissions.retry(other.id, failed_id)
    async with desk.db.read() as session:
        assert await sending.failed(session, other.id) == []
        assert len(await sending.failed(session, desk.tenant_id)) == 1


async def test_a_failed_lead_can_be_closed_with_a_note_once(desk: Desk) -> None:
    desk.npa.faults.drop_after = True
    await desk.submissions.attempt(desk.submission_id)
    await desk.resolve("phoned the buyer, they have it")
    with pytest.raises(Conflict, match="phoned the buyer"):
        await desk.resolve("again")
    with pytest.raises(Conflict, match="closed"):
        await desk.retry(force=True)
    (item,) = await rows(desk.db, ReviewItem)
    assert item.resolution == "phoned the buyer, they have it"
    async with desk.db.read() as session:
        assert await sending.failed(session, desk.tenant_id) == []
        assert len(await sending.failed(session, desk.tenant_id, include_resolved=True)) == 1


async def test_closing_a_lead_that_may_have_arrived_makes_the_next_call_a_new_lead(
    desk: Desk,
) -> None:
    desk.npa.faults.drop_after = True
    await desk.submissions.attempt(desk.submission_id)
    await desk.resolve("the buyer has it")
    assert (await call(desk.db, sid="CA2")).lead_id != desk.conversation.lead_id


async def test_closing_a_lead_that_was_refused_leaves_it_open_for_the_next_call(desk: Desk) -> None:
    desk.npa.password = "changed"
    await desk.submissions.attempt(desk.submission_id)
    await desk.resolve("will call again")
    assert (await call(desk.db, sid="CA2")).lead_id == desk.conversation.lead_id


async def test_a_lead_that_cannot_be_packed_is_put_off_and_seen(desk: Desk) -> None:
    def broken(key: str) -> Profile:
        raise ProfileError(f"{key}: line 3 is no TOML")

    with pytest.raises(ProfileError):
        await desk.process(profiles=broken).attempt(desk.submission_id)
    assert await desk.submissions.due() == []
    assert (await desk.failed()).error_message == "powersports: line 3 is no TOML"
    desk.clock.advance(timedelta(minutes=5))
    assert await desk.submissions.due() == [(desk.submission_id, desk.tenant_id)]
    outcome = await desk.submissions.attempt(desk.submission_id)
    assert outcome and outcome.state is SubmissionState.SUCCEEDED
    assert (await desk.failed()).resolved


# Locks of rows, which only PostgreSQL has: the lead first, then its submission.


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_process_that_waits_for_a_lead_keeps_nobody_from_its_submission(
    desk: Desk,
) -> None:
    async with desk.db.write() as session:
        await stages.lock(session, desk.conversation.lead_id)
        sender = asyncio.create_task(desk.submissions.attempt(desk.submission_id))
        await until(lambda: _somebody_waits(desk.db))
        await _lock_at_once(session, desk.submission_id)
    outcome = await sender
    assert outcome and outcome.state is SubmissionState.SUCCEEDED


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_an_operator_who_waits_for_a_lead_keeps_nobody_from_its_submission(
    desk: Desk,
) -> None:
    desk.npa.faults.drop_after = True
    await desk.submissions.attempt(desk.submission_id)
    async with desk.db.write() as session:
        await stages.lock(session, desk.conversation.lead_id)
        operator = asyncio.create_task(desk.resolve("they have it"))
        await until(lambda: _somebody_waits(desk.db))
        await _lock_at_once(session, desk.submission_id)
    await operator
    assert (await desk.submission()).state == SubmissionState.RESOLVED


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_value_can_be_saved_while_its_lead_is_locked(desk: Desk) -> None:
    async with desk.db.write() as session:
        await stages.lock(session, desk.conversation.lead_id)
        async with asyncio.timeout(30):
            await save(desk.db, desk.conversation, {"zip_code": "30093"})


async def _somebody_waits(db: Database) -> bool:
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with db.engine.connect() as connection:
        return bool(await connection.scalar(query))


async def _lock_at_once(session: AsyncSession, submission_id: uuid.UUID) -> None:
    """Lock the submission, or raise when somebody else has it."""
    query = select(Submission).where(Submission.id == submission_id)
    assert (await session.exec(query.with_for_update(nowait=True))).one()


async def test_succeeded_leads_are_found_by_time_and_channel(desk: Desk) -> None:
    await desk.submissions.attempt(desk.submission_id)

    async def count(**query: Any) -> int:
        async with desk.db.read() as session:
            return len(await sending.succeeded(session, desk.tenant_id, **query))

    assert await count() == await count(since=NOW) == await count(channel="voice") == 1
    assert await count(since=NOW + timedelta(seconds=1)) == await count(channel="sms") == 0


async def test_an_unknown_target_is_a_failure_with_words(
    db: Database, npa: NpaEmulator, http: httpx.AsyncClient
) -> None:
    desk = Desk(db, npa, http)
    await desk.put()
    submissions = desk.process(profiles=lambda key: replace(load_profile(key), target="fax"))
    outcome = await submissions.attempt(desk.submission_id)
    assert outcome and "no target 'fax'; known are npa" in outcome.message


async def test_no_credentials_are_written_down(desk: Desk) -> None:
    await desk.submissions.attempt(desk.submission_id)
    (attempt,) = await rows(desk.db, SubmissionAttempt)
    assert "secret" not in repr(attempt)
    assert (attempt.number, attempt.outcome, attempt.status_code) == (1, "success", 200)
    assert attempt.finished_at is not None
