"""Stages beside a running conversation: set by hand, opened again, and many of both at once."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from ivr import tenants
from tests.channels.world import World, world
from tests.leads.courses import STAGES
from tests.leads.progress.test_funnel import assert_counts

WORDS = ("My name is Ahmed", "I want to learn CTA", "What does it cost?", "Hello")


@pytest.fixture
async def w(sqlite_url: str) -> AsyncIterator[World]:
    async with world(sqlite_url, profile="courses", max_loop_lag_ms=60_000) as opened:
        yield opened


async def put(w: World, conversation: str, stage: str) -> None:
    """Set the stage of a conversation by hand."""
    path = f"/conversations/{conversation}/update-stage"
    answer = await w.http.post(path, params={"new_stage": stage, "reason": "by telephone"})
    assert answer.status_code == 200, answer.text


async def way(w: World, conversation: str) -> list[tuple[str, str]]:
    """The stages that a conversation's lead came into, and who put it there."""
    answer = await w.http.get(f"/api/v1/conversations/{conversation}/stage-history")
    found = [(entry["stage"], entry["actor"]) for entry in answer.json()["stage_history"]]
    return [(stage, actor.partition(":")[0]) for stage, actor in found]  # whichever key it was


async def test_the_next_turn_does_not_undo_what_was_set_by_hand(w: World) -> None:
    first = await w.chat("My name is Ahmed")
    name = first["conversation_id"]
    await put(w, name, "DEMO_SHARED")
    answer = await w.chat("I want to learn CTA", conversation_id=name)
    assert (answer["stage"], answer["lead_data"]["selected_course"]) == ("DEMO_SHARED", "CTA")
    assert [stage for stage, _ in await way(w, name)] == ["NEW", "NAME_COLLECTED", "DEMO_SHARED"]


async def test_a_lost_lead_that_writes_is_open_again_and_the_history_says_so(w: World) -> None:
    name = (await w.chat("My name is Ahmed"))["conversation_id"]
    await put(w, name, "LOST")
    answer = await w.chat("I want to learn CTA", conversation_id=name)
    assert answer["stage"] == "COURSE_SELECTED"
    went = await way(w, name)
    assert went[2:] == [
        ("LOST", "api"),
        ("NAME_COLLECTED", "system"),
        ("COURSE_SELECTED", "assistant"),
    ]


async def test_n_turns_make_at_most_n_moves(w: World) -> None:
    name = (await w.chat("Hello"))["conversation_id"]
    for words in ("My name is Ahmed", "My name is Ahmed", "I want to study CTA course"):
        await w.chat(words, conversation_id=name)
    went = [stage for stage, _ in await way(w, name)]
    assert went == ["NEW", "NAME_COLLECTED", "COURSE_SELECTED"]


async def test_fifty_who_chat_and_set_stages_at_once_leave_the_books_in_order(w: World) -> None:
    shared = [(await w.chat("Hello"))["conversation_id"] for _ in range(3)]

    async def somebody(seed: int) -> None:
        choice = random.Random(seed)
        own = (await w.chat(choice.choice(WORDS)))["conversation_id"]
        one = choice.choice([own, *shared])
        await asyncio.gather(
            w.chat(choice.choice(WORDS), conversation_id=one),
            put(w, choice.choice([own, *shared]), choice.choice(STAGES)),
        )

    await asyncio.gather(*(somebody(seed) for seed in range(50)))
    async with w.db.read() as session:
        tenant = await tenants.by_slug(session, tenants.DEFAULT)
    assert tenant is not None
    await assert_counts(w.db, tenant)
    stats = (await w.http.get("/leads/stats")).json()
    assert stats["total_leads"] == 53 == sum(stats["by_stage"].values())
