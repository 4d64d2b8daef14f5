"""A lead whose one conversation proved to be with somebody else: it is seen, and can be changed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from ivr import tenants
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, FieldValue, Message, Tenant
from ivr.leads.conclusion import conclude
from ivr.leads.extraction import Extraction
from ivr.leads.people import identity
from ivr.leads.profile import load_profile
from ivr.memory import open_memory
from ivr.web import leads
from tests.leads.cast import JOHN, NOW, rows, settings_for
from tests.leads.people.acquaintances import comes, says
from tests.web.house import Interface, interface

COURSES = load_profile("courses")
LATER = NOW + timedelta(days=2)
TOLD = {"escalation": {"staff_phone": "+18005550100"}, "thresholds": {"escalate_hot": True}}
AHMED = {"name": "Ahmed", "selected_course": "CTA"}


@dataclass(frozen=True, slots=True)
class Desk:
    """The interface, Ahmed's lead, and the conversation that went to somebody else."""

    web: Interface
    lead_id: str
    conversation: Conversation

    async def patch(self, body: dict[str, Any], path: str = "", *, expected: int = 200) -> Any:
        answer = await self.web.client.patch(f"/api/v1/leads/{self.lead_id}{path}", json=body)
        assert answer.status_code == expected, answer.text
        return answer.json()

    async def others(self) -> tuple[str | None, bool]:
        """What somebody else's lead is about, and whether we are silent there."""
        (mine,) = await rows(self.web.db, Conversation)
        held = [it for it in await rows(self.web.db, FieldValue) if it.lead_id == mine.lead_id]
        return (held[-1].value if held else None), mine.assistant_paused


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    settings = settings_for(db.url, profile="courses")
    text = await comes(db, Channel.SMS, JOHN, number=JOHN, profile="courses")
    await says(db, text, AHMED, profile="courses")
    over = NOW + timedelta(days=1)
    async with db.write() as session:
        (await session.get_one(Conversation, text.id)).finish_after = over
        reading = Extraction(by="rules")
        await conclude(session, load_profile, text.id, 1, reading, now=over)
    again = await comes(db, Channel.SMS, JOHN, number=JOHN, profile="courses", now=LATER)
    await says(db, again, {"goal": "More"}, profile="courses", now=LATER)
    async with db.write() as session:
        here = await identity.not_this_person(session, again, COURSES, now=LATER)
    assert (here.id, here.lead_id != text.lead_id) == (text.id, True)
    tenant = await tenants.ensure_default(db, settings, now=NOW)
    async with db.write() as session:
        (await session.get_one(Tenant, tenant.id)).config = TOLD
    async with interface(db, tenant, leads.router) as web:
        yield Desk(web, str(text.lead_id), here)


async def test_its_fields_can_be_set_and_no_one_elses_are(desk: Desk) -> None:
    changed = await desk.patch({"fields": {"education_level": "Graduate"}})
    assert changed["lead_data"]["education_level"] == "Graduate"
    assert (changed["lead_data"]["name"], changed["conversations"]) == ("Ahmed", [])
    assert (await desk.others())[0] == "More"


async def test_it_can_be_enrolled_and_no_longer(desk: Desk) -> None:
    won = await desk.patch({"status": "closed_won"})
    assert (won["stage"], won["lead_data"]["enrolled"]) == ("ENROLLED", True)
    back = await desk.patch({"status": "contacted"})
    assert (back["stage"], back["lead_data"]["enrolled"]) == ("COURSE_SELECTED", False)


async def test_it_becomes_hot_and_nobody_else_is_silenced(desk: Desk) -> None:
    hot = await desk.patch({"score": 95, "reason": "rang us"}, "/score")
    assert hot["score_label"] == "HOT"
    assert (await desk.others())[1] is False
    assert await rows(desk.web.db, Message) == [], "it would stand in another's conversation"


async def test_to_hand_it_over_is_refused_in_words(desk: Desk) -> None:
    problem = await desk.patch({"lifecycle": "HANDED_OFF"}, expected=409)
    assert "no conversation" in problem["detail"] and "owner" in problem["detail"]
    assert (await desk.others())[1] is False


async def test_it_is_in_the_lists_with_no_conversation(desk: Desk, database_url: str) -> None:
    page = await desk.web.get("/leads/by-stage/COURSE_SELECTED")
    assert page["count"] == 1
    (line,) = page["leads"]
    assert (line["conversation_id"], line["lead_data"]["name"]) == (None, "Ahmed")
    with open_memory(database_url) as memory:
        (entry,) = memory.get_leads_by_stage("COURSE_SELECTED")
    assert (entry["conversation_id"], entry["lead_data"]["name"]) == (None, "Ahmed")
