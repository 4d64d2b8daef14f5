"""Lists of leads over HTTP: filters, search, pages, and the hot leads of a client."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from ivr import api_keys
from ivr.api_keys import Scope
from ivr.db import Database
from ivr.db.tables import KeyKind, Lead, Lifecycle
from ivr.leads.progress import listing, scoring, stages
from ivr.leads.progress.moves import Cause
from ivr.leads.progress.scoring import Score
from ivr.web import lead_lists
from tests.leads.cast import NOW
from tests.leads.courses import centre, chat, lead_of, pin, tell
from tests.web.house import Interface, interface, key_of

LEADS = "/api/v1/leads"


@pytest.fixture
async def web(db: Database) -> AsyncIterator[Interface]:
    async with interface(db, await centre(db), lead_lists.router) as opened:
        yield opened


async def people(web: Interface, count: int) -> list[str]:
    """The ids of leads that came a minute after each other, the last one first."""
    came = [await chat(web.db, web.tenant, now=NOW + timedelta(minutes=n)) for n in range(count)]
    return [str(one.lead_id) for one in reversed(came)]


async def scored(web: Interface, lead_id: str, score: int | str) -> None:
    """Have a person score a lead, with a number or a label."""
    given = (
        scoring.of_number(score)
        if isinstance(score, int)
        else Score(label=scoring.read_label(score))
    )
    async with web.db.write() as session:
        lead = await stages.lock(session, uuid.UUID(lead_id))
        await scoring.write(session, lead, given, Cause("ann", "a call", NOW), automatic=False)


async def ids(web: Interface, path: str = LEADS, **query: object) -> list[str]:
    return [item["id"] for item in (await web.get(path, **query))["items"]]


async def test_a_lead_in_a_list_says_who_it_is_and_where_it_stands(web: Interface) -> None:
    conversation = await chat(web.db, web.tenant)
    await tell(web.db, conversation, name="Ahmed", phone="+92 300 1234567")
    found = await web.get(LEADS)
    (item,) = found["items"]
    assert found["next_cursor"] is None
    assert (item["id"], item["stage"]) == (str(conversation.lead_id), "NAME_COLLECTED")
    assert (item["score_label"], item["status"], item["source"]) == ("UNSCORED", "new", "chat")
    assert item["created_at"].endswith("Z")


async def test_the_pages_follow_each_other_without_a_gap(web: Interface) -> None:
    came, found, cursor = await people(web, 5), [], {}
    for _ in range(3):
        page = await web.get(LEADS, limit=2, **cursor)
        found += [item["id"] for item in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert (found, page["next_cursor"]) == (came, None)


async def test_several_filters_hold_at_once(web: Interface) -> None:
    last, middle, first = await people(web, 3)
    await scored(web, last, 85)
    await scored(web, first, "HOT")
    assert await ids(web, score_label="hot") == [last, first]
    assert await ids(web, score_label="HOT", min_score=80, stage="NEW", open=True) == [last]
    assert await ids(web, score_label="unscored") == [middle]
    assert await ids(web, sort="-score") == [last, middle, first]
    assert await ids(web, created_before=(NOW + timedelta(minutes=1)).isoformat()) == [first]
    assert await ids(web, lifecycle="qualified") == []
    assert await ids(web, channel="chat", source="chat", sort="created_at") == [first, middle, last]


async def test_people_are_found_by_name_number_and_id(web: Interface) -> None:
    conversation = await chat(web.db, web.tenant)
    await tell(web.db, conversation, name="Zoë", phone="+92 300 1234567")
    await people(web, 2)
    for q in ("zoe", "ZO", "0300-123 4567", "4567", str(conversation.id)):
        assert await ids(web, q=q) == [str(conversation.lead_id)], q


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"min_score": 101}, "min_score"),
        ({"sort": "name"}, "sort"),
        ({"lifecycle": "LATER"}, "lifecycle"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"limit": 0}, "limit"),
        ({"q": "12"}, "q"),
    ],
    ids=lambda it: it if isinstance(it, str) else None,
)
async def test_what_cannot_be_asked_is_named(
    web: Interface, query: dict[str, object], named: str
) -> None:
    assert named in (await web.get(LEADS, status=422, **query))["detail"]


async def test_a_status_that_is_none_is_refused_with_those_that_are(web: Interface) -> None:
    answer = await web.client.get(LEADS, params={"status": "later"})
    assert answer.status_code == 422
    assert "status: Value error, expected one of new, contacted" in answer.json()["detail"]
    assert (await web.client.get(LEADS, params={"status": "NEW"})).status_code == 200


async def test_a_cursor_belongs_to_its_list(web: Interface) -> None:
    await people(web, 3)
    cursor = (await web.get(LEADS, limit=1))["next_cursor"]
    for other in ({"stage": "NEW"}, {"sort": "-score"}):
        assert "cursor" in (await web.get(LEADS, status=400, cursor=cursor, **other))["detail"]
    assert "cursor" in (await web.get(LEADS, status=400, cursor="nonsense"))["detail"]
    assert len(await ids(web, cursor=cursor, limit=2)) == 2


async def test_an_empty_page_of_a_long_walk_says_where_to_go_on(
    web: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "FIRST_WALK", 1)
    monkeypatch.setattr(listing, "MOST_WALKED", 2)
    *_, first = await people(web, 4)
    async with web.db.write() as session:
        (await session.get_one(Lead, uuid.UUID(first))).owner = "ann"
    page = await web.get(LEADS, stage="NEW", lifecycle="NEW", min_score=0, limit=2)
    assert (page["items"], page["next_cursor"] is None) == ([], False)


# Hot leads


async def hot(web: Interface, **query: object) -> list[str]:
    return await ids(web, f"{LEADS}/client/{web.tenant.id}/hot", **query)


async def test_the_hot_list_has_the_open_hot_leads_of_this_client_only(web: Interface) -> None:
    other = await centre(web.db, "other")
    theirs = await chat(web.db, other)
    closed, best, cold, early = await people(web, 4)
    for lead_id, score in ((closed, 90), (best, 95), (cold, 10), (early, 70)):
        await scored(web, lead_id, score)
    async with web.db.write() as session:
        row = await session.get_one(Lead, theirs.lead_id)
        row.score, row.category = 99, "hot"
        (await session.get_one(Lead, uuid.UUID(closed))).closed_at = NOW
    assert await hot(web) == [best, early]
    assert await hot(web, limit=1) == [best]
    await scored(web, early, 99)
    assert await hot(web, sort="-score") == [early, best]


async def test_another_clients_hot_list_is_not_there(web: Interface) -> None:
    other = await centre(web.db, "other")
    await chat(web.db, other)
    for client_id in (other.id, uuid.uuid4()):
        await web.get(f"{LEADS}/client/{client_id}/hot", status=404)
    answer = await web.client.get(
        f"{LEADS}/client/{web.tenant.id}/hot", headers={"X-API-Key": await key_of(web.db, other)}
    )
    assert answer.status_code == 404


async def test_a_list_needs_a_key_with_its_scope(web: Interface) -> None:
    async with web.db.write() as session:
        made = api_keys.make(
            session,
            web.tenant.id,
            kind=KeyKind.SECRET,
            name="forms",
            now=NOW,
            scopes=[Scope.INTAKE],
        )
    for path in (LEADS, f"{LEADS}/client/{web.tenant.id}/hot"):
        answer = await web.client.get(path, headers={"X-API-Key": made[1]})
        assert answer.status_code == 403
        assert (await web.client.get(path, headers={"X-API-Key": ""})).status_code == 401


async def test_statistics_hot_list_status_list_and_scores_agree(web: Interface) -> None:
    conversations = [
        await chat(web.db, web.tenant, now=NOW + timedelta(minutes=n)) for n in range(6)
    ]
    for place, one in enumerate(conversations):
        await tell(web.db, one, name="Ahmed")
        await scored(web, str(one.lead_id), 40 + 10 * place)
    await pin(web.db, conversations[4], "ENROLLED")
    await pin(web.db, conversations[3], "LOST", reason="moved away")
    async with web.db.write() as session:
        (await stages.lock(session, conversations[0].lead_id)).lifecycle = Lifecycle.MERGED
    listed = (await web.get(LEADS))["items"]
    stats = await web.get("/leads/stats")
    assert stats["total_leads"] == len(listed) == 5
    for stage, count in stats["by_stage"].items():
        assert len(await ids(web, stage=stage)) == count
        assert (await web.get(f"/leads/by-stage/{stage}"))["count"] == count
    for status, one in (("closed_won", conversations[4]), ("closed_lost", conversations[3])):
        answer = await web.client.get(LEADS, params={"status": status})
        assert [it["id"] for it in answer.json()["items"]] == [str(one.lead_id)]
    open_hot = [it["id"] for it in listed if it["score_label"] == "HOT" and it["closed_at"] is None]
    assert await hot(web) == open_hot == [str(conversations[5].lead_id)]
    by_score = [it["id"] for it in listed if it["score"] >= 70]
    assert await ids(web, score_label="HOT") == by_score == await ids(web, min_score=70)
    assert (await lead_of(web.db, conversations[5])).category == "hot"


async def test_the_leads_in_a_stage_have_a_next_page(web: Interface) -> None:
    came = await people(web, 3)
    found, path = [], "/leads/by-stage/NEW?limit=2"
    while path:
        answer = await web.client.get(path)
        body = answer.json()
        assert (set(body), body["count"]) == ({"stage", "count", "leads"}, 3)
        found += [item["conversation_id"] for item in body["leads"]]
        link = answer.headers.get("link", "")
        path = link.removeprefix("<").partition(">")[0]
        assert not link or link.endswith('rel="next"')
    async with web.db.read() as session:
        shown = [await session.get_one(Lead, uuid.UUID(one)) for one in reversed(came)]
    assert len(found) == len(shown) == len(set(found))
