"""Stage tracking over HTTP, as the owner's guide shows it."""

import asyncio
import json
import random
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from ivr.db import Database
from ivr.db.tables import Conversation, Lead
from ivr.errors import Undone
from ivr.leads.attention import review
from ivr.leads.progress import profile_stages
from ivr.web import funnel
from tests.leads.cast import NOW, call, rows
from tests.leads.courses import AHMED, COURSES, KEYS, STAGES, centre, chat, lead_of, pin, tell
from tests.leads.progress.test_funnel import assert_counts
from tests.web.house import Interface, interface, key_of

ITEM = {"conversation_id", "stage", "stage_updated_at", "created_at", "lead_data"}


@pytest.fixture
async def web(db: Database) -> AsyncIterator[Interface]:
    async with interface(db, await centre(db)) as opened:
        yield opened


@pytest.fixture
async def ahmed(web: Interface) -> Conversation:
    conversation = await chat(web.db, web.tenant)
    await tell(web.db, conversation, **AHMED)
    return conversation


def actor_of(web: Interface) -> str:
    """Return the name under which the key of these tests does things."""
    return f"api:{web.key.rpartition('_')[0].rpartition('_')[0]}"


async def test_the_leads_in_a_stage(web: Interface, ahmed: Conversation) -> None:
    found = await web.get("/leads/by-stage/GOAL_COLLECTED")
    assert (set(found), found["stage"], found["count"]) == (
        {"stage", "count", "leads"},
        "GOAL_COLLECTED",
        1,
    )
    (item,) = found["leads"]
    assert item.keys() == ITEM
    assert item["conversation_id"] == str(ahmed.id)
    assert item["lead_data"] == {**AHMED, "demo_shared": False, "enrolled": False}
    assert datetime.fromisoformat(item["created_at"]) == NOW
    assert item["stage_updated_at"].endswith("Z")


async def test_the_count_is_of_all_whatever_the_page(web: Interface) -> None:
    chats = [await chat(web.db, web.tenant, now=NOW + timedelta(minutes=n)) for n in range(3)]
    found = await web.get("/leads/by-stage/NEW", limit=1, offset=2)
    assert found["count"] == 3
    assert [item["conversation_id"] for item in found["leads"]] == [str(chats[2].id)]


async def test_the_statistics_have_every_stage(web: Interface, ahmed: Conversation) -> None:
    await pin(web.db, await chat(web.db, web.tenant), "ENROLLED")
    found = await web.get("/leads/stats")
    assert list(found["by_stage"]) == list(STAGES)
    assert found == {
        "total_leads": 2,
        "by_stage": {**dict.fromkeys(STAGES, 0), "GOAL_COLLECTED": 1, "ENROLLED": 1},
        "conversion_rate": 50.0,
    }


async def test_without_leads_there_are_statistics_too(web: Interface) -> None:
    found = await web.get("/leads/stats")
    assert (found["total_leads"], found["conversion_rate"]) == (0, 0.0)
    assert isinstance(found["conversion_rate"], float)


async def test_the_stage_of_one_conversation(web: Interface, ahmed: Conversation) -> None:
    found = await web.get(f"/conversations/{ahmed.id}/stage")
    assert found == {
        "conversation_id": str(ahmed.id),
        "stage": "GOAL_COLLECTED",
        "lead_data": {**AHMED, "demo_shared": False, "enrolled": False},
    }
    assert tuple(found["lead_data"]) == KEYS


@pytest.mark.parametrize("stage", STAGES)
async def test_every_stage_can_be_set(web: Interface, ahmed: Conversation, stage: str) -> None:
    answer = await web.post(f"/conversations/{ahmed.id}/update-stage", new_stage=stage)
    assert answer == {
        "message": "Stage updated successfully",
        "conversation_id": str(ahmed.id),
        "new_stage": stage,
    }
    assert (await web.get(f"/conversations/{ahmed.id}/stage"))["stage"] == stage


async def test_the_history_says_when_who_and_why(web: Interface, ahmed: Conversation) -> None:
    path = f"/conversations/{ahmed.id}/update-stage"
    await web.post(path, new_stage="LOST", reason="found another school")
    found = await web.get(f"/api/v1/conversations/{ahmed.id}/stage-history")
    entries = found["stage_history"]
    assert [entry["stage"] for entry in entries] == ["NEW", "GOAL_COLLECTED", "LOST"]
    assert (entries[-1]["actor"], entries[-1]["reason"]) == (actor_of(web), "found another school")
    assert found["stage_updated_at"] == entries[-1]["timestamp"]


async def test_a_stage_set_by_hand_holds_until_it_is_let_go(
    web: Interface, ahmed: Conversation
) -> None:
    base = f"/api/v1/conversations/{ahmed.id}"
    await web.post(f"/conversations/{ahmed.id}/update-stage", new_stage="NAME_COLLECTED")
    assert (await web.get(f"{base}/stage-history"))["stage_pin"] == "NAME_COLLECTED"
    assert (await web.post(f"{base}/release-stage"))["stage"] == "GOAL_COLLECTED"
    assert (await web.get(f"{base}/stage-history"))["stage_pin"] is None


async def test_the_schema_lists_the_eight_stages_in_their_order(web: Interface) -> None:
    assert funnel.GUIDE_STAGES == STAGES == profile_stages.stage_names(COURSES)
    paths = (await web.get("/openapi.json"))["paths"]
    (listed,) = (
        one
        for one in paths["/leads/by-stage/{stage}"]["get"]["parameters"]
        if one["name"] == "stage"
    )
    assert listed["schema"]["examples"] == list(STAGES)


async def test_a_stage_that_is_none_is_answered_with_those_there_are(
    web: Interface, ahmed: Conversation
) -> None:
    for answer in (
        await web.get("/leads/by-stage/WARM", status=422),
        await web.post(f"/conversations/{ahmed.id}/update-stage", status=422, new_stage="WARM"),
    ):
        assert all(stage in answer["detail"] for stage in STAGES)
    assert (await lead_of(web.db, ahmed)).stage == "GOAL_COLLECTED"


@pytest.mark.parametrize("name", [str(uuid.UUID(int=7)), "no-such-chat", "%00", "a%2Fb"])
async def test_a_conversation_that_is_none_is_not_found(web: Interface, name: str) -> None:
    for path in (f"/conversations/{name}/stage", f"/api/v1/conversations/{name}/stage-history"):
        await web.get(path, status=404)
    await web.post(f"/conversations/{name}/update-stage", status=404, new_stage="NEW")


async def test_a_conversation_of_another_business_is_not_found(web: Interface) -> None:
    theirs = await chat(web.db, await centre(web.db, "other"))
    await web.get(f"/conversations/{theirs.id}/stage", status=404)
    await web.post(f"/conversations/{theirs.id}/update-stage", status=404, new_stage="LOST")
    named = {"lead_ids": [str(theirs.lead_id)], "new_stage": "LOST"}
    assert (await web.post("/api/v1/leads/bulk-stage", json=named))["failed"] == 1
    assert (await lead_of(web.db, theirs)).stage == "NEW"


ROUTES = [
    ("GET", "/leads/by-stage/NEW"),
    ("GET", "/leads/stats"),
    ("GET", "/conversations/x/stage"),
    ("POST", "/conversations/x/update-stage?new_stage=NEW"),
    ("GET", "/api/v1/conversations/x/stage-history"),
    ("POST", "/api/v1/conversations/x/release-stage"),
    ("GET", "/api/v1/leads/stage-analytics"),
    ("POST", "/api/v1/leads/bulk-stage"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("key", [None, "ivr_sk_wrong"])
async def test_nothing_is_told_without_a_key(
    web: Interface, method: str, path: str, key: str | None
) -> None:
    web.client.headers.pop("X-API-Key")
    headers = {} if key is None else {"X-API-Key": key}
    body = {"lead_ids": [str(uuid.uuid4())], "new_stage": "NEW"}
    answer = await web.client.request(method, path, headers=headers, json=body)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_pipeline_is_asked_for_by_its_key(web: Interface) -> None:
    await call(web.db, profile="powersports")
    await centre(web.db)
    found = await web.get("/leads/stats", pipeline="powersports")
    assert (found["total_leads"], "VEHICLE_STARTED" in found["by_stage"]) == (1, True)
    assert (await web.get("/leads/stats"))["total_leads"] == 0
    answer = await web.get("/leads/stats", status=422, pipeline="../../secret.toml")
    assert "powersports" in answer["detail"]
    listed = await web.get("/leads/by-stage/NEW", pipeline="powersports")
    assert ["full_name" in item["lead_data"] for item in listed["leads"]] == [True]


async def test_many_are_moved_each_for_itself(web: Interface, ahmed: Conversation) -> None:
    other = await chat(web.db, web.tenant)
    names = [str(ahmed.id), "nobody", str(other.id)]
    wanted = {"conversation_ids": names, "new_stage": "LOST", "reason": "season over"}
    answer = await web.post("/api/v1/leads/bulk-stage", json=wanted)
    assert (answer["updated"], answer["failed"], answer["new_stage"]) == (2, 1, "LOST")
    assert [(one["id"], one["ok"]) for one in answer["results"]] == [
        (names[0], True),
        ("nobody", False),
        (names[2], True),
    ]
    assert answer["results"][1]["error"] == "no conversation nobody"
    for conversation in (ahmed, other):
        lead = await lead_of(web.db, conversation)
        assert (lead.stage, lead.lost_reason) == ("LOST", "season over")
        path = f"/api/v1/conversations/{conversation.id}/stage-history"
        assert (await web.get(path))["stage_history"][-1]["reason"] == "season over"


async def test_many_are_moved_by_lead_and_twice_is_once(
    web: Interface, ahmed: Conversation
) -> None:
    wanted = {"lead_ids": [str(ahmed.lead_id)] * 2, "new_stage": "DEMO_SHARED"}
    for _ in range(2):
        answer = await web.post("/api/v1/leads/bulk-stage", json=wanted)
        assert (answer["updated"], len(answer["results"])) == (1, 1)
    history = await web.get(f"/api/v1/conversations/{ahmed.id}/stage-history")
    went = [entry["stage"] for entry in history["stage_history"]]
    assert went == ["NEW", "GOAL_COLLECTED", "DEMO_SHARED"]


async def test_a_stage_that_is_none_moves_nobody(web: Interface, ahmed: Conversation) -> None:
    wanted = {"lead_ids": [str(ahmed.lead_id)], "new_stage": "WARM"}
    answer = await web.post("/api/v1/leads/bulk-stage", json=wanted)
    assert "valid are NEW" in answer["results"][0]["error"]
    assert (await lead_of(web.db, ahmed)).stage == "GOAL_COLLECTED"


async def test_the_history_says_which_key_it_was(web: Interface, ahmed: Conversation) -> None:
    base = f"/api/v1/conversations/{ahmed.id}"
    await web.post(f"/conversations/{ahmed.id}/update-stage", new_stage="LOST")
    await web.post(f"{base}/release-stage")
    wanted = {"conversation_ids": [str(ahmed.id)], "new_stage": "ENROLLED"}
    await web.post("/api/v1/leads/bulk-stage", json=wanted)
    history = (await web.get(f"{base}/stage-history"))["stage_history"]
    assert [one["stage"] for one in history[-3:]] == ["LOST", "GOAL_COLLECTED", "ENROLLED"]
    assert {one["actor"] for one in history[-3:]} == {actor_of(web)}


@pytest.mark.parametrize("bad", ["\ud800", "a\0b", "no-such-chat"], ids=ascii)
async def test_a_name_that_no_conversation_can_have_stops_no_other(
    web: Interface, ahmed: Conversation, bad: str
) -> None:
    answer = await bulk(web, {"conversation_ids": [bad, str(ahmed.id)], "new_stage": "LOST"})
    assert [one["ok"] for one in answer["results"]] == [False, True]
    assert (await lead_of(web.db, ahmed)).stage == "LOST"
    answer = await bulk(web, {"lead_ids": [str(ahmed.lead_id)], "new_stage": f"N{bad}"})
    assert (answer["updated"], answer["failed"]) == (0, 1)


async def bulk(web: Interface, wanted: Any) -> Any:
    """Move many; httpx itself would write no half of an emoji."""
    headers = {"Content-Type": "application/json"}
    path = "/api/v1/leads/bulk-stage"
    answer = await web.client.post(path, content=json.dumps(wanted), headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_what_others_undid_is_moved_once_more(
    web: Interface, ahmed: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [Undone("others were at the same rows"), IntegrityError("", {}, Exception())]
    let_go = review.let_go

    async def late(*args: Any, **more: Any) -> None:
        if errors:
            raise errors.pop()
        await let_go(*args, **more)

    monkeypatch.setattr(review, "let_go", late)
    answer = await bulk(web, {"lead_ids": [str(ahmed.lead_id)], "new_stage": "LOST"})
    assert (answer["updated"], errors) == (1, [])


@pytest.mark.parametrize(
    "body",
    [
        {"new_stage": "LOST"},
        {"new_stage": "LOST", "lead_ids": [str(uuid.UUID(int=7))], "conversation_ids": ["x"]},
        {"new_stage": "LOST", "lead_ids": ["x"]},
        {"new_stage": "LOST", "conversation_ids": ["x"] * 501},
        {"conversation_ids": ["x"]},
        {"new_stage": "LOST", "conversation_ids": ["x"], "raeson": "season over"},
        {"new_stage": "LOST", "conversation_ids": ["x" * 256]},
        {"new_stage": "L" * 256, "conversation_ids": ["x"]},
        {"new_stage": "LOST", "conversation_ids": ["x"], "reason": " "},
    ],
)
async def test_a_bulk_that_says_not_whom_or_where_is_refused(web: Interface, body: Any) -> None:
    await web.post("/api/v1/leads/bulk-stage", status=422, json=body)


async def test_the_analytics_tell_time_and_loss(web: Interface) -> None:
    one, two = await chat(web.db, web.tenant), await chat(web.db, web.tenant)
    await tell(web.db, one, name="Ahmed", now=NOW + timedelta(hours=2))
    await tell(web.db, two, name="Sara", now=NOW + timedelta(hours=4))
    await pin(web.db, one, "ENROLLED", now=NOW + timedelta(hours=3))
    found = await web.get("/api/v1/leads/stage-analytics")
    figures = {one["stage"]: one for one in found["stages"]}
    assert (figures["NEW"]["average_seconds"], figures["NEW"]["stays"]) == (3 * 3600, 2)
    assert figures["NAME_COLLECTED"]["conversion_rate"] == 50
    assert (found["bottleneck"], found["slowest"]) == ("NAME_COLLECTED", "NEW")


async def test_fifty_clients_at_once_leave_the_books_in_order(web: Interface) -> None:
    chats = [await chat(web.db, web.tenant) for _ in range(3)]

    async def client(seed: int) -> None:
        choice = random.Random(seed)
        own = await chat(web.db, web.tenant)
        for _ in range(2):
            one = choice.choice([own, *chats])
            path = f"/conversations/{one.id}/update-stage"
            await web.post(path, new_stage=choice.choice(STAGES))
            await web.get(f"/conversations/{one.id}/stage")

    await asyncio.gather(*(client(seed) for seed in range(50)))
    await assert_counts(web.db, web.tenant)
    found = await web.get("/leads/stats")
    assert found["total_leads"] == len(await rows(web.db, Lead)) == 53


async def test_the_stages_of_two_businesses_do_not_meet(web: Interface) -> None:
    other = await centre(web.db, "other")
    await chat(web.db, other)
    web.client.headers["X-API-Key"] = await key_of(web.db, other)
    assert (await web.get("/leads/stats"))["total_leads"] == 1


async def test_the_schema_tells_what_is_answered(web: Interface) -> None:
    schemas = (await web.get("/openapi.json"))["components"]["schemas"]
    assert set(schemas["ConversationStage"]["required"]) == {
        "conversation_id",
        "stage",
        "lead_data",
    }
    assert set(schemas["LeadItem"]["required"]) >= ITEM
