"""Leads given to staff over JSON: the assistant falls silent, on every door (S2.54)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ivr.db.tables import (
    Conversation,
    Escalation,
    InboundEvent,
    Lead,
)
from tests.channels.world import JOHN, World, world
from tests.leads.cast import rows, strict_profile, until
from tests.web.lead_door import DOOR, create, finished, get, moves, patch


@pytest.fixture
async def w(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as opened:
        yield opened


async def handoff(w: World, lead_id: str, *, status: int = 200, **body: Any) -> Any:
    response = await w.http.post(f"{DOOR}/{lead_id}/handoff", json=body)
    assert response.status_code == status, response.text
    return response.json()


async def lead_of_texts(w: World) -> str:
    """Have John text, and return his lead."""
    await w.reply_to(w.texter(), "Hi, I want to sell my bike")
    (lead,) = await rows(w.db, Lead)
    return str(lead.id)


async def test_after_a_handoff_the_assistant_says_nothing_more(w: World) -> None:
    lead_id = await lead_of_texts(w)
    given = await handoff(w, lead_id, assignee="ann", note="wants a test ride")
    assert (given["lifecycle"], given["owner"]) == ("HANDED_OFF", "ann")
    (case,) = given["escalations"]
    assert (case["state"], case["assignee"]) == ("acknowledged", "ann")
    assert "wants a test ride" in case["reason"]
    assert all(one["assistant_paused"] for one in given["conversations"])

    john = w.texter()
    said = len(john.received)
    await john.text("Anybody there?")
    assert (await w.chat("Hello"))["response"]  # somebody else is answered
    (text,) = [
        event
        for event in await rows(w.db, InboundEvent)
        if event.payload["text"] == "Anybody there?"
    ]
    assert text.answered_at is not None and len(john.received) == said


async def test_a_door_that_the_person_tries_next_is_silent_too(
    database_url: str, tmp_path: Path
) -> None:
    async with world(database_url, profile=strict_profile(tmp_path)) as w:
        answer = await create(w, {"name": "John Doe", "phone": JOHN})
        await finished(w)
        await handoff(w, answer["id"], assignee="ann")
        john = w.texter()
        await john.text("Hi, it is John")

        async def is_paused() -> bool:
            texts = [one for one in await rows(w.db, Conversation) if one.channel == "sms"]
            return bool(texts) and texts[0].assistant_paused

        await until(is_paused)
        found = await get(w, answer["id"])
        assert [one["assignee"] for one in found["escalations"]] == ["ann", "ann"]
        assert john.received == []


async def test_a_second_handoff_changes_nothing(w: World) -> None:
    lead_id = await lead_of_texts(w)
    first = await handoff(w, lead_id, assignee="ann")
    again = await handoff(w, lead_id, assignee="ann")
    assert again == first
    assert len(await rows(w.db, Escalation)) == 1
    assert len([one for one in await moves(w, lead_id, "lifecycle") if one[1] == "HANDED_OFF"]) == 1
    problem = await handoff(w, lead_id, status=409, assignee="bob")
    assert "ann" in problem["detail"]


async def test_without_an_assignee_it_waits_for_whoever_takes_it(w: World) -> None:
    lead_id = await lead_of_texts(w)
    response = await w.http.post(f"{DOOR}/{lead_id}/handoff")  # no body says no more than {}
    given = response.json()
    assert (given["lifecycle"], given["owner"]) == ("HANDED_OFF", None)
    assert given["escalations"][0]["state"] == "open"


async def test_a_closed_lead_is_not_handed_off(w: World) -> None:
    lead_id = (await create(w))["id"]
    await w.submitted()
    await finished(w)
    problem = await handoff(w, lead_id, status=409)
    assert "SUBMITTED" in problem["detail"]


async def test_a_lead_that_is_taken_back_is_the_assistant_s_again(w: World) -> None:
    lead_id = await lead_of_texts(w)
    await patch(w, lead_id, {"lifecycle": "HANDED_OFF"})
    assert (await get(w, lead_id))["conversations"][0]["assistant_paused"] is True
    back = await patch(w, lead_id, {"lifecycle": "QUALIFYING"})
    assert back["escalations"] == [] and not back["conversations"][0]["assistant_paused"]
    assert await w.reply_to(w.texter(), "John Doe")
