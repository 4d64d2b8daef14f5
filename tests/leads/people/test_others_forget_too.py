"""Whoever was told of a lead is told that its person was forgotten, and nothing else of them."""

import json
from typing import Any

from ivr.db.tables import OutboxEvent
from tests.channels.conftest import eager, nobody_calls
from tests.channels.world import World, world
from tests.leads.cast import rows, until
from tests.leads.people.planted import listener

__all__ = ["eager", "nobody_calls"]  # both for every test here

PERSON = {"name": "Zebulon Zork", "phone": "+17705550188", "email": "zebulon@zork.example"}


async def _handed_in(w: World) -> dict[str, Any]:
    """Hand a lead in, and wait until it has been submitted."""
    answer = await w.http.post("/api/v1/leads", json=PERSON)
    assert answer.status_code == 201, answer.text
    lead: dict[str, Any] = {}

    async def is_submitted() -> bool:
        read = await w.http.get(f"/api/v1/leads/{answer.json()['id']}")
        lead.update(read.json())
        return bool(lead["submissions"])

    await until(is_submitted)
    return lead


async def _forget(w: World, lead: dict[str, Any]) -> None:
    async def is_done() -> bool:
        answer = await w.http.delete(f"/api/v1/leads/{lead['id']}")
        assert answer.status_code in {204, 409}, answer.text
        return answer.status_code == 204  # 409: it is on its way to somebody

    await until(is_done)


async def test_endpoints_are_told_that_a_lead_was_forgotten_by_its_ids_alone(
    database_url: str,
) -> None:
    async with world(database_url) as w, listener(w) as told:
        lead = await _handed_in(w)
        await _forget(w, lead)
        await until(lambda: any("lead.forgotten" in one for one in told))
    (event,) = [event for one in told if (event := json.loads(one))["type"] == "lead.forgotten"]
    submissions = [one["id"] for one in lead["submissions"]]
    assert submissions, "the event says under which names it was submitted"
    at = event["data"].pop("at")
    assert event["data"] == {"lead_id": lead["id"], "submission_ids": submissions}
    assert at.endswith("Z")


async def test_who_tells_nobody_keeps_no_id_of_the_forgotten(database_url: str) -> None:
    async with world(database_url) as w:
        await _forget(w, await _handed_in(w))
        assert await rows(w.db, OutboxEvent) == []
