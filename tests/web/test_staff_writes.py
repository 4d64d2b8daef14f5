"""Staff write into a conversation over JSON, or have a person take it: it really goes out, once."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col, select

from ivr import tenants
from ivr.db.tables import (
    Channel,
    Conversation,
    Escalation,
    Lead,
    Message,
    MessageState,
    Purpose,
    Role,
    utc_now,
)
from tests.channels.test_chat_messages import VISIT, lines, spoken
from tests.channels.world import World, world
from tests.leads.cast import until
from tests.web.test_conversations import DOOR, NOBODY, begun, got

HELLO = {"message": "Ann here, how can I help?", "author": "ann"}
STAFF_PHONE = "+17705550100"


@pytest.fixture
async def w(sqlite_url: str) -> AsyncIterator[World]:
    async with world(sqlite_url) as opened:
        yield opened


async def post(
    w: World, path: str, body: Any = None, *, status: int, key: str | None = None
) -> dict[str, Any]:
    headers = {} if key is None else {"Idempotency-Key": key}
    response = await w.http.post(f"{DOOR}/{path}", json=body, headers=headers)
    assert response.status_code == status, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def texted(w: World, channel: str = "sms") -> Conversation:
    """Have John write, and get an answer."""
    await w.reply_to(w.texter(whatsapp=channel == "whatsapp"), "Hello")
    return await w.conversation(channel)


async def lead_of(w: World, conversation: Conversation) -> Lead:
    async with w.db.read() as session:
        return await session.get_one(Lead, conversation.lead_id)


async def test_what_staff_write_goes_out_is_delivered_and_silences_the_assistant(
    database_url: str,
) -> None:
    async with world(database_url) as w:
        john, row = w.texter(), await texted(w)
        written = await post(w, f"{row.id}/messages", HELLO, status=201)
        await until(lambda: HELLO["message"] in [one["body"] for one in john.received])

        await until(lambda: _is_delivered(w, row, written))
        received = len(john.received)
        await john.text("Thanks, when do you open?")
        await until(lambda: _waits(w, row))
        shown = await got(w, f"/{row.id}")
        lead = await lead_of(w, row)
    assert (written["role"], written["direction"], written["status"]) == ("staff", "out", "queued")
    assert written["error_code"] is None
    assert len(john.received) == received, "the assistant is silent"
    assert (shown["status"], shown["assistant_paused"]) == ("escalated", True)
    assert shown["escalation"]["assignee"] == "ann"
    assert shown["escalation"]["trigger"] == "staff"
    assert lead.lifecycle == "HANDED_OFF"
    statuses = [(one["role"], one["status"]) for one in shown["messages"]]
    assert statuses == [
        ("lead", "received"),
        ("assistant", "delivered"),
        ("staff", "delivered"),
    ] + [("lead", "received")]


async def _is_delivered(w: World, row: Conversation, written: dict[str, Any]) -> bool:
    last = (await got(w, f"/{row.id}"))["last_message"]
    return bool(last["status"] == "delivered" and last["id"] == written["id"])


async def _waits(w: World, row: Conversation) -> bool:
    return (await got(w, f"/{row.id}"))["waiting_since"] is not None


async def test_a_visitor_of_a_chat_reads_it_with_the_next_look(w: World) -> None:
    visit = {"message": "Hi, I want to sell my bike", "session_id": "v1"}
    assert (await w.visitor.post("/webhooks/live-chat", json=visit)).status_code == 200
    row = await w.conversation("live_chat")
    written = await post(w, f"{row.id}/messages", HELLO, status=201)
    news = await lines(w.visitor, VISIT, session_id="v1", after=written["position"] - 1)
    assert (spoken(news), news["with_person"]) == ([("staff", HELLO["message"])], True)
    assert written["status"] is None


async def test_without_an_author_the_key_has_it_and_nobody_else_writes(w: World) -> None:
    row = await begun(w, "chat", Role.CALLER)
    await post(w, f"{row.id}/messages", {"message": "Hello"}, status=201)
    await post(w, f"{row.id}/messages", {"message": "Still there?"}, status=201)
    problem = await post(w, f"{row.id}/messages", HELLO, status=409)
    shown = await got(w, f"/{row.id}")
    assert shown["escalation"]["assignee"].startswith("api:")
    assert "is with api:" in problem["detail"]
    assert [one["text"] for one in shown["messages"]] == ["words 0", "Hello", "Still there?"]


async def test_a_request_sent_again_writes_once(w: World) -> None:
    row = await texted(w)
    first = await post(w, f"{row.id}/messages", HELLO, status=201, key="k1")
    assert await post(w, f"{row.id}/messages", HELLO, status=201, key="k1") == first
    other = {**HELLO, "message": "Something else"}
    problem = await post(w, f"{row.id}/messages", other, status=422, key="k1")
    said = [one["text"] for one in (await got(w, f"/{row.id}"))["messages"]]
    assert said.count(HELLO["message"]) == 1 and other["message"] not in said
    assert "Idempotency-Key" in problem["detail"]


async def test_a_long_text_is_as_far_as_its_worst_part(w: World) -> None:
    row = await texted(w, "whatsapp")
    written = await post(w, f"{row.id}/messages", {"message": "word " * 320}, status=201)
    await until(lambda: _is_delivered(w, row, written))  # nobody writes the rows any more
    async with w.db.write() as session:
        query = select(Message).where(Message.conversation_id == row.id, Message.purpose == "reply")
        staff_s = [one for one in (await session.exec(query)).all() if one.body[:4] == "word"]
        staff_s[0].state, staff_s[0].error_code = MessageState.UNDELIVERED, 30005
        staff_s[0].error = "the number does not exist"
        session.add(staff_s[0])
        twin = staff_s[0].model_dump(exclude={"id", "provider_id"})
        session.add(Message(**{**twin, "state": MessageState.DELIVERED, "error_code": None}))
    last = (await got(w, f"/{row.id}"))["last_message"]
    assert last["id"] == written["id"]
    assert (last["status"], last["error_code"]) == ("failed", 30005)
    assert last["error"] == "the number does not exist"


async def test_who_forbade_messages_is_not_written_to(w: World) -> None:
    john = w.texter()
    row = await texted(w)
    await john.text("STOP")
    await until(lambda: _said(w, row, "STOP"))
    problem = await post(w, f"{row.id}/messages", HELLO, status=409)
    assert "does not want messages" in problem["detail"]
    shown = await got(w, f"/{row.id}")
    assert (shown["assistant_paused"], shown["escalation"]) == (False, None), "nothing was done"


async def _said(w: World, row: Conversation, words: str) -> bool:
    return (await got(w, f"/{row.id}"))["last_message"]["text"] == words


async def test_a_closed_window_of_whatsapp_is_told_at_once(w: World) -> None:
    row = await texted(w, "whatsapp")
    async with w.db.write() as session:
        long_ago = utc_now() - timedelta(hours=25)
        await session.exec(
            update(Message).where(col(Message.direction) == "in").values(created_at=long_ago)
        )
    problem = await post(w, f"{row.id}/messages", HELLO, status=409)
    assert "window of 24 hours is closed" in problem["detail"]


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.CHAT, Channel.LIVE_CHAT])
async def test_a_paused_business_writes_to_nobody(w: World, channel: Channel) -> None:
    is_sms = channel == Channel.SMS
    row = await texted(w) if is_sms else await begun(w, "k", Role.CALLER, channel=channel)
    mine = await post(w, f"{row.id}/escalate", {"assignee": "ann"}, status=200)
    async with w.db.write() as session:
        tenant = await tenants.by_slug(session, tenants.DEFAULT)
        assert tenant is not None
        tenant.status = "paused"
        session.add(tenant)
    problem = await post(w, f"{row.id}/messages", HELLO, status=409)
    assert problem["detail"].endswith("the business is paused")
    words = {"assignee": "ann", "message": "Hello"}
    response = await w.http.post(f"/api/v1/escalations/{mine['id']}/say", json=words)
    assert response.status_code == 409, response.text
    assert all(one["role"] != "staff" for one in (await got(w, f"/{row.id}"))["messages"])


@pytest.mark.parametrize("channel", [Channel.VOICE, Channel.WEB_FORM, Channel.MISSED_CALL])
async def test_where_nothing_can_be_written_it_is_said_what_to_do_instead(
    w: World, channel: Channel
) -> None:
    row = await begun(w, "k", Role.CALLER, channel=channel)
    problem = await post(w, f"{row.id}/messages", HELLO, status=409)
    assert problem["detail"].endswith(f"written to a {channel} conversation: call the contact")
    chat = await begun(w, "chat", Role.CALLER)
    async with w.db.write() as session:
        other = await session.get_one(Conversation, chat.id)
        other.lead_id = row.lead_id
        session.add(other)
    problem = await post(w, f"{row.id}/messages", HELLO, status=409)
    assert problem["detail"].endswith(f"write in their conversation {chat.id}")
    assert (await got(w, f"/{row.id}"))["escalation"] is None


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": " \n\t"}, "message"),
        ({"message": "\0"}, "message"),
        ({"message": "x" * 1601}, "message"),
        ({"message": 7}, "message"),
        ({"message": "Hi", "author": " "}, "author"),
        ({"message": "Hi", "author": "x" * 101}, "author"),
        ({"message": "Hi", "tenant_id": NOBODY}, "tenant_id"),
        ({"message": "Hi", "role": "assistant"}, "role"),
        ([], "body"),
    ],
    ids=str,
)
async def test_a_body_that_cannot_be_is_refused_by_name(w: World, body: Any, names: str) -> None:
    row = await begun(w, "chat", Role.CALLER)
    problem = await post(w, f"{row.id}/messages", body, status=422)
    assert [error["field"] for error in problem["errors"]] == [names]
    assert len((await got(w, f"/{row.id}"))["messages"]) == 1


async def test_what_no_database_holds_is_left_out(database_url: str) -> None:
    async with world(database_url) as w:
        row = await begun(w, "chat", Role.CALLER)
        body = {"message": "a\0b \U0001f3cd", "author": "an\0n"}
        written = await post(w, f"{row.id}/messages", body, status=201)
        shown = await got(w, f"/{row.id}")
    assert written["text"] == shown["last_message"]["text"] == "ab \U0001f3cd"
    assert shown["escalation"]["assignee"] == "ann"


async def test_escalated_it_waits_for_a_person_and_staff_are_told_once(sqlite_url: str) -> None:
    async with world(sqlite_url, staff_phone_number=STAFF_PHONE) as w:
        row = await texted(w)
        first = await post(w, f"{row.id}/escalate", {"reason": "wants a discount"}, status=200)
        again = await post(w, f"{row.id}/escalate", status=200)
        shown = await got(w, f"/{row.id}")
        async with w.db.read() as session:
            told = select(Message).where(Message.purpose == Purpose.STAFF)
            (message,) = (await session.exec(told)).all()
    assert again == first
    assert (first["trigger"], first["reason"], first["state"]) == (
        "staff",
        "wants a discount",
        "open",
    )
    assert (shown["status"], shown["assistant_paused"]) == ("escalated", True)
    assert message.recipient == STAFF_PHONE and "wants a discount" in message.body


async def test_escalated_to_somebody_it_is_theirs_and_nobody_else_s(w: World) -> None:
    row = await begun(w, "chat", Role.CALLER)
    taken = await post(w, f"{row.id}/escalate", {"assignee": "ann"}, status=200)
    again = await post(w, f"{row.id}/escalate", {"assignee": "ann"}, status=200)
    problem = await post(w, f"{row.id}/escalate", {"assignee": "bob"}, status=409)
    await post(w, f"{row.id}/messages", HELLO, status=201)
    async with w.db.read() as session:
        (only,) = (await session.exec(select(Escalation))).all()
    assert taken == again and (taken["state"], taken["assignee"]) == ("acknowledged", "ann")
    assert "is with ann" in problem["detail"]
    assert str(only.id) == taken["id"]
    assert (await lead_of(w, row)).lifecycle == "HANDED_OFF"


async def test_a_call_is_escalated_when_it_is_over_and_not_while_it_goes_on(w: World) -> None:
    call = await begun(w, "CA1", Role.CALLER, channel=Channel.VOICE)
    problem = await post(w, f"{call.id}/escalate", status=409)
    assert "going on" in problem["detail"]
    async with w.db.write() as session:
        row = await session.get_one(Conversation, call.id)
        row.line_closed_at = row.ended_at = utc_now()
        session.add(row)
    assert (await post(w, f"{call.id}/escalate", status=200))["state"] == "open"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"{NOBODY}/messages", HELLO, 404),
        (f"{NOBODY}/escalate", {}, 404),
        ("no-uuid/escalate", {}, 422),
        (f"{NOBODY}/escalate", {"reason": ""}, 422),
        (f"{NOBODY}/escalate", {"note": "?"}, 422),
    ],
)
async def test_what_cannot_be_escalated_or_written_to_is_said(
    w: World, path: str, body: Any, status: int
) -> None:
    assert (await post(w, path, body, status=status))["status"] == status
