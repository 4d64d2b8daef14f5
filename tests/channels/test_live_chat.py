"""The live chat of the business's web site."""

from tests.channels.world import ANSWERS, world
from tests.leads.cast import LEAD


async def test_a_lead_by_live_chat_reaches_the_buyer_with_no_key(database_url: str) -> None:
    async with world(database_url) as w:
        for number, words in enumerate((*ANSWERS[:3], "770 555 0123", *ANSWERS[4:])):
            body = {"message": words, "session_id": "visitor-1", "event_id": f"m{number}"}
            for _ in range(2):  # a page that was not sure sends it again
                response = await w.visitor.post("/webhooks/live-chat", json=body)
                assert response.status_code == 200, response.text
        books = await w.submitted()
    (lead,) = books.succeeded
    assert (lead.channel, lead.lead_data) == ("live_chat", LEAD)
    assert len(books.events) == len(ANSWERS)


async def test_what_the_page_knows_of_a_visitor_is_not_asked_for(sqlite_url: str) -> None:
    body = {"message": "Hello", "session_id": "v1", "name": "John Doe", "phone": "770 555 0123"}
    async with world(sqlite_url) as w:
        said = (await w.http.post("/webhooks/live-chat", json=body)).json()
        again = await w.http.post("/webhooks/live-chat", json={**body, "message": "30093"})
        values = (await w.books()).values

    assert said["lead_data"]["full_name"] == "John Doe" and "ZIP" in said["response"]
    assert again.json()["lead_data"]["zip_code"] == "30093"
    assert [row.value for row in values if row.name == "full_name"] == ["John Doe"]
