"""The owner's `memory` object: synchronous, from any thread, over the same database."""

import asyncio
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest

from ivr.db import Database
from ivr.db.tables import Conversation, InboundEvent, Lead, Submission, utc_now
from ivr.errors import NotFound, Unprocessable
from ivr.leads.conclusion import conclude
from ivr.leads.extraction import Extraction
from ivr.leads.profile import load_profile
from ivr.memory import Memory, open_memory
from tests.leads.cast import rows
from tests.leads.courses import AHMED, KEYS, STAGES, centre
from tests.leads.progress.test_funnel import FIELDS, assert_counts

ROOT = Path(__file__).parent.parent


@pytest.fixture
def memory(database_url: str) -> Iterator[Memory]:
    async def prepare() -> None:
        db = Database(database_url)
        await centre(db)
        await db.close()

    asyncio.run(prepare())
    with open_memory(database_url) as opened:
        yield opened


def test_a_field_is_updated_and_so_is_the_stage(memory: Memory) -> None:
    conversation = memory.start_conversation()
    assert memory.get_stage(conversation) == "NEW"
    assert memory.update_lead_field(conversation, "name", "Ahmed") == "NAME_COLLECTED"
    assert memory.get_stage(conversation) == "NAME_COLLECTED"
    assert memory.get_lead_data(conversation)["name"] == "Ahmed"


def test_a_new_lead_has_the_seven_fields_and_knows_none(memory: Memory) -> None:
    found = memory.get_lead_data(memory.start_conversation())
    assert found == {**dict.fromkeys(KEYS[:5]), "demo_shared": False, "enrolled": False}
    assert tuple(found) == KEYS


def test_several_fields_at_once_are_one_move(memory: Memory) -> None:
    conversation = memory.start_conversation()
    assert memory.update_lead_fields(conversation, AHMED) == "GOAL_COLLECTED"
    history = memory.get_stage_history(conversation)
    assert [entry["stage"] for entry in history] == ["NEW", "GOAL_COLLECTED"]
    assert all(datetime.fromisoformat(entry["timestamp"]).tzinfo for entry in history)
    assert {set(entry) == {"stage", "timestamp"} for entry in history} == {True}


def test_the_leads_of_a_stage_are_listed_with_what_is_known(memory: Memory) -> None:
    conversation = memory.start_conversation()
    memory.start_conversation()
    memory.update_lead_field(conversation, "selected_course", "CTA")
    (found,) = memory.get_leads_by_stage("COURSE_SELECTED")
    assert (found["conversation_id"], found["stage"]) == (conversation, "COURSE_SELECTED")
    assert set(found) == {
        "conversation_id",
        "stage",
        "stage_updated_at",
        "created_at",
        "lead_data",
    }
    assert found["stage_updated_at"] == memory.get_stage_history(conversation)[-1]["timestamp"]


def test_the_counts_are_of_all_stages(memory: Memory) -> None:
    memory.set_stage(memory.start_conversation(), "LOST", reason="too far away")
    memory.start_conversation()
    assert memory.get_all_stage_stats() == {**dict.fromkeys(STAGES, 0), "NEW": 1, "LOST": 1}


def test_a_lead_that_was_held_goes_when_what_it_lacked_is_told(
    memory: Memory, database_url: str
) -> None:
    conversation = uuid.UUID(memory.start_conversation())
    memory.update_lead_field(str(conversation), "name", "Ahmed")
    assert asyncio.run(concluded(database_url, conversation)) == "held"
    memory.update_lead_field(str(conversation), "phone", AHMED["phone"])
    submission = asyncio.run(submission_of(database_url))
    assert (submission.state, submission.lead_data["phone"]) == ("pending", "+923001234567")


async def concluded(url: str, conversation_id: uuid.UUID) -> str:
    """End a conversation; return what became of its lead."""
    db, reading = Database(url), Extraction(by="rules")
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation_id)
        row.finish_after = utc_now()
    async with db.write() as session:
        await conclude(session, load_profile, conversation_id, 1, reading, now=utc_now())
    await db.close()
    return (await submission_of(url)).state


async def submission_of(url: str) -> Submission:
    db = Database(url)
    (submission,) = await rows(db, Submission)
    await db.close()
    assert isinstance(submission, Submission)
    return submission


def test_a_stage_set_by_hand_holds_and_enrols(memory: Memory) -> None:
    conversation = memory.start_conversation()
    assert memory.set_stage(conversation, "ENROLLED") == "ENROLLED"
    memory.update_lead_field(conversation, "goal", "More")
    assert memory.get_stage(conversation) == "ENROLLED"
    assert memory.get_lead_data(conversation)["enrolled"] is True


def test_a_conversation_is_found_by_the_key_it_was_given(memory: Memory) -> None:
    conversation = memory.start_conversation("visitor-17")
    memory.update_lead_field("visitor-17", "name", "Ahmed")
    assert memory.get_stage(conversation) == "NAME_COLLECTED"
    assert memory.start_conversation("visitor-17") == conversation


def test_a_key_that_looks_like_an_id_names_its_conversation(memory: Memory) -> None:
    """As programs make theirs; an id of ours comes first."""
    key = str(uuid.uuid4())
    conversation = memory.start_conversation(key)
    memory.update_lead_field(key, "name", "Ahmed")
    assert memory.get_lead_data(conversation)["name"] == "Ahmed"
    memory.start_conversation(conversation)  # somebody's key is the id of another one
    assert memory.get_lead_data(conversation)["name"] == "Ahmed"


def test_what_cannot_be_is_refused_in_words(memory: Memory) -> None:
    conversation = memory.start_conversation()
    with pytest.raises(NotFound, match="no conversation"):
        memory.get_stage(str(uuid.uuid4()))
    with pytest.raises(Unprocessable, match="it has name, phone, selected_course"):
        memory.update_lead_field(conversation, "shoe_size", "43")
    with pytest.raises(Unprocessable, match="selected_course: "):
        memory.update_lead_field(conversation, "selected_course", "Basket weaving")
    with pytest.raises(Unprocessable, match="valid are NEW"):
        memory.set_stage(conversation, "WARM")
    with pytest.raises(Unprocessable, match="valid are NEW"):
        memory.get_leads_by_stage("WARM")
    assert memory.get_stage_history(conversation)[1:] == []


def test_one_wrong_field_leaves_all_as_they_were(memory: Memory) -> None:
    conversation = memory.start_conversation()
    with pytest.raises(Unprocessable):
        memory.update_lead_fields(conversation, {"name": "Ahmed", "phone": "no number"})
    assert memory.get_lead_data(conversation)["name"] is None


def test_there_is_no_memory_of_a_business_that_is_none(memory: Memory, database_url: str) -> None:
    with pytest.raises(NotFound, match="no tenant 'nobody'"):
        open_memory(database_url, tenant="nobody")


def test_a_new_file_gets_its_tables_and_its_business(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PROFILE", "courses")
    with open_memory("sqlite:///new.db") as memory:
        assert memory.get_stage(memory.start_conversation()) == "NEW"
    memory.close()  # a second time is harmless


def test_fifty_threads_leave_the_books_in_order(memory: Memory, database_url: str) -> None:
    shared = [memory.start_conversation() for _ in range(3)]
    offers = [(name, value) for name, them in FIELDS.items() for value in them]

    def work(seed: int) -> None:
        choice = random.Random(seed)
        own = memory.start_conversation()
        for _ in range(3):
            memory.update_lead_field(choice.choice([own, *shared]), *choice.choice(offers))
            memory.set_stage(choice.choice([own, *shared]), choice.choice(STAGES))
        assert sum(memory.get_all_stage_stats().values()) >= len(shared)

    with ThreadPoolExecutor(50) as threads:
        list(threads.map(work, range(50)))

    async def check() -> None:
        db = Database(database_url)
        await assert_counts(db, await centre(db))
        assert len(await rows(db, Lead)) == 53
        await db.close()

    asyncio.run(check())
    assert sum(memory.get_all_stage_stats().values()) == 53


def test_a_process_that_is_killed_leaves_the_books_in_order(
    memory: Memory, database_url: str
) -> None:
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.memory_process", database_url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        with process.stdout as lines:
            for _ in range(20):
                assert next(lines) == "updated\n"
            process.kill()
        process.wait(timeout=20)

    async def check() -> None:
        db = Database(database_url)
        await assert_counts(db, await centre(db))
        await db.close()

    asyncio.run(check())
    assert sum(memory.get_all_stage_stats().values()) == 8


def test_a_conversation_begun_here_leaves_nothing_to_be_answered(
    memory: Memory, database_url: str
) -> None:
    memory.start_conversation()

    async def waiting() -> list[InboundEvent]:
        db = Database(database_url)
        try:
            return await rows(db, InboundEvent)
        finally:
            await db.close()

    assert asyncio.run(waiting()) == [], "the desk would look for words in it for ever"
