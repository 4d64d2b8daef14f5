"""The REST API of single leads: handed in and read; whole doors, real rows."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ivr.db.tables import (
    InboundEvent,
    Lead,
    Tenant,
    utc_now,
)
from tests.channels.world import JOHN, World, world
from tests.leads.cast import LEAD, rows
from tests.web.lead_door import DOOR, NOBODY, WHOLE, create, finished, get, patch


@pytest.fixture
async def w(database_url: str) -> AsyncIterator[World]:
    async with world(database_url) as opened:
        yield opened


# Handed in (S2.50)


async def test_a_lead_that_is_handed_in_whole_reaches_the_buyer(w: World) -> None:
    answer = await create(w)
    assert answer["created"] is True and answer["source"] == "trade fair"
    assert (answer["lifecycle"], answer["status"]) == ("QUALIFIED", "qualified")
    assert {name: one["value"] for name, one in answer["fields"].items()} == LEAD
    assert answer["lead_data"]["phone"] == "+1 770-555-0123"
    assert answer["contact"]["phones"] == [JOHN]
    assert answer["fields"]["vehicle_make"]["source"] == "typed"
    assert [one["channel"] for one in answer["conversations"]] == ["api"]

    books = await w.submitted()
    await finished(w)
    found = await get(w, answer["id"])
    assert books.succeeded[0].lead_data == LEAD
    assert (found["lifecycle"], found["submissions"][0]["state"]) == ("SUBMITTED", "succeeded")
    assert found["contact"]["name"] == "John Doe" and found["closed_at"] is not None


async def test_where_it_is_stands_in_the_answer(w: World) -> None:
    response = await w.http.post(DOOR, json={"name": "Jane Roe"})
    assert response.headers["Location"] == f"{DOOR}/{response.json()['id']}"
    assert (await get(w, response.json()["id"]))["lead_data"]["full_name"] == "Jane Roe"


async def test_what_the_person_wrote_is_read_as_on_every_door(w: World) -> None:
    words = "I am looking to buy an apartment in Dammam, budget around 800,000 SAR"
    answer = await create(w, {"name": "Ahmed", "profile": "real_estate", "message": words})
    await finished(w)
    found = await get(w, answer["id"])
    assert found["qualification"]["location"] == "Dammam"
    assert found["qualification"]["budget"] == "800000 SAR"
    assert found["fields"]["service_interest"]["value"] == "buy"
    assert found["fields"]["budget"]["source"] == "inferred"
    (event,) = await rows(w.db, InboundEvent)
    assert event.answered_at is not None


async def test_the_same_person_s_open_lead_is_added_to(w: World) -> None:
    first = await create(w, {"name": "John Doe", "email": "john@example.com"})
    again = await create(
        w, {"email": "John@Example.com", "fields": {"zip_code": "30093"}}, status=200
    )
    assert (again["id"], again["created"]) == (first["id"], False)
    assert again["lead_data"]["full_name"] == "John Doe"
    assert again["lead_data"]["zip_code"] == "30093"
    assert again["contact"]["emails"] == ["john@example.com"]
    assert len([lead for lead in await rows(w.db, Lead) if lead.lifecycle != "MERGED"]) == 1


async def test_who_texts_and_is_handed_in_is_one_lead(w: World) -> None:
    await w.reply_to(w.texter(), "Hi, I want to sell my bike")
    answer = await create(w, {"phone": JOHN, "name": "John Doe"}, status=200)
    assert {one["channel"] for one in answer["conversations"]} == {"sms", "api"}
    assert answer["source"] == "sms"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, None),
        ({"fields": {}}, None),
        ({"nmae": "John"}, ["nmae"]),
        (
            {"name": "John", "id": NOBODY, "score": 100, "tenant_id": NOBODY},
            ["id", "score", "tenant_id"],
        ),
        ({"name": "J0hn 123", "phone": "12", "email": "x"}, ["name", "phone", "email"]),
        ({"name": "John", "fields": {"zip_code": "99501"}}, ["fields.zip_code"]),
        ({"name": "John", "fields": {"colour": "red"}}, ["fields.colour"]),
        ({"name": "John", "fields": {"zip_code": ["30093"]}}, ["fields.zip_code.bool"]),
        ({"name": ["John"]}, ["name"]),
        ([], ["body"]),
    ],
    ids=[
        "empty",
        "no fields",
        "typo",
        "read only",
        "who",
        "refused",
        "unknown",
        "list",
        "type",
        "array",
    ],
)
async def test_what_cannot_be_taken_is_named_and_nothing_is_written(
    w: World, body: Any, fields: list[str] | None
) -> None:
    problem = await create(w, body, status=422)
    if fields is not None:
        named = {error["field"] for error in problem["errors"]}
        assert set(fields) <= named, problem
        assert all(error["problem"] for error in problem["errors"])
    assert await rows(w.db, Lead) == [] and await rows(w.db, InboundEvent) == []


async def test_another_profile_is_named_by_its_key(w: World) -> None:
    body = {"name": "Ahmed", "profile": "real_estate", "fields": {"budget": "800,000 SAR"}}
    answer = await create(w, body)
    assert answer["profile"] == "real_estate"
    assert answer["qualification"]["budget"] == "800000 SAR"
    assert set(answer["qualification"]) >= {"service_interest", "urgency", "location"}
    problem = await create(w, {"name": "Ahmed", "profile": "/etc/passwd"}, status=422)
    assert "real_estate" in problem["detail"]


async def test_eight_that_hand_in_one_person_at_once_make_one_lead(w: World) -> None:
    email = "john@example.com"  # nothing is submitted without a number
    bodies = [{"email": email, "message": f"number {number}"} for number in range(8)]
    answers = await asyncio.gather(*(w.http.post(DOOR, json=body) for body in bodies))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 7 + [201], [answer.text for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1, "nobody's was merged away"
    assert len([lead for lead in await rows(w.db, Lead) if lead.lifecycle != "MERGED"]) == 1


# Read (S2.51)


async def test_who_has_seen_it_is_told_that_nothing_changed(w: World) -> None:
    answer = await create(w, {"name": "John Doe"})
    await finished(w)
    first = await w.http.get(f"{DOOR}/{answer['id']}")
    tag = first.headers["ETag"]
    again = await w.http.get(f"{DOOR}/{answer['id']}", headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    await patch(w, answer["id"], {"owner": "ann"})
    changed = await w.http.get(f"{DOOR}/{answer['id']}", headers={"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["ETag"] != tag


async def test_a_lead_has_four_axes_and_none_is_another(w: World) -> None:
    answer = await create(w, {"name": "John Doe"})
    await patch(w, answer["id"], {"status": "negotiating", "lifecycle": "QUALIFIED"})
    await w.http.patch(f"{DOOR}/{answer['id']}/score", json={"score": 55})
    found = await get(w, answer["id"])
    axes = {name: found[name] for name in ("stage", "lifecycle", "status", "score", "score_label")}
    assert axes == {
        "stage": "NAME_COLLECTED",
        "lifecycle": "QUALIFIED",
        "status": "negotiating",
        "score": 55,
        "score_label": "WARM",
    }


async def test_a_merged_lead_says_where_it_went(w: World) -> None:
    await w.reply_to(w.texter(), "Hi, I want to sell my bike")
    chat = await w.chat("Hello")
    for text in ("John Doe", "30093", "yes", JOHN, "yes"):
        await w.chat(text, conversation_id=chat["conversation_id"])
    (gone,) = [lead for lead in await rows(w.db, Lead) if lead.lifecycle == "MERGED"]
    (kept,) = [lead for lead in await rows(w.db, Lead) if lead.lifecycle != "MERGED"]
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"owner": "ann"}),
        ("PATCH", "/score", {"score": 1}),
        ("POST", "/handoff", {}),
    ):
        response = await w.http.request(method, f"{DOOR}/{gone.id}{path}", json=body)
        assert response.status_code == 410
        assert response.json()["merged_into"] == str(kept.id)


async def test_another_business_s_lead_is_as_unknown_as_any_other(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    async with w.db.write() as session:
        other = Tenant(
            slug="other", name="", profile="powersports", timezone="UTC", created_at=utc_now()
        )
        session.add(other)
        await session.flush()
        lead = await session.get_one(Lead, uuid.UUID(lead_id))
        lead.tenant_id = other.id
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"owner": "ann"}),
        ("PATCH", "/score", {"score": 1}),
        ("POST", "/handoff", {}),
    ):
        texts = []
        for one in (lead_id, NOBODY):
            response = await w.http.request(method, f"{DOOR}/{one}{path}", json=body)
            assert response.status_code == 404
            texts.append(response.text.replace(one, "ID"))
        assert texts[0] == texts[1]


@pytest.mark.parametrize(("headers", "status"), [({"X-API-Key": ""}, 401)], ids=["no key"])
async def test_without_a_key_nobody_gets_in(w: World, headers: Any, status: int) -> None:
    assert (await w.http.post(DOOR, json=WHOLE, headers=headers)).status_code == status
    assert (await w.visitor.post(DOOR, json=WHOLE)).status_code == 403
    assert (await w.visitor.get(f"{DOOR}/{NOBODY}")).status_code == 403
