"""Leads changed by hand over JSON: all or nothing, by whom, and what follows from it."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlmodel import select

from ivr.db.tables import (
    Contact,
    Lead,
    Submission,
    SubmissionState,
    Tenant,
    utc_now,
)
from ivr.leads.people import open_leads
from ivr.leads.profile import load_profile
from tests.channels.world import JOHN, World, world
from tests.leads.cast import rows, until
from tests.web.lead_door import DOOR, NOBODY, create, finished, get, moves, patch


@pytest.fixture
async def w(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as opened:
        yield opened


async def test_what_staff_set_stays_whatever_is_said(w: World) -> None:
    who = {"name": "John Doe", "email": "john@example.com"}
    lead_id = (await create(w, who))["id"]
    await finished(w)
    changed = await patch(w, lead_id, {"fields": {"zip_code": 30093, "full_name": "John Smith"}})
    assert changed["fields"]["zip_code"]["source"] == "staff"
    assert changed["fields"]["zip_code"]["confirmed"] is True
    assert changed["contact"]["name"] == "John Smith"
    said = {"email": "john@example.com", "fields": {"zip_code": "10001"}}
    assert (await create(w, said, status=200))["id"] == lead_id
    assert (await get(w, lead_id))["lead_data"]["zip_code"] == "30093"
    gone = await patch(w, lead_id, {"fields": {"zip_code": None}})
    assert gone["lead_data"]["zip_code"] is None


async def test_every_move_is_written_down_with_who_and_why(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await patch(w, lead_id, {"owner": "ann", "status": "follow_up", "reason": "call on Monday"})
    await patch(w, lead_id, {"owner": None})
    (status,) = [move for move in await moves(w, lead_id, "status") if move[1] == "follow_up"]
    assert status[2].startswith("api:ivr_sk_") and status[3] == "call on Monday"
    owners = await moves(w, lead_id, "owner")
    assert [(old, new) for old, new, *_ in owners] == [(None, "ann"), ("ann", "")]


async def test_all_or_nothing_is_changed(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    before = await get(w, lead_id)
    for body, status in (
        ({"owner": "ann", "status": "banana"}, 422),
        ({"owner": "ann", "fields": {"zip_code": "30093", "phone": "12"}}, 422),
        ({"owner": "ann", "lifecycle": "SUBMITTED"}, 409),
        ({"owner": "ann", "lifecycle": "BANANA"}, 422),
        ({"owner": "ann", "stage": "BANANA"}, 422),
        ({"owner": "ann", "stage": "LOST", "status": "closed_won"}, 422),
        ({"owner": "ann", "lost_reason": "no money"}, 422),
        ({"owner": "ann", "lifecycle": "DISQUALIFIED", "status": "contacted"}, 422),
        ({"owner": "ann", "created_at": "2026-01-01T00:00:00Z"}, 422),
    ):
        problem = await patch(w, lead_id, body, status=status)
        assert problem["status"] == status
    assert await get(w, lead_id) == before


async def test_an_illegal_move_names_the_legal_ones(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    problem = await patch(w, lead_id, {"lifecycle": "SUBMITTED"}, status=409)
    assert "HANDED_OFF" in problem["detail"] and "NURTURING" in problem["detail"]
    problem = await patch(w, lead_id, {"id": NOBODY, "score": 3}, status=422)
    assert {error["field"] for error in problem["errors"]} == {"id", "score"}


@pytest.mark.parametrize(
    "body",
    [{"status": "closed_lost"}, {"stage": "LOST"}, {"lifecycle": "DISQUALIFIED"}],
    ids=["by status", "by stage", "by lifecycle"],
)
async def test_lost_is_one_thing_and_can_be_taken_back(w: World, body: dict[str, str]) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    lost = await patch(w, lead_id, {**body, "lost_reason": "sold to a friend"})
    assert (lost["stage"], lost["stage_pin"], lost["status"]) == ("LOST", "LOST", "closed_lost")
    assert lost["lost_reason"] == "sold to a friend" and lost["closed_at"] is not None
    back = {"status": "contacted"}
    if lost["lifecycle"] == "DISQUALIFIED":
        back["lifecycle"] = "QUALIFYING"
    again = await patch(w, lead_id, back)
    assert (again["stage"], again["stage_pin"]) == ("NAME_COLLECTED", None)
    assert (again["status"], again["lost_reason"], again["closed_at"]) == ("contacted", None, None)


async def test_won_is_one_thing_and_can_be_taken_back(w: World) -> None:
    body = {"name": "Ahmed", "profile": "courses"}
    lead_id = (await create(w, body))["id"]
    await finished(w)
    won = await patch(w, lead_id, {"status": "closed_won"})
    assert (won["stage"], won["lead_data"]["enrolled"]) == ("ENROLLED", True)
    back = await patch(w, lead_id, {"status": "follow_up"})
    assert (back["status"], back["lead_data"]["enrolled"]) == ("follow_up", False)
    assert back["stage"] == "NAME_COLLECTED" and back["closed_at"] is None
    by_flag = await patch(w, lead_id, {"fields": {"enrolled": True}})
    assert (by_flag["stage"], by_flag["status"]) == ("ENROLLED", "closed_won")


async def test_where_no_stage_is_won_a_correction_does_not_take_back_that_it_was(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    await patch(w, lead_id, {"status": "closed_won"})
    more = await patch(w, lead_id, {"fields": {"zip_code": "30093"}})
    assert (more["stage"], more["status"]) == ("LOCATION_COLLECTED", "closed_won")
    assert more["closed_at"] is not None
    back = await patch(w, lead_id, {"status": "follow_up"})
    assert (back["status"], back["closed_at"]) == ("follow_up", None)


async def test_a_stage_set_by_hand_is_let_go_with_null(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    pinned = await patch(w, lead_id, {"stage": "VEHICLE_STARTED"})
    assert pinned["stage_pin"] == "VEHICLE_STARTED"
    free = await patch(w, lead_id, {"stage": None})
    assert (free["stage"], free["stage_pin"]) == ("NAME_COLLECTED", None)


async def test_of_two_who_have_seen_the_same_one_wins(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    tag = (await w.http.get(f"{DOOR}/{lead_id}")).headers["ETag"]
    answers = await asyncio.gather(
        *(
            w.http.patch(f"{DOOR}/{lead_id}", json={"owner": who}, headers={"If-Match": tag})
            for who in ("ann", "bob")
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    (won,) = [answer for answer in answers if answer.status_code == 200]
    found = await w.http.get(f"{DOOR}/{lead_id}")
    assert found.json()["owner"] == won.json()["owner"]
    assert found.headers["ETag"] == won.headers["ETag"]


async def test_a_lead_is_not_opened_beside_one_that_the_person_begins_at_once(
    postgres_url: str,
) -> None:
    async with world(postgres_url) as w:
        lead_id = (await create(w, {"name": "John Doe"}))["id"]
        await finished(w)
        await patch(w, lead_id, {"lifecycle": "DISQUALIFIED"})
        back = {"lifecycle": "QUALIFYING", "status": "contacted"}
        async with w.db.write() as session:
            lead = await session.get_one(Lead, uuid.UUID(lead_id))
            contact = await session.get_one(Contact, lead.contact_id)
            profile, now = load_profile("powersports"), utc_now()
            await open_leads.begin(
                session, contact, profile, source="web", reason="came back", now=now
            )
            changing = asyncio.create_task(patch(w, lead_id, back))
            await until(lambda: _somebody_waits(w))
        changed = await changing
        assert changed["status"] == "contacted" and changed["closed_at"] is not None
        assert len([one for one in await rows(w.db, Lead) if one.closed_at is None]) == 1


async def _somebody_waits(w: World) -> bool:
    """Whether a transaction of this database waits for another one."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with w.db.read() as session:
        return bool((await (await session.connection()).execute(query)).scalar_one())


async def test_what_waits_for_the_buyer_gets_what_staff_correct(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    held = (await get(w, lead_id))["submissions"][0]
    assert held["state"] == "held" and "phone" in held["error"]
    await patch(w, lead_id, {"fields": {"phone": JOHN, "zip_code": "30093"}})
    books = await w.submitted()
    assert books.succeeded[0].lead_data["phone"] == JOHN
    assert books.succeeded[0].lead_data["zip_code"] == "30093"


async def test_who_is_not_ready_is_sent_when_staff_find_them_qualified(w: World) -> None:
    await not_ready_if_old(w)
    lead_id = (await create(w))["id"]
    await finished(w)
    lead = await get(w, lead_id)
    (held,) = lead["submissions"]
    assert (lead["lifecycle"], held["state"]) == ("NURTURING", "held")
    assert held["error"] == "not submitted: not ready yet, says the rule old"
    for body in ({"fields": {"zip_code": "10001"}}, {"lifecycle": "QUALIFYING"}):
        (held,) = (await patch(w, lead_id, body))["submissions"]
        assert held["state"] == "held", "until it is QUALIFIED"
    await patch(w, lead_id, {"lifecycle": "QUALIFIED"})
    books = await w.submitted()
    assert books.succeeded[0].lead_data["zip_code"] == "10001"


async def not_ready_if_old(w: World) -> None:
    old = {"field": "vehicle_year", "op": "at_most", "value": 2020}
    body = {"name": "old", "outcome": "NURTURING", "conditions": {"all": [old]}}
    (tenant,) = await rows(w.db, Tenant)
    path = f"/api/v1/clients/{tenant.id}/qualification-rules"
    answer = await w.http.post(path, json=body)
    assert answer.status_code == 201, answer.text


async def test_who_is_lost_no_more_is_sent_after_all(w: World) -> None:
    w.npa.faults.status = 503
    lead_id = (await create(w))["id"]
    await finished(w)
    await patch(w, lead_id, {"status": "closed_lost", "lost_reason": "a dealer"})
    async with w.db.write() as session:
        row = (await session.exec(select(Submission))).one()
        row.next_attempt_at = utc_now()
    w.npa.faults.status = None

    async def is_held() -> bool:
        return bool((await get(w, lead_id))["submissions"][0]["state"] == "held")

    await until(is_held)
    assert w.npa.leads == []
    await patch(w, lead_id, {"status": "contacted"})
    await w.submitted()


async def test_what_the_buyer_has_is_not_sent_again_for_a_correction(w: World) -> None:
    lead_id = (await create(w))["id"]
    await w.submitted()
    await finished(w)
    changed = await patch(w, lead_id, {"fields": {"zip_code": "10001"}})
    assert changed["lead_data"]["zip_code"] == "10001"
    assert [one["state"] for one in changed["submissions"]] == ["succeeded"]


async def test_a_request_under_way_keeps_what_it_carries(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    async with w.db.write() as session:
        row = (await session.exec(select(Submission))).one()
        row.state = SubmissionState.AMBIGUOUS
    await patch(w, lead_id, {"fields": {"zip_code": "10001"}})
    (row,) = await rows(w.db, Submission)
    assert row.lead_data["zip_code"] is None
    async with w.db.write() as session:
        row = (await session.exec(select(Submission))).one()
        row.state = SubmissionState.HELD
