"""The road of a finished conversation, to the buyer: once, whatever dies on the way."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from ivr import conversations
from ivr.conversations import continue_until
from ivr.db import Database
from ivr.db.tables import (
    Channel,
    Contact,
    Conversation,
    FailedLead,
    FieldValue,
    Lead,
    Lifecycle,
    ReviewItem,
    Role,
    Source,
    Submission,
    SubmissionState,
    SucceededLead,
    Tenant,
    UsageLog,
    utc_now,
)
from ivr.errors import Conflict
from ivr.leads.attention import review
from ivr.leads.profile import load_profile
from ivr.leads.road import Road, run_scheduler
from ivr.vendors.llm import Answer
from ivr.voice import line
from tests.leads.cast import (
    JOHN,
    LEAD,
    NO_ANSWER,
    TALK,
    ScriptedModel,
    answer,
    call,
    finish,
    is_finished,
    road_of,
    rows,
    save,
    settings_for,
    strict_profile,
    until,
)
from tools.emulators.npa import NpaEmulator
from tools.emulators.openai import OpenAIEmulator


async def test_a_stop_by_message_is_not_shown_to_the_model(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db, [*TALK, (Role.CALLER, "STOP")])
    async with sqlite_db.write() as session:
        (await conversations.lock(session, conversation.id)).channel = Channel.SMS
    model = ScriptedModel(answer(LEAD), answer(LEAD))
    async with road_of(sqlite_db, npa, model) as road:
        await finish(road, sqlite_db, conversation)
    assert "MT-07" in model.asked[0]["prompt"] and "STOP" not in model.asked[0]["prompt"]


async def test_a_call_becomes_a_lead_at_the_buyer(db: Database, npa: NpaEmulator) -> None:
    conversation = await call(db, TALK)
    model = ScriptedModel(answer(LEAD), answer(LEAD))
    async with road_of(db, npa, model) as road:
        with structlog.testing.capture_logs() as logs:
            finished = await finish(road, db, conversation)
    (sent,) = npa.leads
    assert (sent["firstName"], sent["lastName"], sent["zip"]) == ("John", "Doe", "30093")
    assert (sent["phone"], sent["state"], sent["year"]) == (JOHN, "GA", 2020)
    assert (sent["make"], sent["model"], sent["additionalNotes"]) == ("Yamaha", "MT-07", "")
    (succeeded,) = await rows(db, SucceededLead)
    assert (succeeded.lead_data, succeeded.session_id) == (LEAD, conversation.id)
    assert finished.state["lead_data"] == LEAD
    assert finished.usage["extraction"]["input_tokens"] == 2000
    (lead,) = await rows(db, Lead)
    assert (lead.lifecycle, lead.stage) == (Lifecycle.SUBMITTED, "QUALIFIED")
    assert lead.closed_at is not None
    events = [line["event"] for line in logs]
    assert "=== EXTRACTING LEAD DATA FROM CONVERSATION ===" in events
    assert any(event.startswith("=== CONVERSATION TEXT:\nassistant: ") for event in events)
    assert any(event.startswith('=== EXTRACTED LEAD DATA: {"full_name"') for event in events)
    assert "=== LEAD SUBMITTED SUCCESSFULLY ===" in events


async def test_the_road_asks_the_published_text_api_and_nothing_it_would_refuse(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    async with OpenAIEmulator() as openai:
        openai.extractions.extend(["garbage", LEAD, LEAD])
        settings = settings_for(
            sqlite_db.url,
            npa.base_url,
            openai_api_key=openai.api_key,
            openai_base_url=openai.base_url,
        )
        conversation = await call(sqlite_db, TALK)
        async with (
            httpx.AsyncClient() as http,
            Road.open(settings, sqlite_db, http, load_profile) as road,
        ):
            finished = await finish(road, sqlite_db, conversation)
    assert finished.state["extraction"]["by"] == "model"
    assert [contact.name for contact in await rows(sqlite_db, Contact)] == ["John Doe"]
    assert finished.state["lead_data"] == LEAD
    asked = finished.state["extraction"]["requests"]
    assert [request["prompt"] for request in asked] == ["1", "2", "1"]
    (used,) = await rows(sqlite_db, UsageLog)
    assert (used.purpose, used.model) == ("extract", "gpt-6-luna") and used.cost_micros > 0
    assert len(npa.leads) == 1


async def test_every_value_says_where_it_comes_from(db: Database, npa: NpaEmulator) -> None:
    conversation = await call(db, TALK)
    await save(db, conversation, {"zip_code": "30094"})
    async with road_of(db, npa, ScriptedModel(answer(LEAD)), extraction_runs=1) as road:
        finished = await finish(road, db, conversation)
    assert finished.state["lead_data"]["zip_code"] == "30094", "the tool's value counts more"
    found = [row for row in await rows(db, FieldValue) if row.source == Source.EXTRACTED]
    (name,) = (row for row in found if row.name == "full_name")
    assert (name.quote, name.turn_item_id) == ("John Doe", "item_1")
    (zip_code,) = (row for row in found if row.name == "zip_code")
    assert zip_code.details == {"state": "GA"}


async def test_finishing_twice_at_once_and_again_later_is_finishing_once(
    db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(db, TALK)
    async with road_of(db, npa) as road:
        await asyncio.gather(*(finish(road, db, conversation) for _ in range(3)))
        await finish(road, db, conversation)
        assert await road.start_due() == 0
    assert len(npa.requests) == len(await rows(db, SucceededLead)) == 1


async def test_a_call_cut_short_is_submitted_with_what_is_known(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db, TALK[:4])
    async with road_of(sqlite_db, npa) as road:
        with structlog.testing.capture_logs() as logs:
            await finish(road, sqlite_db, conversation)
    (sent,) = npa.leads
    assert (sent["firstName"], sent["zip"], sent["phone"]) == ("John", "30093", JOHN)
    assert sent["additionalNotes"] == (
        "Call ended before: year of the vehicle, make of the vehicle, model of the vehicle"
    )
    warned = [line["field"] for line in logs if line["event"] == "required field missing"]
    assert warned == ["vehicle_year", "vehicle_make", "vehicle_model"]


async def test_a_lead_without_a_phone_number_is_held_and_seen(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db, TALK[:4], caller=None)
    async with road_of(sqlite_db, npa) as road:
        await finish(road, sqlite_db, conversation)
    assert npa.requests == []
    (failed,) = await rows(sqlite_db, FailedLead)
    assert failed.error_message == "not submitted: no phone number is known"
    assert failed.lead_data["full_name"] == "John Doe"
    assert not failed.resolved


async def test_a_strict_tenant_sends_complete_leads_only(
    sqlite_db: Database, npa: NpaEmulator, tmp_path: Path
) -> None:
    conversation = await call(sqlite_db, TALK[:-3], profile=strict_profile(tmp_path))
    async with road_of(sqlite_db, npa) as road:
        await finish(road, sqlite_db, conversation)
    assert npa.requests == []
    (failed,) = await rows(sqlite_db, FailedLead)
    assert failed.error_message == "not submitted: no model of the vehicle is known"


async def test_a_failing_model_costs_nothing_that_the_call_collected(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db, TALK[:2])
    await save(sqlite_db, conversation, {"zip_code": "30093", "vehicle_make": "Yamaha"})
    model = ScriptedModel(NO_ANSWER, RuntimeError("a bug"))
    async with road_of(sqlite_db, npa, model) as road:
        with structlog.testing.capture_logs() as logs:
            finished = await finish(road, sqlite_db, conversation)
    assert finished.state["lead_data"]["vehicle_make"] == "Yamaha"
    assert len(npa.leads) == 1
    assert [line for line in logs if line["event"] == "ERROR IN LEAD EXTRACTION"]


async def test_a_caller_who_says_nothing_is_still_a_lead(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db)
    async with road_of(sqlite_db, npa, ScriptedModel()) as road:
        await finish(road, sqlite_db, conversation)
    (sent,) = npa.leads
    assert sent["phone"] == JOHN


async def test_a_refused_value_is_kept_as_a_problem_not_as_a_value(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db, [(Role.CALLER, "my ZIP is 99501")])
    model = ScriptedModel(answer({"zip_code": "99501"}))
    async with road_of(sqlite_db, npa, model, extraction_runs=1) as road:
        finished = await finish(road, sqlite_db, conversation)
    assert finished.state["lead_data"]["zip_code"] is None
    (row,) = (row for row in await rows(sqlite_db, FieldValue) if row.name == "zip_code")
    assert (row.value, row.raw) == (None, "99501")
    assert "Alaska" in (row.problem or "")


async def test_readings_that_disagree_go_to_a_person_whose_answer_lets_the_lead_go(
    sqlite_db: Database, npa: NpaEmulator, tmp_path: Path
) -> None:
    conversation = await call(sqlite_db, TALK, profile=strict_profile(tmp_path))
    model = ScriptedModel(answer(LEAD), answer({**LEAD, "vehicle_year": "2019"}))
    async with road_of(sqlite_db, npa, model) as road:
        await finish(road, sqlite_db, conversation)
        assert npa.requests == []
        (item,) = await rows(sqlite_db, ReviewItem)
        assert item.detail == {"fields": {"vehicle_year": ["2020", "2019"]}}
        freed = await _decide(sqlite_db, conversation, item.id, {"vehicle_year": "2019"})
        for submission_id in freed:
            await road.submissions.attempt(submission_id)
    (sent,) = npa.leads
    assert sent["year"] == 2019
    with pytest.raises(Conflict, match="decided before"):
        await _decide(sqlite_db, conversation, item.id, {"vehicle_year": "2018"})


async def _decide(
    db: Database, conversation: Conversation, item_id: int, answers: dict[str, str]
) -> list[Any]:
    async with db.write() as session:
        tenant = await session.get_one(Tenant, conversation.tenant_id)
        return await review.decide_fields(
            session, load_profile, tenant, item_id, answers, now=utc_now()
        )


async def test_a_second_call_replaces_what_the_buyer_does_not_have_yet(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    npa.faults.status, npa.faults.times = 503, 1
    async with road_of(sqlite_db, npa) as road:
        await finish(road, sqlite_db, await call(sqlite_db, TALK[:4]))
        await finish(road, sqlite_db, await call(sqlite_db, TALK, sid="CA2"))
    (sent,) = npa.leads
    assert (sent["firstName"], sent["model"]) == ("John", "MT-07")
    states = sorted(row.state for row in await rows(sqlite_db, Submission))
    assert states == [SubmissionState.RESOLVED, SubmissionState.SUCCEEDED]
    (failed,) = await rows(sqlite_db, FailedLead)
    assert failed.resolved


async def test_a_second_call_waits_while_nobody_knows_whether_the_first_lead_arrived(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    npa.faults.drop_after, npa.faults.times = True, 1
    async with road_of(sqlite_db, npa) as road:
        await finish(road, sqlite_db, await call(sqlite_db, TALK[:4]))
        await finish(road, sqlite_db, await call(sqlite_db, TALK, sid="CA2"))
    assert len(npa.requests) == 1
    states = sorted(row.state for row in await rows(sqlite_db, Submission))
    assert states == [SubmissionState.AMBIGUOUS, SubmissionState.HELD]
    messages = [row.error_message for row in await rows(sqlite_db, FailedLead)]
    assert "not submitted: an earlier submission of this lead may have been taken" in messages


async def test_nothing_new_adds_nothing_to_what_a_person_is_to_decide(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    npa.faults.drop_after, npa.faults.times = True, 1
    async with road_of(sqlite_db, npa) as road:
        await finish(road, sqlite_db, await call(sqlite_db, TALK))
        await finish(road, sqlite_db, await call(sqlite_db, TALK, sid="CA2"))
    states = [row.state for row in await rows(sqlite_db, Submission)]
    assert (len(npa.requests), states) == (1, [SubmissionState.AMBIGUOUS])


async def test_a_caller_who_comes_back_while_we_read_is_finished_later(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db, TALK)
    model = ScriptedModel(answer(LEAD), answer(LEAD))

    async def resume(until_then: timedelta) -> None:
        async with sqlite_db.write() as session:
            await continue_until(session, conversation.id, utc_now() + until_then)

    class Resumed(ScriptedModel):
        async def answer(self, **question: Any) -> Answer:
            await resume(timedelta(hours=1))
            return await model.answer(**question)

    async def noticed() -> bool:
        (row,) = await rows(sqlite_db, Conversation)
        return bool(row.state.get("resumed"))

    async with road_of(sqlite_db, npa, Resumed(), extraction_runs=1) as road:
        assert await road.start_due() == 1
        await until(noticed)
        assert not await is_finished(sqlite_db, conversation.id)
        assert (npa.requests, await road.start_due()) == ([], 0)
    async with road_of(sqlite_db, npa, model, extraction_runs=1) as road:
        await resume(timedelta(0))
        assert await road.start_due() == 1
        await until(lambda: is_finished(sqlite_db, conversation.id))
    assert len(npa.leads) == 1


async def test_the_end_of_the_line_noted_while_we_close_opens_no_second_episode(
    db: Database, npa: NpaEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await call(db, TALK)
    begun, closing = asyncio.Event(), Road._close

    async def close_late(road: Road, *names: Any) -> None:
        begun.set()  # before anything else can run, `closing` is up to its first wait
        await closing(road, *names)

    async def close_beside_the_status(road: Road, *names: Any) -> None:
        async with db.write() as session:
            await conversations.lock(session, conversation.id)
            late = asyncio.create_task(close_late(road, *names))
            await begun.wait()
            longest = timedelta(hours=1)
            await line.closed(session, conversation, {}, now=utc_now(), longest=longest)
        await late

    monkeypatch.setattr(Road, "_close", close_beside_the_status)
    async with road_of(db, npa) as road:
        finished = await finish(road, db, conversation)
    assert (finished.episode, len(npa.leads)) == (1, 1)


@pytest.mark.parametrize("step", ["read", "conclude", "submit", "close"])
async def test_a_process_that_dies_after_any_step_is_followed_by_one_that_sends_once(
    db: Database, npa: NpaEmulator, step: str
) -> None:
    conversation = await call(db, TALK)
    async with road_of(db, npa, dies_after=step) as road:
        await road.start_finish(conversation.id, 1)
        await until(lambda: _died(db, step, conversation, npa))
    async with road_of(db, npa):
        await until(lambda: is_finished(db, conversation.id))
    assert len(npa.requests) == len(await rows(db, SucceededLead)) == 1


async def _died(db: Database, step: str, conversation: Conversation, npa: NpaEmulator) -> bool:
    match step:
        case "read":
            return True
        case "conclude":
            return bool(await rows(db, Submission))
        case "submit":
            return bool(await rows(db, SucceededLead))
    return await is_finished(db, conversation.id)


async def test_a_conversation_whose_job_was_lost_is_found_by_its_own_row(
    sqlite_db: Database, npa: NpaEmulator, tmp_path: Path
) -> None:
    conversation = await call(sqlite_db, TALK)
    async with road_of(sqlite_db, npa, dies_after="conclude") as road:
        await road.start_finish(conversation.id, 1)
        await until(lambda: _died(sqlite_db, "conclude", conversation, npa))
    _lose_the_jobs(tmp_path)
    async with road_of(sqlite_db, npa) as road:
        schedule = asyncio.create_task(run_scheduler(road))
        await until(lambda: is_finished(sqlite_db, conversation.id))
        schedule.cancel()
        await asyncio.gather(schedule, return_exceptions=True)
    assert len(npa.leads) == 1


def _lose_the_jobs(folder: Path) -> None:
    files = list(folder.glob("*.jobs.db*"))
    assert files
    for path in files:
        path.unlink()


async def test_the_opened_road_finishes_what_is_due_and_closes_cleanly(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(sqlite_db, TALK)
    settings = settings_for(sqlite_db.url, npa.base_url)
    async with (
        httpx.AsyncClient() as http,
        Road.open(settings, sqlite_db, http, load_profile),
    ):
        await until(lambda: is_finished(sqlite_db, conversation.id))
    assert len(npa.leads) == 1


# A real process and a real `kill -9`. Each start takes two seconds, most of it imports.


@asynccontextmanager
async def process(url: str, npa: NpaEmulator, conversation: Conversation) -> AsyncIterator[Any]:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "DATABASE_URL": url,
        "NPA_API_BASE_URL": npa.base_url,
        "NPA_API_USERNAME": "buyer",
        "NPA_API_PASSWORD": "secret",
    }
    walker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.leads.road_process", str(conversation.id)),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield walker
    finally:
        if walker.returncode is None:
            walker.kill()
        await walker.communicate()


async def _started(walker: Any) -> None:
    async with asyncio.timeout(60):
        assert await walker.stdout.readline() == b"started\n"


Moment = Callable[[NpaEmulator, Any], Awaitable[None]]


async def before_the_buyer_decides(npa: NpaEmulator, walker: Any) -> None:
    npa.faults.timeout_before = True
    await until(lambda: len(npa.requests) == 1, seconds=60)


async def after_the_buyer_took_it(npa: NpaEmulator, walker: Any) -> None:
    npa.faults.timeout_after = True
    await until(lambda: len(npa.leads) == 1, seconds=60)


async def right_after_the_start(npa: NpaEmulator, walker: Any) -> None:
    await _started(walker)


@pytest.mark.parametrize(
    "moment", [before_the_buyer_decides, after_the_buyer_took_it, right_after_the_start]
)
async def test_kill_9_loses_no_lead_and_sends_none_twice(
    sqlite_db: Database, npa: NpaEmulator, moment: Moment
) -> None:
    conversation = await call(sqlite_db, TALK)
    async with process(sqlite_db.url, npa, conversation) as walker:
        await moment(npa, walker)
        walker.kill()
        await walker.wait()
    npa.faults.timeout_before = npa.faults.timeout_after = False
    async with process(sqlite_db.url, npa, conversation):
        await until(lambda: is_finished(sqlite_db, conversation.id), seconds=60)
    succeeded, questions = await rows(sqlite_db, SucceededLead), await rows(sqlite_db, ReviewItem)
    assert len(succeeded) + len(questions) == 1
    assert len(npa.requests) == 1
