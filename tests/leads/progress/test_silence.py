"""Leads that fall silent: nurtured after 24 hours, lost after 7 days, kept by others (S0.67)."""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlmodel import col, select

from ivr.db import Database
from ivr.db.tables import (
    Axis,
    Conversation,
    ConversationStatus,
    Escalation,
    EscalationState,
    FailedLead,
    Lead,
    Lifecycle,
    OutboxEvent,
    Submission,
    SubmissionState,
    SucceededLead,
    Task,
    TaskKind,
    Transition,
    Trigger,
    utc_now,
)
from ivr.leads.delivery import ledger
from ivr.leads.delivery.submissions import Submissions
from ivr.leads.profile import load_profile
from ivr.leads.progress import exchange, stages
from ivr.leads.progress.imported import read
from ivr.leads.progress.silence import Silence
from ivr.webhooks import endpoints
from tests.leads.cast import LEAD, NOW, Clock, call, rows, save, settings_for, until
from tests.leads.courses import centre
from tests.webhooks.cast import SEAL
from tools.emulators.npa import NpaEmulator

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PROFILE = load_profile("powersports")


async def silent_lead(db: Database, *, since: datetime = NOW, **columns: Any) -> Lead:
    """A lead that is being qualified, whose only conversation was over at `since`."""
    conversation = await call(db, now=since)
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        row.status = ConversationStatus.FINISHED
        lead = await session.get_one(Lead, row.lead_id)
        lead.last_inbound_at, lead.lifecycle, lead.status = since, "QUALIFYING", "contacted"
        for name, value in columns.items():
            setattr(lead, name, value)
    return lead


async def sweep(db: Database, now: datetime, **settings: Any) -> int:
    """Look at the leads once, at `now`."""
    clock = Clock()
    clock.now = now
    return await Silence(db, load_profile, settings_for(db.url, **settings), clock=clock).sweep()


async def reread(db: Database, lead: Lead) -> Lead:
    async with db.read() as session:
        return await session.get_one(Lead, lead.id)


async def conversation_of(db: Database, lead: Lead) -> Conversation:
    async with db.read() as session:
        query = select(Conversation).where(Conversation.lead_id == lead.id)
        return (await session.exec(query)).one()


async def moves(db: Database, axis: Axis) -> Sequence[Transition]:
    async with db.read() as session:
        query = select(Transition).where(Transition.axis == axis).order_by(col(Transition.seq))
        return (await session.exec(query)).all()


async def add_submission(db: Database, lead: Lead, state: SubmissionState) -> uuid.UUID:
    """A submission of the lead's conversation, in this state; failures stand in their table."""
    conversation = await conversation_of(db, lead)
    async with db.write() as session:
        row = Submission(
            tenant_id=lead.tenant_id,
            lead_id=lead.id,
            conversation_id=conversation.id,
            episode=1,
            target=PROFILE.target,
            channel=conversation.channel,
            lead_data={**LEAD},
            state=state,
            next_attempt_at=NOW if state == SubmissionState.PENDING else None,
            last_error="not submitted: no phone is known",
            created_at=NOW,
            updated_at=NOW,
        )
        session.add(row)
        await session.flush()
        if state != SubmissionState.PENDING:
            await ledger.enter_failure(session, row, "not submitted", now=NOW)
    return row.id


async def test_after_seven_silent_days_a_lead_is_lost_and_not_an_hour_before(db: Database) -> None:
    lead = await silent_lead(db)
    await sweep(db, NOW + 7 * DAY - HOUR)
    assert (await reread(db, lead)).stage_pin is None
    assert await sweep(db, NOW + 7 * DAY) == 1
    lost = await reread(db, lead)
    assert (lost.stage, lost.stage_pin, lost.status) == ("LOST", "LOST", "closed_lost")
    assert (lost.lost_reason, lost.lifecycle) == ("no answer for 7 days", Lifecycle.NURTURING)
    last = (await moves(db, Axis.STAGE))[-1]
    assert (last.to_value, last.actor, last.at) == ("LOST", "timer", NOW + 7 * DAY)
    assert last.reason == "no answer for 7 days"
    assert await sweep(db, NOW + 30 * DAY) == 0


async def test_after_a_silent_day_a_lead_is_nurtured_and_not_an_hour_before(db: Database) -> None:
    lead = await silent_lead(db)
    assert await sweep(db, NOW + 23 * HOUR) == 0
    assert await sweep(db, NOW + 24 * HOUR) == 1
    nurtured = await reread(db, lead)
    assert (nurtured.lifecycle, nurtured.stage_pin) == (Lifecycle.NURTURING, None)
    assert (nurtured.status, nurtured.closed_at) == ("contacted", None)
    (move,) = await moves(db, Axis.LIFECYCLE)
    assert (move.actor, move.reason) == ("timer", "no answer for 24 hours")
    assert await sweep(db, NOW + 25 * HOUR) == 0


async def test_who_never_wrote_is_silent_since_the_lead_was_made(db: Database) -> None:
    lead = await silent_lead(db, last_inbound_at=None, lifecycle=Lifecycle.NEW)
    assert await sweep(db, NOW + 7 * DAY - HOUR) == 0
    assert await sweep(db, NOW + 7 * DAY) == 1
    assert (await reread(db, lead)).stage == "LOST"


async def test_the_last_words_count_and_not_the_first(db: Database) -> None:
    lead = await silent_lead(db, last_inbound_at=NOW + 3 * DAY, lifecycle=Lifecycle.QUALIFIED)
    assert await sweep(db, NOW + 9 * DAY) == 0
    assert await sweep(db, NOW + 10 * DAY) == 1
    assert (await reread(db, lead)).stage == "LOST"


@pytest.mark.parametrize(
    "columns",
    [
        {"lifecycle": Lifecycle.HANDED_OFF},
        {"lifecycle": Lifecycle.SUBMITTED},
        {"lifecycle": Lifecycle.APPOINTMENT_BOOKED},
        {"lifecycle": Lifecycle.DISQUALIFIED},
        {"closed_at": NOW},
    ],
    ids=lambda columns: str(next(iter(columns.values()))),
)
async def test_who_is_with_a_person_booked_or_settled_is_left_alone(
    db: Database, columns: dict[str, Any]
) -> None:
    lead = await silent_lead(db, **columns)
    assert await sweep(db, NOW + 30 * DAY) == 0
    assert (await reread(db, lead)).stage == lead.stage


async def test_who_is_enrolled_is_left_alone(db: Database) -> None:
    profile = load_profile("courses")
    lead = await silent_lead(db, profile="courses", stage=profile.stages[0])
    async with db.write() as session:
        locked = await stages.lock(session, lead.id)
        await stages.pin(
            session, locked, profile, "ENROLLED", actor="assistant", reason="paid", now=NOW
        )
    assert await sweep(db, NOW + 30 * DAY) == 0
    enrolled = await reread(db, lead)
    assert (enrolled.stage, enrolled.status) == ("ENROLLED", "closed_won")


@pytest.mark.parametrize(
    "state",
    [
        SubmissionState.PENDING,
        SubmissionState.IN_FLIGHT,
        SubmissionState.FAILED,
        SubmissionState.AMBIGUOUS,
    ],
)
async def test_what_we_owe_the_buyer_keeps_a_lead(db: Database, state: SubmissionState) -> None:
    lead = await silent_lead(db, lifecycle=Lifecycle.QUALIFIED)
    await add_submission(db, lead, state)
    assert await sweep(db, NOW + 30 * DAY) == 0
    assert (await reread(db, lead)).closed_at is None


async def test_a_conversation_that_nobody_has_read_yet_keeps_a_lead(db: Database) -> None:
    lead = await silent_lead(db, lifecycle=Lifecycle.QUALIFIED)
    async with db.write() as session:
        row = await session.get_one(Conversation, (await conversation_of(db, lead)).id)
        row.status = ConversationStatus.OPEN
    assert await sweep(db, NOW + 30 * DAY) == 0


@pytest.mark.parametrize("kind", ["task", "escalation"])
async def test_what_a_person_is_to_do_keeps_a_lead(db: Database, kind: str) -> None:
    lead = await silent_lead(db)
    ours = {"tenant_id": lead.tenant_id, "lead_id": lead.id, "created_at": NOW}
    row: Task | Escalation = Task(**ours, kind=TaskKind.CALL_BACK, reason="asked for a person")
    if kind == "escalation":
        conversation = await conversation_of(db, lead)
        words = {"trigger": Trigger.ASKED, "reason": "asked", "state": EscalationState.OPEN}
        row = Escalation(**ours, **words, conversation_id=conversation.id)
    async with db.write() as session:
        session.add(row)
    assert await sweep(db, NOW + 30 * DAY) == 0
    async with db.write() as session:
        found = await session.get_one(type(row), row.id)
        setattr(found, "done_at" if kind == "task" else "resolved_at", NOW)
    assert await sweep(db, NOW + 30 * DAY) == 2


async def test_whom_a_person_moved_lately_is_given_the_whole_time_again(db: Database) -> None:
    lead = await silent_lead(db, lifecycle=Lifecycle.QUALIFIED)
    assert await sweep(db, NOW + 7 * DAY) == 1
    async with db.write() as session:
        locked = await stages.lock(session, lead.id)
        await stages.unpin(
            session, locked, PROFILE, actor="Sarah", reason="she rang", now=NOW + 8 * DAY
        )
    assert await sweep(db, NOW + 14 * DAY) == 0
    assert await sweep(db, NOW + 15 * DAY) == 1
    assert [move.seq for move in await moves(db, Axis.STAGE)] == [1, 2, 3, 4]


async def test_what_was_imported_keeps_its_stage_until_somebody_writes(db: Database) -> None:
    tenant, courses = await centre(db), load_profile("courses")
    old = {"stage": "COURSE_SELECTED", "created_at": "2025-12-12T15:09:58", "lead_data": {}}
    records = read(json.dumps({"one": old}), courses, ZoneInfo("Asia/Karachi"), now=NOW)
    await exchange.bring_in(db, tenant, courses, records, now=NOW)
    assert await sweep(db, NOW + 300 * DAY) == 0
    (lead,) = await rows(db, Lead)
    assert lead.stage == "COURSE_SELECTED"
    async with db.write() as session:
        locked = await stages.lock(session, lead.id)
        await stages.inbound(session, locked, courses, now=NOW + 301 * DAY)
    assert await sweep(db, NOW + 308 * DAY) == 1
    assert (await reread(db, lead)).stage == "LOST"


async def test_who_writes_again_is_open_again_and_may_fall_silent_again(db: Database) -> None:
    lead = await silent_lead(db)
    await sweep(db, NOW + 2 * DAY)
    await sweep(db, NOW + 8 * DAY)
    back = NOW + 9 * DAY
    async with db.write() as session:
        locked = await stages.lock(session, lead.id)
        await stages.inbound(session, locked, PROFILE, now=back)
    again = await reread(db, lead)
    assert (again.stage, again.stage_pin) == ("CONTACT_COLLECTED", None)  # what is known of it
    assert (again.lifecycle, again.status) == (Lifecycle.QUALIFYING, "contacted")
    assert (again.closed_at, again.lost_reason) == (None, None)
    assert await sweep(db, back + 23 * HOUR) == 0
    assert await sweep(db, back + 7 * DAY) == 2
    assert (await reread(db, lead)).stage == "LOST"
    for axis in (Axis.LIFECYCLE, Axis.STAGE, Axis.STATUS):
        numbers = [move.seq for move in await moves(db, axis)]
        assert numbers == list(range(1, len(numbers) + 1))


async def test_zero_is_never(db: Database) -> None:
    await silent_lead(db)
    assert await sweep(db, NOW + 900 * DAY, lost_after_days=0, nurture_after_hours=0) == 0


async def test_other_times_come_from_the_settings(db: Database) -> None:
    lead = await silent_lead(db)
    assert await sweep(db, NOW + 2 * DAY, lost_after_days=2, nurture_after_hours=0) == 1
    assert (await reread(db, lead)).lost_reason == "no answer for 2 days"


async def test_a_profile_has_its_own_times(db: Database, tmp_path: Path) -> None:
    folder = Path(load_profile.__code__.co_filename).parents[1] / "profiles"
    own = tmp_path / "own.toml"
    text = (folder / "powersports.toml").read_text()
    own.write_text(f"lost_after_days = 0\nnurture_after_hours = 48\n{text}")
    await silent_lead(db)
    await call(db, sid="CA2", profile=str(own))  # the business works with this profile now
    assert await sweep(db, NOW + 47 * HOUR) == 0
    assert await sweep(db, NOW + 48 * HOUR) == 1
    assert await sweep(db, NOW + 900 * DAY) == 0


async def test_a_held_lead_that_is_lost_stays_visible_and_can_be_sent(
    db: Database, npa: NpaEmulator
) -> None:
    lead = await silent_lead(db)
    await add_submission(db, lead, SubmissionState.HELD)
    await sweep(db, NOW + 7 * DAY)
    assert (await reread(db, lead)).stage == "LOST"
    async with db.read() as session:
        (entry,) = await ledger.failed(session, lead.tenant_id)
    settings = settings_for(db.url, npa.base_url)
    async with httpx.AsyncClient() as http:
        sender = Submissions(db, http, settings, load_profile)
        outcome = await sender.retry(lead.tenant_id, entry.id or 0, force=True)
    assert outcome.state == SubmissionState.SUCCEEDED and len(npa.leads) == 1
    assert (await reread(db, lead)).lifecycle == Lifecycle.SUBMITTED


async def test_a_pending_submission_is_held_when_a_person_gives_its_lead_up(
    db: Database, npa: NpaEmulator
) -> None:
    """A person may call a lead lost at any time; what was to be sent waits for a person's word."""
    lead = await silent_lead(db, lifecycle=Lifecycle.QUALIFIED)
    submission_id = await add_submission(db, lead, SubmissionState.PENDING)
    async with db.write() as session:
        locked = await stages.lock(session, lead.id)
        await stages.pin(session, locked, PROFILE, "LOST", actor="Sarah", reason="cold", now=NOW)
    async with httpx.AsyncClient() as http:
        sender = Submissions(db, http, settings_for(db.url, npa.base_url), load_profile)
        assert submission_id in dict(await sender.due())
        assert await sender.attempt(submission_id) is None
        (failed,) = await rows(db, FailedLead)
        assert (npa.leads, failed.error_message) == ([], "not submitted: the lead is lost: cold")
        await sender.retry(lead.tenant_id, failed.id, force=True)
    assert len(npa.leads) == 1 and len(await rows(db, SucceededLead)) == 1


async def test_others_are_told_with_the_reason(db: Database) -> None:
    lead = await silent_lead(db)
    async with db.write() as session:
        await endpoints.add(
            session,
            lead.tenant_id,
            "https://crm.example/hook",
            only_public=True,
            seal=SEAL,
            now=NOW,
        )
    await sweep(db, NOW + 7 * DAY)
    told = {event.type: event.payload for event in await rows(db, OutboxEvent)}
    assert told["lead.stage_changed"]["to"] == "LOST"
    assert told["lead.stage_changed"]["reason"] == "no answer for 7 days"
    assert told["lead.status_changed"]["to"] == "closed_lost"


async def test_the_loop_looks_by_itself(db: Database) -> None:
    lead = await silent_lead(db, since=utc_now() - 8 * DAY)
    await save(db, await conversation_of(db, lead), {"full_name": "John Doe"})

    async def is_lost() -> bool:
        return (await reread(db, lead)).stage == "LOST"

    async with Silence.open(db, load_profile, settings_for(db.url)):
        await until(is_lost)
