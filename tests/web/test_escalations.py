"""Escalations over JSON: listed, taken by one, answered, given back; closed to everybody else."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import select

from ivr.db.tables import Conversation, Escalation, Tenant, Trigger, utc_now
from ivr.leads.attention import escalations
from tests.channels.world import World, world
from tests.leads.cast import until

DOOR = "/api/v1/escalations"
ANN = {"assignee": "ann"}


@pytest.fixture
async def w(sqlite_url: str) -> AsyncIterator[World]:
    async with world(sqlite_url) as opened:
        yield opened


async def escalated(w: World) -> str:
    """Have somebody text, and their conversation escalated; return its id."""
    await w.reply_to(w.texter(), "Hello")
    async with w.db.write() as session:
        conversation = (await session.exec(select(Conversation))).one()
        row = await escalations.open_for(
            session, conversation, Trigger.LONG, "more than 20 exchanges", now=utc_now()
        )
    return str(row.id)


async def post(w: World, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    response = await w.http.post(f"{DOOR}/{path}", json=body)
    return response.status_code, response.json()


async def listed(w: World, **query: str) -> list[dict[str, Any]]:
    response = await w.http.get(DOOR, params=query)
    assert response.status_code == 200, response.text
    return list(response.json()["escalations"])


async def test_the_list_says_who_waits_and_why(w: World) -> None:
    number = await escalated(w)
    (row,) = await listed(w)
    assert (row["id"], row["trigger"], row["state"]) == (number, "long_conversation", "open")
    assert row["reason"] == "more than 20 exchanges" and row["assignee"] is None
    assert row["created_at"].endswith("Z") and row["resolved_at"] is None


async def test_one_person_takes_it_and_gives_it_back(w: World) -> None:
    number = await escalated(w)
    status, taken = await post(w, f"{number}/take", ANN)
    assert (status, taken["state"], taken["assignee"]) == (200, "acknowledged", "ann")
    status, problem = await post(w, f"{number}/take", {"assignee": "bob"})
    assert status == 409 and "is with ann" in problem["detail"]
    status, back = await post(w, f"{number}/give-back", ANN)
    assert (status, back["state"]) == (200, "resolved")
    assert await listed(w) == []
    assert [row["id"] for row in await listed(w, all="true")] == [number]


async def test_who_has_dealt_with_it_says_how(w: World) -> None:
    number = await escalated(w)
    status, row = await post(w, f"{number}/resolve", {**ANN, "note": "sold it by phone"})
    assert (status, row["resolution"], row["assignee"]) == (200, "sold it by phone", "ann")


async def test_what_staff_write_is_sent_to_the_contact(w: World) -> None:
    number = await escalated(w)
    words = {**ANN, "message": "Ann here, how can I help?"}
    assert (await post(w, f"{number}/say", words))[0] == 409
    await post(w, f"{number}/take", ANN)
    assert (await post(w, f"{number}/say", words))[0] == 200

    john = w.texter()
    await until(lambda: words["message"] in [message["body"] for message in john.received])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("no-uuid/take", ANN, 422),
        ("00000000-0000-4000-8000-000000000000/take", ANN, 404),
        ("00000000-0000-4000-8000-000000000000/take", {}, 422),
        ("00000000-0000-4000-8000-000000000000/take", {"assignee": " "}, 422),
        ("00000000-0000-4000-8000-000000000000/say", {**ANN, "message": ""}, 422),
        ("00000000-0000-4000-8000-000000000000/say", {**ANN, "message": "x" * 2000}, 422),
    ],
)
async def test_what_cannot_be_done_is_said_in_words(
    w: World, path: str, body: Any, status: int
) -> None:
    answered, problem = await post(w, path, body)
    assert (answered, problem["status"]) == (status, status)


async def test_without_a_key_or_with_a_widget_s_nobody_gets_in(w: World) -> None:
    number = await escalated(w)
    for headers, status in (({"X-API-Key": ""}, 401), ({"X-API-Key": "ivr_sk_wrong"}, 401)):
        assert (await w.http.get(DOOR, headers=headers)).status_code == status
    assert (await w.visitor.get(DOOR)).status_code == 403
    assert (await w.visitor.post(f"{DOOR}/{number}/take", json=ANN)).status_code == 403


async def test_another_business_s_escalation_is_not_there(w: World) -> None:
    number = await escalated(w)
    async with w.db.write() as session:
        other = Tenant(
            slug="other", name="", profile="powersports", timezone="UTC", created_at=utc_now()
        )
        session.add(other)
        await session.flush()
        row = await session.get_one(Escalation, uuid.UUID(number))
        row.tenant_id = other.id
    assert await listed(w) == []
    assert (await post(w, f"{number}/take", ANN))[0] == 404
