"""WhatsApp: addresses, buttons, places, and STOP, which nobody answers but us."""

from tests.channels.world import ANSWERS, world
from tests.leads.cast import LEAD


async def test_a_lead_by_whatsapp_reaches_the_buyer_with_no_key(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter(whatsapp=True)
        for words in ANSWERS:
            await w.reply_to(john, words)
        books = await w.submitted()
    (lead,) = books.succeeded
    assert (lead.channel, lead.lead_data) == ("whatsapp", LEAD)
    assert {message["from"] for message in john.received} == {"whatsapp:+18005551212"}


async def test_a_button_and_a_place_are_words(sqlite_url: str) -> None:
    place = {"Latitude": "33.9", "Longitude": "-84.2", "Label": "Norcross"}
    async with world(sqlite_url) as w:
        john = w.texter(whatsapp=True)
        await w.reply_to(john, "", ButtonText="Sell my bike")
        await w.reply_to(john, "", **place)
        turns = await w.turns(await w.conversation("whatsapp"))
    said = [text for role, text in turns if role == "user"]
    assert said == ["Sell my bike", "(sent a place: Norcross, 33.9, -84.2)"]


async def test_stop_is_confirmed_here(database_url: str) -> None:
    async with world(database_url) as w:
        john = w.texter(whatsapp=True)
        await w.reply_to(john, "Hello")
        notice = await w.reply_to(john, "STOP")
        await john.text("STOP")
        await john.text("Hello?")
        back = await w.reply_to(john, "START")
    assert "no more messages" in notice
    assert len(john.received) == 3 and back
