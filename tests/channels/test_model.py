"""Every way in, with a model: it saves what it is told, and the lead goes the same road."""

import pytest

from tests.channels.world import World, world
from tests.leads.cast import LEAD
from tools.emulators.openai import OpenAIEmulator
from tools.emulators.openai.chat_script import Call, Say, by_message, save
from tools.scenarios import load

ALL = "John Doe, 30093, 770 555 0123, a 2020 Yamaha MT-07"
SAVES = tuple(save(name, value) for name, value in LEAD.items())
BYE = Call("end_call", {"reason": "complete"})
CLOSING = "Thank you. A buyer will contact you shortly. Goodbye!"
MIND = by_message(
    {ALL: [Say(calls=SAVES), Say(text=CLOSING, calls=(BYE,)), Say(text=CLOSING)]},
    default=Say(text="What do you sell?"),
)


@pytest.mark.parametrize("channel", ["sms", "whatsapp", "chat", "live_chat", "web_form"])
async def test_a_lead_reaches_the_buyer_with_a_model(sqlite_url: str, channel: str) -> None:
    async with OpenAIEmulator(load("john_doe")) as openai:
        openai.think(MIND)
        key = {"openai_api_key": openai.api_key, "openai_base_url": openai.base_url}
        async with world(sqlite_url, **key) as w:
            said = await _say(w, channel)
            books = await w.submitted()
    assert "buyer will contact you" in said
    (lead,) = books.succeeded
    assert (lead.channel, lead.lead_data) == (channel, LEAD)


async def _say(w: World, channel: str) -> str:
    if channel in {"sms", "whatsapp"}:
        return await w.reply_to(w.texter(whatsapp=channel == "whatsapp"), ALL)
    door = "/chat" if channel == "chat" else f"/webhooks/{channel.replace('_', '-')}"
    response = await w.http.post(door, json={"message": ALL})
    return str(response.json()["response"])
