"""Conversations over JSON: read in pages, listed by who waits; open to nobody else."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import select

from ivr import api_keys, conversations, tenants
from ivr.conversations import Said
from ivr.db.tables import Channel, Conversation, KeyKind, Role, Tenant, utc_now
from ivr.leads import intake
from ivr.leads.profile import load_profile
from tests.channels.world import World, world

DOOR = "/api/v1/conversations"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def w(sqlite_url: str) -> AsyncIterator[World]:
    async with world(sqlite_url) as opened:
        yield opened


async def got(w: World, path: str = "", *, status: int = 200, **query: Any) -> dict[str, Any]:
    response = await w.http.get(f"{DOOR}{path}", params=query)
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    return body


async def default(w: World) -> Tenant:
    async with w.db.read() as session:
        found = await tenants.by_slug(session, tenants.DEFAULT)
    assert found is not None
    return found


async def begun(
    w: World, key: str, *roles: Role, channel: Channel = Channel.CHAT, at: datetime | None = None
) -> Conversation:
    """A conversation with these turns, one second apart, in no server's memory."""
    at = at or utc_now()
    caller = "+17705550123" if channel is Channel.VOICE else None
    enquiry = intake.Enquiry(
        channel=channel,
        session_key=key,
        caller=caller,
        called=None,
        finish_after=at + timedelta(hours=24),
        now=at,
    )
    row = await intake.begin(w.db, await default(w), load_profile("powersports"), enquiry)
    async with w.db.write() as session:
        for place, role in enumerate(roles):
            said_at = at + timedelta(seconds=place)
            said = Said(f"t{place}", place, role, f"words {place}", said_at, cut=place == 2)
            await conversations.write_turn(session, row, said)
    return row


async def key_of_another(w: World, kind: KeyKind = KeyKind.SECRET) -> str:
    async with w.db.write() as session:
        tenant = (await session.exec(select(Tenant).where(Tenant.slug == "other"))).one_or_none()
        if tenant is None:
            tenant = Tenant(
                slug="other", name="", profile="powersports", timezone="UTC", created_at=utc_now()
            )
            session.add(tenant)
            await session.flush()
        _, key = api_keys.make(session, tenant.id, kind=kind, name="other", now=utc_now())
    return key


async def test_a_conversation_is_shown_with_its_messages(w: World) -> None:
    answer = await w.chat("Hi, I want to sell my bike")
    answer = await w.chat("John Doe", conversation_id=answer["conversation_id"])
    shown = await got(w, f"/{answer['conversation_id']}")

    row = await w.conversation("chat")
    assert (shown["id"], shown["lead_id"]) == (str(row.id), str(row.lead_id))
    assert (shown["client_id"], shown["channel"]) == (str(row.tenant_id), "chat")
    assert (shown["status"], shown["turn_count"], shown["assistant_paused"]) == ("open", 2, False)
    assert (shown["waiting_since"], shown["escalation"], shown["next_cursor"]) == (None,) * 3
    said = [(one["role"], one["direction"], one["position"]) for one in shown["messages"]]
    assert said == [("lead", "in", 0), ("assistant", "out", 1), ("lead", "in", 2)] + [
        ("assistant", "out", 3)
    ]
    assert shown["messages"][2]["text"] == "John Doe"
    assert shown["messages"][2]["status"] is None, "nothing is sent in a chat"
    assert shown["last_message"] == shown["messages"][3]
    assert shown["last_activity_at"] == shown["messages"][3]["timestamp"]
    assert shown["started_at"].endswith("Z")


async def test_of_a_phone_call_the_messages_are_its_transcript(w: World) -> None:
    call = await begun(w, "CA1", Role.ASSISTANT, Role.CALLER, Role.ASSISTANT, channel=Channel.VOICE)
    shown = await got(w, f"/{call.id}")
    assert [(one["role"], one["text"], one["cut"]) for one in shown["messages"]] == [
        ("assistant", "words 0", False),
        ("lead", "words 1", False),
        ("assistant", "words 2", True),
    ]
    assert {one["channel"] for one in shown["messages"]} == {"voice"}


async def test_all_that_was_ever_said_can_be_read_page_by_page(w: World) -> None:
    long = await begun(w, "long", *[Role.CALLER, Role.ASSISTANT] * 104)
    whole = [f"words {place}" for place in range(208)]

    first = await got(w, f"/{long.id}")
    rest = await got(w, f"/{long.id}/messages", cursor=first["next_cursor"])
    assert [one["text"] for one in (*first["messages"], *rest["items"])] == whole
    assert rest["next_cursor"] is None and first["last_message"]["text"] == "words 207"

    pages: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while not pages or pages[-1]["next_cursor"]:
        pages.append(await got(w, f"/{long.id}/messages", limit=60, **cursor))
        cursor = {"cursor": str(pages[-1]["next_cursor"])}
    items = [one for page in pages for one in page["items"]]
    assert [one["text"] for one in items] == whole
    assert len({one["id"] for one in items}) == 208
    assert items[:200] == first["messages"], "the same message is the same wherever it is read"

    behind = await got(w, f"/{long.id}/messages", after=205)
    assert [one["position"] for one in behind["items"]] == [206, 207]


@pytest.mark.parametrize(
    ("query", "status", "names"),
    [
        ({"limit": 0}, 422, "limit"),
        ({"limit": 201}, 422, "limit"),
        ({"after": -2}, 422, "after"),
        ({"after": 2**31}, 422, "after"),
        ({"cursor": "made-up"}, 400, "cursor"),
        ({"cursor": "x" * 2000}, 422, "cursor"),
    ],
)
async def test_a_page_that_cannot_be_is_refused_by_name(
    w: World, query: dict[str, Any], status: int, names: str
) -> None:
    row = await begun(w, "one", Role.CALLER)
    problem = await got(w, f"/{row.id}/messages", status=status, **query)
    assert problem["detail"].startswith(names)


async def test_a_cursor_of_one_conversation_is_none_of_another(w: World) -> None:
    rows = [await begun(w, key, *[Role.CALLER] * 3) for key in ("one", "two")]
    cursor = (await got(w, f"/{rows[0].id}/messages", limit=1))["next_cursor"]
    await got(w, f"/{rows[1].id}/messages", status=400, cursor=cursor)


async def test_the_list_is_narrowed_by_channel_and_lead_and_comes_in_pages(w: World) -> None:
    now = utc_now()
    rows = [
        await begun(w, f"{n}", Role.CALLER, channel=channel, at=now + timedelta(seconds=n))
        for n, channel in enumerate([Channel.CHAT, Channel.LIVE_CHAT, Channel.CHAT])
    ]
    page = await got(w, limit=2)
    rest = await got(w, limit=2, cursor=page["next_cursor"])
    listed = [one["id"] for one in (*page["items"], *rest["items"])]
    assert listed == [str(row.id) for row in reversed(rows)] and rest["next_cursor"] is None
    chats = await got(w, channel="chat")
    assert [one["id"] for one in chats["items"]] == [str(rows[2].id), str(rows[0].id)]
    of_lead = await got(w, lead_id=str(rows[1].lead_id))
    assert [one["id"] for one in of_lead["items"]] == [str(rows[1].id)]
    await got(w, status=400, channel="chat", cursor=page["next_cursor"])
    await got(w, status=422, channel="telegram")


async def test_the_active_ones_of_a_client_tell_who_waits(w: World) -> None:
    client, long_ago = (await default(w)).id, utc_now() - timedelta(hours=5)
    waiting = await begun(w, "waiting", Role.CALLER, Role.ASSISTANT, Role.CALLER, at=long_ago)
    answered = await begun(w, "answered", Role.CALLER, Role.ASSISTANT)
    closed = await begun(w, "closed", Role.CALLER)
    async with w.db.write() as session:
        row = await conversations.lock(session, closed.id)
        row.status, row.finished_at = "finished", utc_now()
        session.add(row)

    door = f"/client/{client}/active"
    first, second = (await got(w, door))["items"]
    assert (first["id"], first["status"], first["waiting_since"]) == (
        str(answered.id),
        "open",
        None,
    )
    assert (second["id"], second["status"]) == (str(waiting.id), "waiting")
    assert datetime.fromisoformat(second["waiting_since"]) == long_ago + timedelta(seconds=2)
    assert second["last_message"]["text"] == "words 2"

    page = await got(w, door, limit=1)
    rest = await got(w, door, limit=1, cursor=page["next_cursor"])
    assert [one["id"] for one in (*page["items"], *rest["items"])] == [first["id"], second["id"]]
    assert rest["next_cursor"] is None


async def test_a_client_sees_its_own_only_and_the_admin_key_any(w: World) -> None:
    ours = await begun(w, "ours", Role.CALLER)
    client = (await default(w)).id
    other, admin = await key_of_another(w), await key_of_another(w, KeyKind.ADMIN)
    paths = [
        ("GET", f"/{ours.id}"),
        ("GET", f"/{ours.id}/messages"),
        ("POST", f"/{ours.id}/messages"),
        ("POST", f"/{ours.id}/escalate"),
        ("GET", f"/client/{client}/active"),
    ]
    for method, path in paths:
        answer = await ask(w, method, path, other)
        assert answer.status_code == 404, (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await ask(w, "GET", "", other)).json()["items"] == []
    seen = (await ask(w, "GET", f"/client/{client}/active", admin)).json()
    assert [one["id"] for one in seen["items"]] == [str(ours.id)]
    assert (await ask(w, "GET", f"/client/{NOBODY}/active", admin)).status_code == 404
    shown = await got(w, f"/{ours.id}")
    assert (shown["assistant_paused"], len(shown["messages"])) == (False, 1)


async def ask(w: World, method: str, path: str, key: str) -> httpx.Response:
    body = {"json": {"message": "Hello"}} if path.endswith("/messages") else {}
    return await w.http.request(
        method, f"{DOOR}{path}", headers={"X-API-Key": key}, **(body if method == "POST" else {})
    )


async def test_nobody_gets_in_without_a_key_or_with_that_of_a_web_page(w: World) -> None:
    row = await begun(w, "ours", Role.CALLER)
    for path in ("", f"/{row.id}", f"/{row.id}/messages", f"/client/{uuid.uuid4()}/active"):
        assert (await ask(w, "GET", path, "")).status_code == 401
        assert (await w.visitor.get(f"{DOOR}{path}")).status_code == 403
    for path in (f"/{row.id}/messages", f"/{row.id}/escalate"):
        assert (await ask(w, "POST", path, "ivr_sk_wrong")).status_code == 401
        assert (await w.visitor.post(f"{DOOR}{path}", json={})).status_code in {403, 422}


async def test_what_is_not_there_is_not_found(w: World) -> None:
    for path in (f"/{NOBODY}", f"/{NOBODY}/messages"):
        assert (await got(w, path, status=404))["detail"] == "no such conversation"
    await got(w, "/no-uuid", status=422)


async def test_a_filter_of_another_name_is_refused(w: World) -> None:
    row = await begun(w, "chat", Role.CALLER)
    active = f"{DOOR}/client/{row.tenant_id}/active"
    hot = f"/api/v1/leads/client/{row.tenant_id}/hot"
    for path in (DOOR, active, f"{DOOR}/{row.id}/messages", hot):
        response = await w.http.get(path, params={"chanel": "sms"})
        assert response.status_code == 422, path
        assert [one["field"] for one in response.json()["errors"]] == ["chanel"]
