"""POST /chat: the shapes of S0, and what a client may get wrong."""

import asyncio
import uuid
from datetime import datetime

import httpx
import pytest

from tests.channels.world import ANSWERS, world
from tests.leads.cast import LEAD

SEVEN = {"name", "phone", "selected_course", "education_level", "goal", "demo_shared", "enrolled"}
KEYS = {"response", "conversation_id", "turn_count", "stage", "lead_data", "timestamp"}


async def test_the_first_message_of_s0_gets_the_answer_of_s0(database_url: str) -> None:
    async with world(database_url, profile="courses") as w:
        said = await w.chat("My name is Ahmed and I want to learn CTA", conversation_id=None)

    assert said.keys() >= KEYS and said["lead_data"].keys() == SEVEN
    assert uuid.UUID(said["conversation_id"]) and said["turn_count"] == 1
    assert said["stage"] == "COURSE_SELECTED"
    assert (said["lead_data"]["name"], said["lead_data"]["selected_course"]) == ("Ahmed", "CTA")
    assert said["lead_data"]["phone"] is None and said["lead_data"]["enrolled"] is False
    assert datetime.fromisoformat(said["timestamp"]).tzinfo is not None
    assert said["response"] and said["context_used"] == []


async def test_turns_are_counted_from_one(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        first = await w.chat("Hello")
        key = first["conversation_id"]
        later = [await w.chat(words, conversation_id=key) for words in ("John Doe", "30093")]
    assert [one["turn_count"] for one in (first, *later)] == [1, 2, 3]
    assert {one["conversation_id"] for one in later} == {key}


async def test_a_session_id_of_the_clients_own_names_the_conversation(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        first = await w.chat("Hello", session_id="browser-1")
        second = await w.chat("John Doe", session_id="browser-1")
        by_id = await w.chat("30093", session_id=first["conversation_id"])
        other = await w.chat("Hello", session_id="browser-2")

    assert first["session_id"] == by_id["session_id"] == "browser-1"
    assert by_id["turn_count"] == 3 and second["turn_count"] == 2
    assert other["conversation_id"] != first["conversation_id"]


async def test_a_lead_by_chat_reaches_the_buyer_with_no_key(database_url: str) -> None:
    async with world(database_url) as w:
        key = None
        for words in (*ANSWERS[:3], "770 555 0123", *ANSWERS[4:]):
            key = (await w.chat(words, conversation_id=key))["conversation_id"]
        books = await w.submitted()
    (lead,) = books.succeeded
    assert (lead.channel, lead.lead_data) == ("chat", LEAD)


async def test_the_same_key_gets_the_same_answer_also_at_once(database_url: str) -> None:
    async with world(database_url) as w:

        async def post(message: str = "Hello") -> httpx.Response:
            headers = {"Idempotency-Key": "once"}
            return await w.http.post("/chat", json={"message": message}, headers=headers)

        together = await asyncio.gather(*(post() for _ in range(5)))
        later, other = await post(), await post("Something else")
        turns = (await w.books()).turns

    assert {one.text for one in together} == {later.text}
    assert other.status_code == 409
    assert len(turns) == 2


async def test_the_key_may_stand_in_the_body_as_at_the_other_doors(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        first, again = [await w.chat("Hello", event_id="once") for _ in range(2)]
        turns = (await w.books()).turns
    assert again == first
    assert len(turns) == 2


async def test_messages_sent_at_once_are_answered_one_after_the_other(database_url: str) -> None:
    async with world(database_url) as w:
        key = (await w.chat("Hello"))["conversation_id"]
        said = await asyncio.gather(*(w.chat(f"Hm {n}", conversation_id=key) for n in range(8)))
        turns = await w.turns(await w.conversation("chat"))

    assert sorted(one["turn_count"] for one in said) == list(range(2, 10))
    assert [role for role, _ in turns] == ["user", "assistant"] * 9


@pytest.mark.parametrize("named", [str(uuid.UUID(int=7)), "not-an-id", "\x00"])
async def test_an_unknown_conversation_is_not_found(sqlite_url: str, named: str) -> None:
    async with world(sqlite_url) as w:
        body = {"message": "Hello", "conversation_id": named}
        response = await w.http.post("/chat", json=body)
        leads = (await w.books()).leads
    if named.strip("\x00"):
        assert response.status_code == 404 and leads == []
        assert response.headers["content-type"] == "application/problem+json"
    else:
        assert response.status_code == 200  # nothing is left of it: a new conversation


async def test_an_sms_conversation_is_not_continued_in_a_chat(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        await w.reply_to(w.texter(), "Hello")
        key = str((await w.conversation("sms")).id)
        response = await w.http.post("/chat", json={"message": "Hi", "conversation_id": key})
    assert response.status_code == 404


async def test_commands_of_staff_are_refused_for_now(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        response = await w.http.post("/chat", json={"message": "Hi", "role": "agent"})
    assert response.status_code == 400 and "role" in response.json()["detail"]


@pytest.mark.parametrize("door", ["/chat", "/webhooks/live-chat", "/webhooks/web-form"])
async def test_every_door_needs_a_key(sqlite_url: str, door: str) -> None:
    body = {"message": "Hello"}
    async with (
        world(sqlite_url) as w,
        httpx.AsyncClient(base_url=w.url, trust_env=False, timeout=60) as http,
    ):
        without = await http.post(door, json=body)
        wrong = await http.post(door, json=body, headers={"X-API-Key": "wrong"})
        bearer = {"Authorization": f"Bearer {w.http.headers['X-API-Key']}"}
        good = await http.post(door, json=body, headers=bearer)
    assert (without.status_code, wrong.status_code, good.status_code) == (401, 401, 200)


async def test_the_schema_shows_the_stage_and_the_lead(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        schema = (await w.http.get("/openapi.json")).json()
    answer = schema["paths"]["/chat"]["post"]["responses"]["200"]
    name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert schema["components"]["schemas"][name]["properties"].keys() >= KEYS


async def test_emoji_and_right_to_left_text_survive(database_url: str) -> None:
    words = "مرحبا 👋 أريد بيع دراجتي\u200f \x00"
    async with world(database_url) as w:
        await w.chat(words)
        turns = await w.turns(await w.conversation("chat"))
    assert turns[0] == ("user", words.replace("\x00", ""))
