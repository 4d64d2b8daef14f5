"""Scores of leads over JSON: numbers, labels, whose word stands, and hot leads."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import col, select

from ivr.db.tables import Lead, OutboxEvent, Tenant, Transition, WebhookEndpoint, utc_now
from ivr.leads import one_lead
from ivr.leads.attention import hot_leads
from ivr.leads.attention.hot_leads import Route
from ivr.leads.attention.staff import Staff
from ivr.leads.profile import load_profile
from ivr.leads.progress import scoring
from ivr.leads.progress.moves import Cause
from tests.channels.world import JOHN, World, world
from tests.leads.cast import until
from tests.web.lead_door import DOOR, create, finished, get

STAFF = "+17705550199"


@pytest.fixture
async def w(database_url: str) -> AsyncIterator[World]:
    async with world(database_url, staff_phone_number=STAFF) as opened:
        yield opened


async def rate(w: World, lead_id: str, score: Any, *, status: int = 200, **body: Any) -> Any:
    response = await w.http.patch(f"{DOOR}/{lead_id}/score", json={"score": score, **body})
    assert response.status_code == status, response.text
    return response.json()


async def automatic(w: World, lead_id: str, number: int) -> bool:
    """Have a program give a score, as a grader does."""
    async with w.db.write() as session:
        tenant = (await session.exec(select(Tenant))).one()
        lead = await one_lead.lock(session, tenant.id, uuid.UUID(lead_id))
        route = Route(load_profile(lead.profile), Staff(phone=STAFF))
        score, cause = scoring.of_number(number), Cause("grader", "graded", utc_now())
        return await hot_leads.set_score(session, lead, score, cause, route, automatic=True)


async def moves(w: World) -> list[tuple[str | None, str, str]]:
    query = select(Transition).where(Transition.axis == "score").order_by(col(Transition.seq))
    async with w.db.read() as session:
        return [(row.from_value, row.to_value, row.reason) for row in (await session.exec(query))]


def told(w: World) -> list[str]:
    """What staff read by SMS."""
    return [str(sms["body"]) for sms in w.twilio.texter(STAFF, "+18005551212").received]


@pytest.mark.parametrize(
    ("given", "score", "label"),
    [
        (100, 100, "HOT"),
        (70, 70, "HOT"),
        (69, 69, "WARM"),
        (40, 40, "WARM"),
        (39, 39, "COLD"),
        (0, 0, "COLD"),
        ("hot", None, "HOT"),
        ("Warm", None, "WARM"),
        ("COLD", None, "COLD"),
    ],
)
async def test_a_number_has_its_label_and_a_label_has_no_number(
    w: World, given: Any, score: int | None, label: str
) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    answer = await rate(w, lead_id, given)
    assert (answer["score"], answer["score_label"]) == (score, label)
    assert answer["score_by"].startswith("api:ivr_sk_")
    found = await get(w, lead_id)
    assert (found["score"], found["score_label"]) == (score, label)


@pytest.mark.parametrize("given", [None, "UNSCORED", "unscored"])
async def test_a_score_is_taken_away(w: World, given: Any) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await rate(w, lead_id, 80, reason="asked twice")
    answer = await rate(w, lead_id, given, reason="a mistake")
    assert (answer["score"], answer["score_label"], answer["score_by"]) == (None, "UNSCORED", None)
    assert await moves(w) == [("unscored", "80", "asked twice"), ("80", "unscored", "a mistake")]


@pytest.mark.parametrize("given", [101, -1, "banana", "", True, 5.5, [], {}])
async def test_what_is_no_score_is_refused_with_those_that_are(w: World, given: Any) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    problem = await rate(w, lead_id, given, status=422)
    assert "HOT, WARM, COLD" in problem["detail"]
    problem = await rate(w, lead_id, 5, status=422, score_by="me")
    assert problem["errors"][0]["field"] == "score_by"
    response = await w.http.patch(f"{DOOR}/{lead_id}/score", json={})
    assert response.status_code == 422
    assert await moves(w) == []


async def test_a_program_never_overrules_a_person_until_they_hand_it_back(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    assert await automatic(w, lead_id, 50) is True
    assert (await get(w, lead_id))["score_by"] is None
    await rate(w, lead_id, "COLD")
    assert await automatic(w, lead_id, 95) is False
    found = await get(w, lead_id)
    assert (found["score"], found["score_label"]) == (None, "COLD")
    await rate(w, lead_id, None)
    assert await automatic(w, lead_id, 95) is True
    assert (await get(w, lead_id))["score"] == 95


async def test_the_same_score_by_hand_stands_from_then_on(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    await automatic(w, lead_id, 50)
    answer = await rate(w, lead_id, 50)
    assert answer["score_by"] is not None and len(await moves(w)) == 1
    assert await automatic(w, lead_id, 60) is False


async def test_a_business_says_itself_from_where_a_lead_is_hot(w: World) -> None:
    await configure(w, {"hot": 90})
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    assert (await rate(w, lead_id, 89))["score_label"] == "WARM"
    assert (await rate(w, lead_id, 90))["score_label"] == "HOT"
    await until(lambda: bool(told(w)))


async def configure(w: World, thresholds: dict[str, Any]) -> None:
    async with w.db.write() as session:
        tenant = (await session.exec(select(Tenant))).one()
        tenant.config = {**tenant.config, "thresholds": thresholds}


async def test_staff_are_told_once_when_a_lead_becomes_hot(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe", "phone": JOHN}))["id"]
    await finished(w)
    await rate(w, lead_id, 60)
    await rate(w, lead_id, 85)
    await until(lambda: bool(told(w)))
    await rate(w, lead_id, 95)
    await rate(w, lead_id, 85)
    (text,) = told(w)
    assert lead_id in text and "John Doe" in text and JOHN not in text
    assert (await get(w, lead_id))["escalations"] == []


async def test_where_the_business_wants_it_a_hot_lead_is_a_person_s(w: World) -> None:
    await configure(w, {"escalate_hot": True})
    await w.reply_to(w.texter(), "Hi, I want to sell my bike")
    async with w.db.read() as session:
        lead_id = str((await session.exec(select(Lead.id))).one())
    answer = await rate(w, lead_id, "HOT")
    (case,) = answer["escalations"]
    assert (case["trigger"], case["state"]) == ("hot_lead", "open")
    assert answer["conversations"][0]["assistant_paused"] is True
    await until(lambda: len(told(w)) == 1)


async def test_others_are_told_of_the_score_and_of_the_hot_lead(w: World) -> None:
    async with w.db.write() as session:
        tenant = (await session.exec(select(Tenant))).one()
        hook = WebhookEndpoint(
            tenant_id=tenant.id,
            url="http://127.0.0.1:9/hook",
            secret="whsec_" + "A" * 32,
            types={"only": ["lead.score_changed", "lead.hot", "lead.owner_changed"]},
            created_at=utc_now(),
        )
        session.add(hook)
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await rate(w, lead_id, 85, reason="a good one")
    await w.http.patch(f"{DOOR}/{lead_id}", json={"owner": "ann"})
    async with w.db.read() as session:
        events = {one.type: one.payload for one in (await session.exec(select(OutboxEvent))).all()}
    changed, hot = events["lead.score_changed"], events["lead.hot"]
    assert (changed["from"], changed["to"], changed["reason"]) == ("unscored", "85", "a good one")
    assert (hot["score"], hot["label"], hot["lead_id"]) == (85, "HOT", lead_id)
    assert (events["lead.owner_changed"]["from"], events["lead.owner_changed"]["to"]) == (
        None,
        "ann",
    )


async def test_of_two_who_have_seen_the_same_score_one_wins(w: World) -> None:
    lead_id = (await create(w, {"name": "John Doe"}))["id"]
    await finished(w)
    tag = (await w.http.get(f"{DOOR}/{lead_id}")).headers["ETag"]
    answers = await asyncio.gather(
        *(
            w.http.patch(
                f"{DOOR}/{lead_id}/score", json={"score": number}, headers={"If-Match": tag}
            )
            for number in (10, 90)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    assert len(await moves(w)) == 1
