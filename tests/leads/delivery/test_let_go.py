"""What was held back goes when nothing speaks against it any more; what was sent stays sent."""

import asyncio
from typing import Any

import pytest
from sqlmodel import select

from ivr.db import Database
from ivr.db.tables import Conversation, FailedLead, Lead, Submission, Tenant, utc_now
from ivr.leads.attention import changes
from ivr.leads.attention.changes import Change
from ivr.leads.attention.hand_offs import HandOff
from ivr.leads.attention.staff import Staff
from ivr.leads.delivery import ledger
from ivr.leads.profile import load_profile
from ivr.leads.progress import stages
from ivr.leads.progress.moves import Cause
from ivr.leads.road import Road
from tests.leads.cast import LEAD, TALK, call, finish, road_of, rows, save, until
from tests.leads.people.test_lock_order import somebody_waits
from tests.leads.people.test_returning_callers import next_episode
from tests.web.house import interface
from tools.emulators.npa import NpaEmulator

POWERSPORTS = load_profile("powersports")
BOOKED, UNFIT = {"lifecycle": "APPOINTMENT_BOOKED"}, {"lifecycle": "DISQUALIFIED"}
WON, LOST = {"status": "closed_won"}, {"status": "closed_lost"}
GOES_ON = {"status": "negotiating"}


async def change(db: Database, conversation: Conversation, **parts: Any) -> None:
    """Have staff change the lead of a conversation, as by `PATCH /api/v1/leads/{id}`."""
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        cause = Cause("Sarah", "they rang", utc_now())
        await changes.make(session, lead, Change(parts), HandOff(POWERSPORTS, Staff()), cause)


async def by_state(db: Database) -> list[str]:
    found = await rows(db, Submission)
    return [one.state for one in sorted(found, key=lambda one: one.created_at)]


async def busy(road: Road, db: Database, npa: NpaEmulator) -> Conversation:
    """Have a whole lead wait for a buyer who is too busy; from then on it is not."""
    npa.faults.status = 503
    conversation = await call(db, TALK)
    await save(db, conversation, LEAD)
    finished = await finish(road, db, conversation)
    npa.faults.status = None
    return finished


async def make_due(db: Database) -> Submission:
    """Let the time come of the one that waits."""
    async with db.write() as session:
        row = (await session.exec(select(Submission))).one()
        row.next_attempt_at = utc_now()
    return row


async def send_due(road: Road) -> None:
    for submission_id, _ in await road.submissions.due():
        await road.submissions.attempt(submission_id)


@pytest.mark.parametrize(
    "moves",
    [(UNFIT, {"lifecycle": "QUALIFIED"}), (BOOKED, WON, GOES_ON), (BOOKED, LOST, GOES_ON)],
    ids=["fits after all", "not won after all", "not lost after all"],
)
async def test_what_the_buyer_has_is_not_sent_again_when_staff_open_its_lead(
    db: Database, npa: NpaEmulator, moves: tuple[dict[str, str], ...]
) -> None:
    async with road_of(db, npa) as road:
        conversation = await call(db, TALK)
        await save(db, conversation, LEAD)
        first = await finish(road, db, conversation)
        await next_episode(road, db, first, {"vehicle_model": "MT-09"})
        for move in moves:
            await change(db, first, **move)
        (lead,) = await rows(db, Lead)
        assert lead.closed_at is None
        await send_due(road)
        assert await by_state(db) == ["succeeded", "held"]
        assert [one["model"] for one in npa.leads] == ["MT-07"]
        failed = next(one for one in await rows(db, FailedLead) if not one.resolved)
        await road.submissions.retry(first.tenant_id, failed.id, force=True)
    assert [one["model"] for one in npa.leads] == ["MT-07", "MT-09"], "a person may send it"


@pytest.mark.parametrize(("model", "states"), [("MT-07", []), ("MT-09", ["held"])])
async def test_an_open_lead_that_the_buyer_has_is_not_sent_by_the_next_talk(
    db: Database, npa: NpaEmulator, model: str, states: list[str]
) -> None:
    async with road_of(db, npa) as road:
        conversation = await call(db, TALK)
        await save(db, conversation, LEAD)
        first = await finish(road, db, conversation)
        for move in (BOOKED, WON, GOES_ON):
            await change(db, first, **move)
        await next_episode(road, db, first, {"vehicle_model": model})
    assert await by_state(db) == ["succeeded", *states]
    assert len(npa.leads) == 1


async def test_what_the_buyer_may_have_is_not_sent_again_when_staff_open_its_lead(
    db: Database, npa: NpaEmulator
) -> None:
    npa.faults.drop_after = True
    async with road_of(db, npa) as road:
        conversation = await call(db, TALK)
        await save(db, conversation, LEAD)
        first = await finish(road, db, conversation)
        await next_episode(road, db, first, {"vehicle_model": "MT-09"})
        assert await by_state(db) == ["ambiguous", "held"]
        npa.faults.drop_after = False
        unsure = min(await rows(db, FailedLead), key=lambda one: one.id)
        async with db.write() as session:
            await ledger.resolve(session, first.tenant_id, unsure.id, "they have it", now=utc_now())
        await change(db, first, **BOOKED)
        await change(db, first, **WON)
        await change(db, first, **GOES_ON)
        await send_due(road)
    assert await by_state(db) == ["resolved", "held"]
    assert len(npa.leads) == 1


BY_HAND = "/conversations/CA1/update-stage"
BACK = {"new_stage": "VEHICLE_STARTED"}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/v1/conversations/CA1/release-stage", {}),
        (BY_HAND, BACK),
        ("/api/v1/leads/bulk-stage", {"json": {"conversation_ids": ["CA1"], **BACK}}),
    ],
    ids=["let go", "set", "in bulk"],
)
async def test_who_is_lost_no_more_is_sent_whichever_door_says_so(
    db: Database, npa: NpaEmulator, path: str, said: dict[str, Any]
) -> None:
    async with road_of(db, npa) as road:
        await busy(road, db, npa)
        (tenant,) = await rows(db, Tenant)
        async with interface(db, tenant) as web:
            await web.post(BY_HAND, new_stage="LOST")
            await make_due(db)
            await send_due(road)
            assert (await by_state(db), npa.leads) == (["held"], [])
            await web.post(path, **said)
        await send_due(road)
    assert (await by_state(db), len(npa.leads)) == (["succeeded"], 1)


@pytest.mark.parametrize("unfit", [UNFIT, LOST, {"lifecycle": "NURTURING"}])
async def test_what_an_operator_sends_all_the_same_goes_on_until_it_is_there(
    db: Database, npa: NpaEmulator, unfit: dict[str, str]
) -> None:
    async with road_of(db, npa) as road:
        conversation = await busy(road, db, npa)
        await change(db, conversation, **unfit)
        await make_due(db)
        await send_due(road)
        (failed,) = await rows(db, FailedLead)
        npa.faults.status = 503
        assert await by_state(db) == ["held"]
        await road.submissions.retry(conversation.tenant_id, failed.id, force=True)
        await make_due(db)
        await send_due(road)
        npa.faults.status = None
        await make_due(db)
        await send_due(road)
    assert (await by_state(db), len(npa.leads)) == (["succeeded"], 1)


async def test_who_staff_find_not_ready_is_not_sent_for_a_value_that_they_correct(
    db: Database, npa: NpaEmulator
) -> None:
    async with road_of(db, npa) as road:
        conversation = await busy(road, db, npa)
        await change(db, conversation, lifecycle="NURTURING")
        await make_due(db)
        await send_due(road)
        await change(db, conversation, fields={"zip_code": "10001"})
        await send_due(road)
        assert (await by_state(db), npa.leads) == (["held"], [])
        await change(db, conversation, lifecycle="QUALIFIED")
        await send_due(road)
    assert [one["zip"] for one in npa.leads] == ["10001"]


async def test_what_staff_say_after_the_operator_counts(db: Database, npa: NpaEmulator) -> None:
    async with road_of(db, npa) as road:
        conversation = await busy(road, db, npa)
        npa.faults.status = 503
        (failed,) = await rows(db, FailedLead)
        await road.submissions.retry(conversation.tenant_id, failed.id)
        npa.faults.status = None
        await change(db, conversation, **LOST)
        await make_due(db)
        await send_due(road)
    assert (await by_state(db), npa.leads) == (["held"], [])


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_is_being_lost_just_now_is_not_sent(db: Database, npa: NpaEmulator) -> None:
    async with road_of(db, npa) as road:
        conversation = await busy(road, db, npa)
        waiting = await make_due(db)
        async with db.write() as session:
            lead = await stages.lock(session, conversation.lead_id)
            words = {"actor": "Sarah", "reason": "a dealer"}
            await stages.pin(session, lead, POWERSPORTS, "LOST", **words, now=utc_now())
            sending = asyncio.create_task(road.submissions.attempt(waiting.id))

            async def is_decided() -> bool:
                return sending.done() or await somebody_waits(db)

            await until(is_decided)
        assert await sending is None
    assert (await by_state(db), npa.leads) == (["held"], [])
