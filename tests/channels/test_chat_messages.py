"""What a person says in a chat, fetched by the visitor's page and by programs of the business."""

from typing import Any

import httpx
import pytest
from sqlmodel import select

from ivr import conversations
from ivr.conversations import Said
from ivr.db.tables import Channel, Conversation, Escalation, Role, Tenant, utc_now
from tests.channels.world import SITE, World, world

PERSON = "I would rather talk to a real person"
VISIT = "/webhooks/live-chat/messages"


async def ask_for_a_person(w: World, session_id: str = "v1") -> dict[str, Any]:
    """Have a visitor of the site ask for a person; return the answer."""
    body = {"message": PERSON, "session_id": session_id}
    response = await w.visitor.post("/webhooks/live-chat", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def staff(w: World, what: str, **more: str) -> None:
    """Have Ann deal with the one escalation."""
    async with w.db.read() as session:
        number = (await session.exec(select(Escalation))).one().id
    body = {"assignee": "ann", **more}
    response = await w.http.post(f"/api/v1/escalations/{number}/{what}", json=body)
    assert response.status_code == 200, response.text


async def lines(client: httpx.AsyncClient, path: str, **query: Any) -> dict[str, Any]:
    response = await client.get(path, params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def spoken(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["role"], line["text"]) for line in found["messages"]]


async def test_a_visitor_s_page_gets_what_a_person_says_and_no_words_of_the_visitor(
    database_url: str,
) -> None:
    async with world(database_url) as w:
        answer = await ask_for_a_person(w)
        before = await lines(w.visitor, VISIT, session_id="v1")
        await staff(w, "take")
        for words in ("Ann here.", "What can I do?"):
            await staff(w, "say", message=words)
        last = before["messages"][-1]["position"]
        news = await lines(w.visitor, VISIT, session_id="v1", after=last)
        end = news["messages"][-1]["position"]
        none = await lines(w.visitor, VISIT, session_id="v1", after=end)
        await staff(w, "give-back")
        over = await lines(w.visitor, VISIT, session_id="v1", after=end)

    assert answer["with_person"] is True
    assert spoken(before) == [("assistant", answer["response"])]
    assert spoken(news) == [("staff", "Ann here."), ("staff", "What can I do?")]
    positions = [line["position"] for line in news["messages"]]
    assert positions == sorted(set(positions)) and positions[0] > last
    assert news["messages"][0]["timestamp"] > answer["timestamp"]
    assert (before["with_person"], none) == (True, {"messages": [], "with_person": True})
    assert over == {"messages": [], "with_person": False}


async def test_programs_with_a_secret_key_read_the_whole_talk_of_a_chat(
    database_url: str,
) -> None:
    async with world(database_url) as w:
        first = await w.chat(PERSON)
        door = f"/chat/{first['conversation_id']}/messages"
        await staff(w, "take")
        await staff(w, "say", message="Ann here.")
        await w.chat("Thank you", conversation_id=first["conversation_id"])
        whole = await lines(w.http, door)
        behind = await lines(w.http, door, after=whole["messages"][1]["position"])

    assert spoken(whole) == [
        ("user", PERSON),
        ("assistant", first["response"]),
        ("staff", "Ann here."),
        ("user", "Thank you"),
    ]
    assert behind["messages"] == whole["messages"][2:]


async def test_a_secret_key_sees_the_visitor_s_words_in_live_chat_too(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        answer = await ask_for_a_person(w)
        by_session = await lines(w.http, VISIT, session_id="v1")
        by_id = await lines(w.http, f"/chat/{answer['conversation_id']}/messages")
    assert spoken(by_session)[0] == ("user", PERSON)
    assert by_id == by_session


async def test_a_long_talk_is_read_in_pages_of_200(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        await ask_for_a_person(w)
        conversation = await w.conversation(Channel.LIVE_CHAT)
        words = [f"line {number}" for number in range(205)]
        async with w.db.write() as session:
            for number, text in enumerate(words, 2):
                item_id = conversations.of_staff()
                said = Said(item_id, number, Role.ASSISTANT, text, utc_now())
                await conversations.write_turn(session, conversation, said)
        first = await lines(w.visitor, VISIT, session_id="v1")
        last = first["messages"][-1]["position"]
        rest = await lines(w.visitor, VISIT, session_id="v1", after=last)
    assert (len(first["messages"]), len(rest["messages"])) == (200, 6)
    assert [text for role, text in spoken(first) + spoken(rest) if role == "staff"] == words


async def test_only_a_session_s_own_live_chat_is_there_for_a_page(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        live = await ask_for_a_person(w)
        other = await w.chat("Hello", session_id="v2")
        await w.reply_to(w.texter(), "Hello")
        sms = await w.conversation(Channel.SMS)
        for session_id in ("v2", "nobody", live["conversation_id"], other["conversation_id"]):
            response = await w.visitor.get(VISIT, params={"session_id": session_id})
            assert response.status_code == 404, session_id
        for unknown in ("no-uuid", "00000000-0000-4000-8000-000000000000", str(sms.id)):
            assert (await w.http.get(f"/chat/{unknown}/messages")).status_code == 404


async def test_another_business_s_chat_is_not_there(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        answer = await ask_for_a_person(w)
        door = f"/chat/{answer['conversation_id']}/messages"
        assert (await w.http.get(door)).status_code == 200
        async with w.db.write() as session:
            other = Tenant(
                slug="other", name="", profile="powersports", timezone="UTC", created_at=utc_now()
            )
            session.add(other)
            await session.flush()
            (await session.exec(select(Conversation))).one().tenant_id = other.id
        assert (await w.http.get(door)).status_code == 404
        for client in (w.http, w.visitor):
            response = await client.get(VISIT, params={"session_id": "v1"})
            assert response.status_code == 404


async def test_each_door_takes_its_keys_only(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        answer = await ask_for_a_person(w)
        door = f"/chat/{answer['conversation_id']}/messages"
        query = {"session_id": "v1"}
        elsewhere = {"Origin": "https://other.example"}
        preflight = await w.visitor.options(
            VISIT,
            headers={
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "x-api-key",
            },
        )
        allowed = await w.visitor.get(VISIT, params=query)
        foreign = await w.visitor.get(VISIT, params=query, headers=elsewhere)
        public = await w.visitor.get(door)
        key = {"X-API-Key": w.visitor.headers["X-API-Key"]}
        async with httpx.AsyncClient(base_url=w.url, trust_env=False, timeout=60) as http:
            nobody = [(await http.get(path, params=query)).status_code for path in (VISIT, door)]
            unnamed = await http.get(VISIT, params=query, headers=key)
            at_home = {**key, "Host": SITE.removeprefix("https://")}
            home = await http.get(VISIT, params=query, headers=at_home)
    assert preflight.status_code == 200
    assert allowed.headers["access-control-allow-origin"] in {"*", SITE}
    assert (foreign.status_code, public.status_code, nobody) == (403, 403, [401, 401])
    assert (unnamed.status_code, home.status_code) == (403, 200), "a page's GET of its own origin"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"session_id": ""},
        {"session_id": "x" * 256},
        {"session_id": "v1", "after": "-2"},
        {"session_id": "v1", "after": str(2**31)},
        {"session_id": "v1", "after": "last"},
    ],
)
async def test_what_cannot_be_asked_is_said_in_words(
    sqlite_url: str, query: dict[str, str]
) -> None:
    async with world(sqlite_url) as w:
        response = await w.visitor.get(VISIT, params=query)
        nul = await w.visitor.get(VISIT, params={"session_id": "\x00v1"})
    assert (response.status_code, nul.status_code) == (422, 404)
    assert response.json()["errors"]
