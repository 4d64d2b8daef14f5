"""The old store's file goes in and comes out again, and nothing of it is lost."""

import asyncio
import json
import sqlite3
import threading
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ivr.conversations import Said, transcript, write_turn
from ivr.db import Database
from ivr.db.engine import database_path
from ivr.db.tables import (
    Conversation,
    FieldValue,
    Lead,
    OutboxEvent,
    Role,
    Tenant,
    Transition,
    Turn,
)
from ivr.errors import BadRequest, Conflict
from ivr.leads import values
from ivr.leads.progress import exchange, profile_stages
from ivr.leads.progress.exchange import Outcome
from ivr.leads.progress.imported import read
from tests.leads.cast import NOW, rows
from tests.leads.courses import COURSES, KEYS, centre, chat, lead_of, moves_of, pin, tell

ZONE = ZoneInfo("Asia/Karachi")  # five hours before UTC, all year round
TURNS: list[dict[str, Any]] = [
    {"role": "user", "content": "My name is Ahmed", "timestamp": "2025-12-12T15:09:58"},
    {"role": "assistant", "content": "Hello Ahmed! \u0645\u0631\u062d\u0628\u0627", "tokens": 17},
    {"user": "I want to learn CTA", "assistant": "CTA is an excellent choice", "score": 1.50},
    {"something": ["else", None, {"deep": True}]},
]
# The example of the stage tracking guide, with turns where it has dots.
SEED: dict[str, Any] = {
    "conversation-id-here": {
        "stage": "COURSE_SELECTED",
        "stage_updated_at": "2025-12-12T15:30:00",
        "stage_history": [
            {"stage": "NEW", "timestamp": "2025-12-12T15:00:00"},
            {"stage": "NAME_COLLECTED", "timestamp": "2025-12-12T15:10:00"},
            {"stage": "COURSE_SELECTED", "timestamp": "2025-12-12T15:30:00"},
        ],
        "lead_data": {
            "name": "Ahmed",
            "phone": "+92 300 1234567",
            "selected_course": "CTA",
            "education_level": "Graduate",
            "goal": "Career switch",
            "demo_shared": False,
            "enrolled": False,
        },
        "turns": TURNS,
        "summary": "Ahmed wants to learn CTA.",
    }
}
OLD: dict[str, Any] = {
    "7c9e6679-7425-40de-944b-e07fc1f90ae7": {"turns": TURNS, "summary": "Before there were stages"}
}


@pytest.fixture
async def tenant(db: Database) -> Tenant:
    return await centre(db)


async def bring_in(db: Database, tenant: Tenant, document: object) -> Outcome:
    records = read(json.dumps(document), COURSES, ZONE, now=NOW)
    return await exchange.bring_in(db, tenant, COURSES, records, now=NOW)


async def take_out(db: Database, tenant: Tenant) -> dict[str, dict[str, Any]]:
    async with db.read() as session:
        return await exchange.take_out(session, tenant, COURSES)


def zoned(value: Any) -> Any:
    """The document with the business's zone at every time."""
    if isinstance(value, dict):
        return {
            name: f"{it}+05:00" if name in {"timestamp", "stage_updated_at"} else zoned(it)
            for name, it in value.items()
        }
    return [zoned(it) for it in value] if isinstance(value, list) else value


async def test_the_example_comes_out_as_it_went_in(db: Database, tenant: Tenant) -> None:
    assert await bring_in(db, tenant, SEED) == Outcome(added=1, known=0)
    found = await take_out(db, tenant)
    (record,) = found.values()
    assert list(found) == list(SEED)
    wanted = {**zoned(SEED)["conversation-id-here"], "turns": TURNS}
    assert record == {**wanted, "created_at": "2025-12-12T15:00:00+05:00"}
    assert list(record["lead_data"]) == list(KEYS)
    assert json.dumps(record["turns"]) == json.dumps(TURNS)


async def test_what_came_out_goes_in_elsewhere_just_the_same(db: Database, tenant: Tenant) -> None:
    await bring_in(db, tenant, SEED | OLD)
    out = await take_out(db, tenant)
    other = await centre(db, "other")
    moved = {f"moved-{key}": record for key, record in out.items()}
    await bring_in(db, other, moved)
    again = await take_out(db, other)
    assert {key.removeprefix("moved-"): record for key, record in again.items()} == out


async def test_a_second_time_changes_nothing(db: Database, tenant: Tenant) -> None:
    tables = (Conversation, Lead, FieldValue, Transition, Turn)
    await bring_in(db, tenant, SEED | OLD)
    before = [await rows(db, table) for table in tables]
    assert await bring_in(db, tenant, SEED | OLD) == Outcome(added=0, known=2)
    after = [await rows(db, table) for table in tables]
    assert [[row.model_dump() for row in them] for them in after] == [
        [row.model_dump() for row in them] for them in before
    ]


async def test_a_server_beside_it_writes_after_every_few_records(sqlite_url: str) -> None:
    """On SQLite one writes at a time, and who waits only looks every 0.1 s."""
    db = Database(sqlite_url)
    tenant = await centre(db)
    document = {f"old-{number}": {"stage": "NEW"} for number in range(60)}
    is_over = threading.Event()
    serving = asyncio.create_task(asyncio.to_thread(_write_until, is_over, sqlite_url))
    assert await bring_in(db, tenant, document) == Outcome(added=60, known=0)
    is_over.set()
    assert await serving >= 60 // exchange._WRITTEN_AT_ONCE
    await db.close()


def _write_until(is_over: threading.Event, url: str) -> int:
    """Write as another process does, and return how often that was possible."""
    path = database_path(url)
    assert path is not None
    count = 0
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        while not is_over.is_set():
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
            count += 1
            is_over.wait(0.02)
    return count


async def test_a_conversation_older_than_the_stages_is_new(db: Database, tenant: Tenant) -> None:
    await bring_in(db, tenant, OLD)
    (record,) = (await take_out(db, tenant)).values()
    assert record["stage"] == "NEW"
    assert record["lead_data"] == {
        **dict.fromkeys(KEYS[:5]),
        "demo_shared": False,
        "enrolled": False,
    }
    assert [entry["stage"] for entry in record["stage_history"]] == ["NEW"]
    assert (record["turns"], record["summary"]) == (TURNS, "Before there were stages")


async def test_ids_that_can_be_kept_are_kept(db: Database, tenant: Tenant) -> None:
    await bring_in(db, tenant, SEED | OLD)
    found = {row.session_key: row.id for row in await rows(db, Conversation)}
    (old,) = OLD
    assert found[old] == uuid.UUID(old)
    named = "conversation-id-here"
    assert found[named] == uuid.uuid5(tenant.id, named)


async def test_times_without_a_zone_are_those_of_the_business(db: Database, tenant: Tenant) -> None:
    await bring_in(db, tenant, SEED)
    (lead,) = await rows(db, Lead)
    moves = await moves_of(db, lead.id)
    assert [move.at for move in moves] == [
        datetime(2025, 12, 12, 10, minute, tzinfo=UTC) for minute in (0, 10, 30)
    ]


async def test_what_was_said_can_be_read_and_goes_on(db: Database, tenant: Tenant) -> None:
    await bring_in(db, tenant, SEED)
    (conversation,) = await rows(db, Conversation)
    async with db.read() as session:
        said = [(turn.role, turn.text) for turn in await transcript(session, conversation.id)]
    assert said == [
        (Role.CALLER, "My name is Ahmed"),
        (Role.ASSISTANT, TURNS[1]["content"]),
        (Role.CALLER, "I want to learn CTA"),
        (Role.ASSISTANT, "CTA is an excellent choice"),
    ]
    async with db.write() as session:
        await write_turn(session, conversation, Said("in_1", 4, Role.CALLER, "Hello again", NOW))
    (record,) = (await take_out(db, tenant)).values()
    assert record["turns"][:-1] == TURNS
    assert record["turns"][-1] == {
        "role": "user",
        "content": "Hello again",
        "timestamp": NOW.astimezone(ZONE).isoformat(),
    }


async def test_an_imported_lead_is_tracked_from_then_on(db: Database, tenant: Tenant) -> None:
    await bring_in(db, tenant, SEED)  # its data say more than its stage
    (conversation,) = await rows(db, Conversation)
    assert (await lead_of(db, conversation)).stage_pin == "COURSE_SELECTED"
    lead = await tell(db, conversation, demo_shared=True)
    assert (lead.stage, lead.stage_pin) == ("DEMO_SHARED", None)


async def test_nobody_is_told_and_nothing_is_sent_of_what_happened_long_ago(
    db: Database, tenant: Tenant
) -> None:
    await bring_in(db, tenant, {"x": {"stage": "ENROLLED"}})
    (conversation,) = await rows(db, Conversation)
    assert (conversation.status, conversation.finish_after) == ("finished", None)
    assert await rows(db, OutboxEvent) == []


@pytest.mark.parametrize(
    ("record", "stage", "status", "enrolled"),
    [
        ({"stage": "ENROLLED", "lead_data": {"enrolled": False}}, "ENROLLED", "closed_won", True),
        ({"stage": "NEW", "lead_data": {"enrolled": True}}, "ENROLLED", "closed_won", True),
        ({"stage": "LOST", "lead_data": {"enrolled": True}}, "LOST", "closed_lost", False),
        ({"stage": None, "lead_data": {"name": "Ahmed"}}, "NEW", "new", False),
        ({"stage": "DEMO_SHARED", "lead_data": {"demo_shared": True}}, "DEMO_SHARED", "new", False),
    ],
)
async def test_stage_status_and_enrolment_agree_whatever_the_file_says(
    db: Database, tenant: Tenant, record: Any, stage: str, status: str, enrolled: bool
) -> None:
    await bring_in(db, tenant, {"x": record})
    (lead,) = await rows(db, Lead)
    assert (lead.stage, lead.status) == (stage, status)
    assert (lead.closed_at is not None) is (status != "new")
    async with db.read() as session:
        held = await values.current(session, lead.id)
    assert ("enrolled" in held) is enrolled
    assert lead.stage == (lead.stage_pin or profile_stages.stage_of(COURSES, set(held)))
    moves = await moves_of(db, lead.id)
    assert (moves[0].to_value, moves[-1].to_value) == ("NEW", stage)


async def test_an_imported_lost_lead_stays_lost(db: Database, tenant: Tenant) -> None:
    await bring_in(db, tenant, {"x": {"stage": "LOST"}})
    (conversation,) = await rows(db, Conversation)
    assert (await tell(db, conversation, name="Ahmed")).stage == "LOST"


async def test_fields_that_we_do_not_have_come_out_again(db: Database, tenant: Tenant) -> None:
    record = {"lead_data": {"city": "Lahore"}, "language": "ur", "summary": {"short": "x"}}
    await bring_in(db, tenant, {"x": record})
    (out,) = (await take_out(db, tenant)).values()
    assert (out["lead_data"]["city"], out["language"]) == ("Lahore", "ur")
    assert out["summary"] == {"short": "x"}


async def test_two_records_with_one_phone_are_two_leads(db: Database, tenant: Tenant) -> None:
    record = {"lead_data": {"phone": "+92 300 1234567"}}
    await bring_in(db, tenant, {"x": record, "y": record})
    assert len({lead.contact_id for lead in await rows(db, Lead)}) == 2


async def test_our_own_conversations_come_out_by_their_id(db: Database, tenant: Tenant) -> None:
    conversation = await chat(db, tenant)
    await pin(db, conversation, "LOST", now=NOW + timedelta(days=1))
    found = await take_out(db, tenant)
    assert list(found) == [str(conversation.id)]
    record = found[str(conversation.id)]
    assert record["stage_updated_at"] == record["stage_history"][-1]["timestamp"]
    assert record["turns"] == []


async def test_the_conversation_of_another_business_is_left_alone(
    db: Database, tenant: Tenant
) -> None:
    other = await centre(db, "other")
    await bring_in(db, other, OLD)
    with pytest.raises(Conflict, match="another business"):
        await bring_in(db, tenant, OLD)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "expected one JSON object"),
        ("{", "not JSON"),
        ('{"x": NaN}', "NaN is no number"),
        ('{"x": []}', "conversation x: expected an object"),
        ('{"x": {"stage": "WARM"}}', "conversation x: no stage 'WARM'; valid are NEW, "),
        ('{"x": {"created_at": "yesterday"}}', "conversation x: 'yesterday' is no ISO 8601 time"),
        ('{"x": {"stage_history": "NEW"}}', "stage_history: expected a list"),
        ('{"x": {"stage_history": [{"stage": "NEW"}]}}', "expected a timestamp in every entry"),
        ('{"x": {"lead_data": 3}}', "lead_data: expected an object"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_as_a_whole(text: str, words: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(text, COURSES, ZONE, now=NOW)
    assert words in str(caught.value)


def test_a_history_that_runs_back_is_put_in_order() -> None:
    history = [
        {"stage": "NAME_COLLECTED", "timestamp": "2025-12-12T15:00:00Z"},
        {"stage": "DEMO_SHARED", "timestamp": "2025-12-12T14:00:00Z"},
    ]
    text = json.dumps({"x": {"stage": "DEMO_SHARED", "stage_history": history}})
    (record,) = read(text, COURSES, ZONE, now=NOW)
    at = datetime(2025, 12, 12, 15, tzinfo=UTC)
    assert record.history == (("NEW", at), ("NAME_COLLECTED", at), ("DEMO_SHARED", at))
