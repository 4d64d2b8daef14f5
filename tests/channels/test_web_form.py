"""The web form: a lead from one request, and what is asked of who sent it."""

import pytest

from tests.channels.world import JOHN, SITE, world
from tests.leads.cast import LEAD, until

AHMED = {
    "name": "Ahmed",
    "phone": "+966501234567",
    "email": "ahmed@example.com",
    "message": "I am looking to buy an apartment in Dammam, budget around 800,000 SAR",
    "source": "website",
}
COMPLETE = {
    "name": "John Doe",
    "phone": "(770) 555-0123",
    "zip_code": "30093",
    "vehicle_year": 2020,
    "vehicle_make": "Yamaha",
    "vehicle_model": "MT-07",
}


async def test_a_complete_form_reaches_the_buyer_with_no_key(database_url: str) -> None:
    async with world(database_url) as w:
        response = await w.http.post("/webhooks/web-form", json=COMPLETE)
        books = await w.submitted()
    assert response.status_code == 200 and response.json()["response"]
    (lead,) = books.succeeded
    assert (lead.channel, lead.lead_data) == ("web_form", LEAD)


async def test_the_form_of_s2_makes_a_lead_of_what_it_says(database_url: str) -> None:
    async with world(database_url, profile="real_estate") as w:
        said = (await w.http.post("/webhooks/web-form", json=AHMED)).json()
        books = await w.books()

    known = {name: value for name, value in said["lead_data"].items() if value}
    assert len(books.leads) == len(books.contacts) == 1
    assert {"Ahmed", "Dammam", "800000 SAR"} <= set(known.values())
    assert "ahmed@example.com" in known.values()
    assert any("966" in str(value) for value in known.values())
    assert "good to hear from you again" not in said["response"], "it is their first word"
    assert "AI assistant" in said["response"]


async def test_a_bad_number_is_kept_as_a_problem_and_asked_for_again(sqlite_url: str) -> None:
    form = {**COMPLETE, "phone": "12345", "message": "call me"}
    async with world(sqlite_url) as w:
        said = (await w.http.post("/webhooks/web-form", json=form)).json()
        tried = [row for row in (await w.books()).values if row.name == "phone"]

    assert [(row.value, row.raw) for row in tried] == [(None, "12345")]
    assert tried[0].problem
    assert "number" in said["response"]


async def test_with_consent_what_is_missing_is_asked_by_sms(database_url: str) -> None:
    form = {"name": "John Doe", "phone": JOHN, "message": "I sell a bike", "consent": True}
    async with world(database_url) as w:
        await w.http.post("/webhooks/web-form", json=form)
        john = w.texter()
        await until(lambda: len(john.received) == 1)
        for words in ("30093", "2020", "Yamaha", "MT-07"):
            said = await w.reply_to(john, words)
        books = await w.submitted()

    assert "ZIP" in john.received[0]["body"] and "Goodbye" in said
    assert [lead.lead_data for lead in books.succeeded] == [LEAD]
    assert len(books.leads) == len(books.contacts) == 1


async def test_without_consent_nobody_is_texted(sqlite_url: str) -> None:
    form = {"name": "John Doe", "phone": JOHN, "message": "I sell a bike"}
    async with world(sqlite_url) as w:
        said = (await w.http.post("/webhooks/web-form", json=form)).json()
        messages = await w.messages()
    assert messages == [] and "ZIP" in said["response"]


async def test_a_form_sent_twice_is_one(database_url: str) -> None:
    form = {**COMPLETE, "event_id": "form-1"}
    async with world(database_url) as w:
        first, again = [await w.http.post("/webhooks/web-form", json=form) for _ in range(2)]
        books = await w.books()
    assert first.json() == again.json()
    assert len(books.conversations) == len(books.leads) == 1


async def test_a_form_without_a_message_is_thanked_for(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        said = (await w.http.post("/webhooks/web-form", json={"name": "John Doe"})).json()
    assert "Thank you" in said["response"]


async def test_an_empty_form_is_refused(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        response = await w.http.post("/webhooks/web-form", json={"source": "website"})
        assert (await w.books()).leads == []
    assert response.status_code == 400 and "message" in response.json()["detail"]


# From a web page


@pytest.mark.parametrize("door", ["/webhooks/web-form", "/webhooks/live-chat"])
async def test_a_page_may_ask_from_its_own_origin_and_learns_nothing(
    sqlite_url: str, door: str
) -> None:
    async with world(sqlite_url) as w:
        preflight = await w.visitor.options(
            door,
            headers={
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "content-type, x-api-key",
            },
        )
        mine = await w.visitor.post(door, json={"message": "I am John Doe"})
        elsewhere = await w.visitor.post(
            door, json={"message": "Hello"}, headers={"Origin": "https://other.example"}
        )
        chat = await w.visitor.post("/chat", json={"message": "Hello"})

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] in {"*", SITE}
    assert mine.status_code == 200 and mine.headers["access-control-allow-origin"] in {"*", SITE}
    assert mine.headers["access-control-expose-headers"] == "Retry-After"
    assert (mine.json()["stage"], mine.json()["lead_data"]) == (None, {})
    assert elsewhere.status_code == 403 and "access-control-allow-origin" in elsewhere.headers
    assert chat.status_code == 403 and "access-control-allow-origin" not in chat.headers
