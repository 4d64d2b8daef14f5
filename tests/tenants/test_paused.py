"""A paused client: whoever turns to it is written down, on every channel, and hears nothing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlmodel import select

from ivr.channels.desk import Desk
from ivr.db import Database
from ivr.db.tables import InboundEvent, Role, Task, Tenant, TenantStatus
from tests.calls import world as calls
from tests.channels.world import BUSINESS, JOHN, World, world
from tests.leads.cast import rows

Coming = Callable[[World], Awaitable[str]]


async def put(db: Database, status: TenantStatus) -> None:
    async with db.write() as session:
        (await session.exec(select(Tenant))).one().status = status


async def by_sms(w: World) -> str:
    john = w.texter()
    await john.text("Hello")
    assert john.received == []
    return ""


async def by_whatsapp(w: World) -> str:
    john = w.texter(whatsapp=True)
    await john.text("Hello")
    assert john.received == []
    return ""


async def by_chat(w: World) -> str:
    return str((await w.chat("Hello"))["response"])


async def by_live_chat(w: World) -> str:
    body = {"message": "Hello", "session_id": "v1"}
    return str((await w.visitor.post("/webhooks/live-chat", json=body)).json()["response"])


async def by_form(w: World) -> str:
    body = {"name": "John Doe", "phone": JOHN, "consent": True}
    return str((await w.http.post("/webhooks/web-form", json=body)).json()["response"])


async def by_missed_call(w: World) -> str:
    body = {"phone": JOHN, "called": BUSINESS}
    return str((await w.http.post("/webhooks/missed-call", json=body)).json()["response"])


EVERY_DOOR = {
    by_sms: "write_back",
    by_whatsapp: "write_back",
    by_chat: "write_back",
    by_live_chat: "write_back",
    by_form: "write_back",
    by_missed_call: "call_back",
}


@pytest.mark.parametrize(
    ("come", "kind"), EVERY_DOOR.items(), ids=[door.__name__ for door in EVERY_DOOR]
)
async def test_what_comes_is_a_lead_with_a_task_and_no_answer(
    sqlite_url: str, come: Coming, kind: str
) -> None:
    async with world(sqlite_url) as w:
        await put(w.db, TenantStatus.PAUSED)
        said = await come(w)
        books, tasks = await w.books(), await rows(w.db, Task)
        written = [one for one in await w.messages() if one.direction == "out"]

    assert said == "" and written == []
    assert len(books.leads) == len(books.conversations) == 1
    assert not any(turn.role == Role.ASSISTANT for turn in books.turns)
    assert [(task.kind, task.lead_id) for task in tasks] == [(kind, books.leads[0].id)]


async def test_nothing_is_answered_late_and_what_comes_then_is_answered(database_url: str) -> None:
    async with world(database_url) as w:
        await put(w.db, TenantStatus.PAUSED)
        john = w.texter()
        await john.text("Hello, it is John Doe")
        await put(w.db, TenantStatus.ACTIVE)
        async with w.db.read() as session:
            waiting = select(InboundEvent).where(InboundEvent.answered_at == None)  # noqa: E711  # SQL
            assert (await session.exec(waiting)).all() == []
        said = await w.reply_to(john, "I want to sell my bike")
        books = await w.books()

    assert "Power Sport Buyers" in said, "the first word is a greeting"
    assert [turn.role for turn in books.turns] == [Role.CALLER, Role.CALLER, Role.ASSISTANT]
    assert len(john.received) == 1 and len(books.leads) == 1


async def test_a_message_from_before_the_pause_is_not_answered_in_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = asyncio.Event()

    async def breathe_until_paused(desk: Desk, conversation_id: object) -> None:
        await paused.wait()
        await asyncio.wait({desk._worker(conversation_id)})  # type: ignore[arg-type]  # its key

    monkeypatch.setattr(Desk, "_breathe", breathe_until_paused)
    async with world(sqlite_url) as w:
        john = w.texter()
        await john.text("Hello")
        await put(w.db, TenantStatus.PAUSED)
        paused.set()
        await w.stop()
        (event,), (task,) = await rows(w.db, InboundEvent), await rows(w.db, Task)
    assert event.answered_at is not None and john.received == []
    assert task.kind == "write_back"


@pytest.mark.parametrize("door", ["/twilio/voice-realtime-proxied", "/twilio/voice-ivr"])
async def test_a_call_is_not_answered_and_called_back(database_url: str, door: str) -> None:
    async with calls.world(database_url, door=door) as w:
        await put(w.db, TenantStatus.PAUSED)
        call = await w.ring()
        assert await call.ended() == "busy"
        page = await w.finished(call)
        (task,) = await rows(w.db, Task)
        await put(w.db, TenantStatus.ACTIVE)
        books = await w.books()

    assert call.sayings == [] and w.openai.upgrades == []
    assert page.conversation is not None and page.conversation.end_reason == "paused"
    assert (task.kind, task.lead_id) == ("call_back", books.leads[0].id)
    assert books.values_of("phone") == [w.scenario.caller] and books.turns == []
