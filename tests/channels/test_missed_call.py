"""A call that nobody took: a lead, and the first word from us."""

import httpx
import pytest

from ivr.db.tables import Task
from tests.calls.world import PUBLIC, TOKEN
from tests.channels.world import ANSWERS, BUSINESS, JOHN, world
from tests.leads.cast import LEAD, rows, until
from tools.emulators.twilio.signing import sign

DOOR = "/webhooks/missed-call"


async def test_who_was_missed_is_written_to_and_becomes_a_lead(database_url: str) -> None:
    async with world(database_url) as w:
        body = {"phone": JOHN, "called": BUSINESS, "event_id": "ring-1"}
        first, again = [await w.http.post(DOOR, json=body) for _ in range(2)]
        john = w.texter()
        await until(lambda: len(john.received) == 1)
        for words in ANSWERS[1:]:
            await w.reply_to(john, words)
        books = await w.submitted()

    assert first.status_code == 200 and first.json() == again.json()
    assert "missed your call" in john.received[0]["body"]
    assert [lead.lead_data for lead in books.succeeded] == [LEAD]
    assert len(books.leads) == len(books.contacts) == 1
    assert {one.channel for one in books.conversations} == {"missed_call", "sms"}


@pytest.mark.parametrize("called", ["(800) 555-1212", "+1 800 555 1212", "+18005550199", "desk"])
async def test_whatever_is_said_to_have_been_called_the_business_writes_from_its_own_number(
    database_url: str, called: str
) -> None:
    async with world(database_url) as w:
        answer = await w.http.post(DOOR, json={"phone": JOHN, "called": called})
        john = w.texter()
        await until(lambda: len(john.received) == 1)
        conversation = await w.conversation("missed_call")

    assert answer.status_code == 200, answer.text
    assert john.received[0]["from"] == BUSINESS
    assert conversation.to_number in (BUSINESS, None)


@pytest.mark.parametrize(("status", "messages"), [("busy", 1), ("no-answer", 1), ("completed", 0)])
async def test_twilio_tells_of_it_with_a_signed_form(
    sqlite_url: str, status: str, messages: int
) -> None:
    form = {"CallSid": "CA1", "From": JOHN, "To": BUSINESS, "CallStatus": status}
    async with world(sqlite_url) as w:
        signature = sign(TOKEN, f"{PUBLIC}{DOOR}", form.items())
        async with httpx.AsyncClient(base_url=w.url, trust_env=False, timeout=60) as http:
            good = await http.post(DOOR, data=form, headers={"X-Twilio-Signature": signature})
            bad = await http.post(DOOR, data=form, headers={"X-Twilio-Signature": "x"})
        written = await w.messages()
    assert (good.status_code, bad.status_code) == (200, 403)
    assert len(written) == messages


async def test_who_rings_again_and_again_is_written_to_once(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        for number in range(3):
            await w.http.post(DOOR, json={"from": JOHN, "id": f"ring-{number}"})
        written = await w.messages()
    assert len(written) == 1


async def test_who_forbade_messages_is_called_back_instead(database_url: str) -> None:
    async with world(database_url) as w:
        await w.texter().text("STOP")
        await w.http.post(DOOR, json={"phone": JOHN})
        (task,) = await rows(w.db, Task)
        written = [one for one in await w.messages() if one.direction == "out"]
    assert task.kind == "call_back" and written == []


@pytest.mark.parametrize("body", [{"phone": "12"}, {}, {"phone": None}, [], "x"])
async def test_a_body_without_a_number_is_refused(sqlite_url: str, body: object) -> None:
    async with world(sqlite_url) as w:
        response = await w.http.post(DOOR, json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
