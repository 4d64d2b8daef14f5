"""One person, one lead, several conversations: nothing that they say is lost or sent twice."""

import asyncio
from datetime import datetime, timedelta

import structlog

from ivr.conversations import continue_until
from ivr.db import Database
from ivr.db.tables import (
    Conversation,
    ConversationStatus,
    FailedLead,
    ReviewItem,
    Submission,
    SubmissionState,
    SucceededLead,
    Tenant,
    utc_now,
)
from ivr.leads.attention import review
from ivr.leads.profile import load_profile
from ivr.leads.road import Road
from tests.leads.cast import (
    TALK,
    ScriptedModel,
    answer,
    call,
    finish,
    is_finished,
    reread,
    road_of,
    rows,
    save,
    until,
)
from tools.emulators.npa import NpaEmulator

HOUR = timedelta(hours=1)


async def goes_on_until(db: Database, conversation: Conversation, moment: datetime) -> Conversation:
    async with db.write() as session:
        await continue_until(session, conversation.id, moment)
    return await reread(db, conversation)


async def next_episode(
    road: Road, db: Database, conversation: Conversation, given: dict[str, str]
) -> Conversation:
    """Have the caller come back after the end, give values and ring off."""
    again = await goes_on_until(db, conversation, utc_now())
    await save(db, again, given)
    return await finish(road, db, again)


async def held(db: Database) -> list[str]:
    return [row.error_message for row in await rows(db, FailedLead) if not row.resolved]


async def test_who_rings_back_while_the_first_call_is_finished_is_one_complete_lead(
    db: Database, npa: NpaEmulator
) -> None:
    first = await call(db, TALK[:4])
    second = await call(db, TALK[4:], sid="CA2", now=utc_now() + HOUR)
    async with road_of(db, npa) as road:
        await finish(road, db, first)
        assert (npa.requests, await road.start_due()) == ([], 0)
        await goes_on_until(db, second, utc_now())  # nobody renews it any more
        assert await road.start_due() == 1
        await until(lambda: is_finished(db, second.id))
    (sent,) = npa.leads
    assert (sent["firstName"], sent["zip"], sent["model"]) == ("John", "30093", "MT-07")


async def test_two_calls_that_end_at_once_are_one_lead(db: Database, npa: NpaEmulator) -> None:
    first = await call(db, TALK[:4], now=utc_now())
    second = await call(db, TALK[4:], sid="CA2", now=utc_now())
    async with road_of(db, npa) as road:
        await asyncio.gather(finish(road, db, first), finish(road, db, second))
    (sent,) = npa.leads
    assert (sent["firstName"], sent["zip"], sent["model"]) == ("John", "30093", "MT-07")
    states = [it.state for it in await rows(db, Submission)]
    assert states.count(SubmissionState.SUCCEEDED) == 1
    assert set(states) <= {SubmissionState.SUCCEEDED, SubmissionState.RESOLVED}


async def test_a_call_that_nobody_manages_to_finish_keeps_no_other_from_the_buyer(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    await call(sqlite_db, now=utc_now() - 2 * HOUR)
    async with road_of(sqlite_db, npa) as road:
        await finish(road, sqlite_db, await call(sqlite_db, TALK, sid="CA2"))
    assert len(npa.leads) == 1


async def test_what_is_said_after_the_buyer_has_the_lead_waits_for_an_operator(
    db: Database, npa: NpaEmulator
) -> None:
    async with road_of(db, npa) as road:
        first = await finish(road, db, await call(db, TALK[:4]))
        second = await next_episode(road, db, first, {"vehicle_make": "Yamaha"})
        assert await held(db) == [
            "not submitted: the lead was handed over before; new since then: make of the vehicle"
        ]
        await next_episode(road, db, second, {"vehicle_make": "Yamaha"})
        assert len(await held(db)) == 1, "nothing new"
        assert len(npa.leads) == 1
        (failed,) = await rows(db, FailedLead)
        await road.submissions.retry(first.tenant_id, failed.id, force=True)
    assert [lead["make"] for lead in npa.leads] == ["", "Yamaha"]


async def test_a_person_who_settles_a_field_does_not_send_what_the_buyer_has(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    async with road_of(sqlite_db, npa) as road:
        first = await finish(road, sqlite_db, await call(sqlite_db, TALK[:4]))
    readings = (answer({"vehicle_year": year}) for year in ("2019", "2020"))
    async with road_of(sqlite_db, npa, ScriptedModel(*readings)) as road:
        await next_episode(road, sqlite_db, first, {"vehicle_make": "Yamaha"})
    (item,) = await rows(sqlite_db, ReviewItem)
    async with sqlite_db.write() as session:
        tenant = await session.get_one(Tenant, first.tenant_id)
        year = {"vehicle_year": "2019"}
        freed = await review.decide_fields(
            session, load_profile, tenant, item.id, year, now=utc_now()
        )
    (waiting,) = (
        row for row in await rows(sqlite_db, Submission) if row.state == SubmissionState.HELD
    )
    assert (freed, waiting.lead_data["vehicle_year"]) == ([], "2019")


async def test_who_comes_back_while_the_lead_is_sent_is_in_the_next_episode(
    db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(db, TALK[:4])
    npa.faults.slow_s = 0.2

    async def resumed() -> bool:
        return (await reread(db, conversation)).episode == 2

    async with road_of(db, npa) as road:
        await road.start_finish(conversation.id, 1)
        await until(lambda: bool(npa.requests))
        await goes_on_until(db, conversation, utc_now() + HOUR)
        await until(resumed)
        assert (await reread(db, conversation)).status == ConversationStatus.OPEN
        assert len(await rows(db, SucceededLead)) == 1
        await save(db, conversation, {"vehicle_make": "Yamaha"})
        await goes_on_until(db, conversation, utc_now())
        await road.start_due()
        await until(lambda: is_finished(db, conversation.id))
    assert len(npa.leads) == 1
    assert [message.endswith("make of the vehicle") for message in await held(db)] == [True]


async def test_a_call_that_this_process_carries_is_not_ended_by_a_clock(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db, TALK)
    live = {conversation.session_key}
    async with road_of(sqlite_db, npa, live=live) as road:
        assert await road.start_due() == 0
        live.clear()
        assert await road.start_due() == 1
        await until(lambda: is_finished(sqlite_db, conversation.id))


async def test_a_call_left_to_another_says_so_in_the_log(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    first = await call(sqlite_db, TALK[:4])
    await call(sqlite_db, sid="CA2", now=utc_now() + HOUR)
    async with road_of(sqlite_db, npa) as road:
        with structlog.testing.capture_logs() as logs:
            await finish(road, sqlite_db, first)
    assert "submission left to another call" in [line["event"] for line in logs]
