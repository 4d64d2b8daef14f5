"""Escalations over JSON: listed, taken by one, answered, given back; closed to everybody else."""

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlmodel import select

from ivr import logs
from ivr.db.tables import Conversation, Escalation, Tenant, Trigger, utc_now
from ivr.leads.attention import escalations
from tests.channels.world import World, world
from tests.leads.cast import until

DOOR = "/api/v1/escalations"
ANN, BOB = {"assignee": "ann"}, {"assignee": "bob"}
NOTE = "Mary Poppins takes it on Friday"


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


async def test_nobody_but_who_has_it_ends_it(w: World) -> None:
    number = await escalated(w)
    await post(w, f"{number}/take", ANN)
    for door in ("give-back", "resolve"):
        status, problem = await post(w, f"{number}/{door}", BOB)
        assert status == 409 and "is with ann" in problem["detail"]
    assert (await w.conversation("sms")).assistant_paused
    assert (await post(w, f"{number}/resolve", ANN))[0] == 200
    assert (await post(w, f"{number}/resolve", BOB))[0] == 200, "it is over: nothing is done"


async def test_what_somebody_has_who_is_ill_is_taken_over(w: World) -> None:
    number = await escalated(w)
    await post(w, f"{number}/take", ANN)
    status, problem = await post(w, f"{number}/take", {**BOB, "instead_of": "eve"})
    assert status == 409 and "is with ann" in problem["detail"]
    for _ in range(2):  # once more does nothing
        status, row = await post(w, f"{number}/take", {**BOB, "instead_of": "ann"})
        assert (status, row["assignee"], row["state"]) == (200, "bob", "acknowledged")
    assert (await post(w, f"{number}/say", {**ANN, "message": "Hi"}))[0] == 409
    assert (await post(w, f"{number}/say", {**BOB, "message": "Hi"}))[0] == 200
    assert (await post(w, f"{number}/give-back", BOB))[0] == 200


async def test_what_nobody_has_anybody_gives_back(w: World) -> None:
    number = await escalated(w)
    status, row = await post(w, f"{number}/give-back", BOB)
    assert (status, row["resolution"]) == (200, "given back by bob")


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
        ("00000000-0000-4000-8000-000000000000/take", {**ANN, "instead_off": "bob"}, 422),
        ("00000000-0000-4000-8000-000000000000/say", {**ANN, "message": "Hi", "to": "me"}, 422),
        ("00000000-0000-4000-8000-000000000000/give-back", {**ANN, "note": "sold"}, 422),
        ("00000000-0000-4000-8000-000000000000/resolve", {**ANN, "note": "\0"}, 422),
    ],
)
async def test_what_cannot_be_done_is_said_in_words(
    w: World, path: str, body: Any, status: int
) -> None:
    answered, problem = await post(w, path, body)
    assert (answered, problem["status"]) == (status, status)


@pytest.mark.parametrize(
    ("end", "more", "resolution"),
    [("give-back", {}, "given back by ann"), ("resolve", {"note": "so\0ld"}, "sold")],
)
async def test_what_no_database_holds_is_left_out(
    database_url: str, end: str, more: dict[str, str], resolution: str
) -> None:
    annie = {"assignee": "an\0n"}
    async with world(database_url) as w:
        number = await escalated(w)
        bodies = {"take": annie, "say": {**annie, "message": "a\0b"}, end: {**annie, **more}}
        rows = [await post(w, f"{number}/{door}", body) for door, body in bodies.items()]
        said = [text for role, text in await w.turns(await w.conversation("sms"))]
    assert [status for status, _ in rows] == [200, 200, 200]
    assert {row["assignee"] for _, row in rows} == {"ann"}
    assert rows[-1][1]["resolution"] == resolution
    assert said[-1] == "ab"


@pytest.mark.parametrize("log_pii", [False, True])
async def test_what_staff_note_is_answered_and_not_logged(
    w: World, capsys: pytest.CaptureFixture[str], log_pii: bool
) -> None:
    number = await escalated(w)
    await post(w, f"{number}/resolve", {**ANN, "note": NOTE})
    logs.configure("json", log_pii)
    capsys.readouterr()
    status, problem = await post(w, f"{number}/take", BOB)
    asked = await w.http.get(f"/conversations/{NOTE}/stage")
    listed_ = await w.http.get("/leads/stats", params={"pipeline": NOTE})
    written = capsys.readouterr().err
    assert (status, asked.status_code, listed_.status_code) == (409, 404, 422)
    assert all(NOTE in one for one in (problem["detail"], asked.text, listed_.text))
    refused = [line for line in map(json.loads, written.splitlines()) if "status" in line]
    assert [(line["status"], line["problem"]) for line in refused] == [
        (409, "Conflict"),
        (404, "NotFound"),
        (422, "Unprocessable"),
    ]
    assert refused[0]["route"] == f"{DOOR}/{{escalation_id}}/take"
    assert [NOTE in line["answer"] for line in refused] == [log_pii] * 3
    assert log_pii or NOTE not in written


async def test_a_filter_of_another_name_is_refused(w: World) -> None:
    response = await w.http.get(DOOR, params={"every": "true"})
    assert response.status_code == 422
    assert [one["field"] for one in response.json()["errors"]] == ["every"]


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
