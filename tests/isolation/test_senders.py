"""A client writes from the number that was written to last, and from none that is not its own."""

import pytest
from sqlmodel import select

from ivr import tenants
from ivr.db.tables import Conversation, utc_now
from tests.isolation.routes import CLIENT, TALKS
from tests.isolation.telephone import CALLER
from tests.isolation.town import Resident, Town
from tests.leads.cast import until
from tools.emulators.twilio.texter import Texter

OTHER = "+18005550103"
DOORS = {"sms": "/twilio/sms", "whatsapp": "/webhooks/whatsapp/inbound"}


@pytest.mark.parametrize("channel", DOORS)
async def test_the_answer_comes_from_the_number_that_was_written_to_last(
    town: Town, channel: str
) -> None:
    first = town.theirs.things["number"]
    await _give(town, town.theirs, first, OTHER)
    for number in (first, OTHER, first):
        await town.world.reply_to(_texter(town, number, channel), "Hello")
    assert _senders(town, channel) == [first, OTHER, first]


@pytest.mark.parametrize("channel", DOORS)
async def test_who_wrote_to_a_number_that_is_gone_stays_whose_contact_it_was(
    town: Town, channel: str
) -> None:
    gone = town.theirs.things["number"]
    await town.world.reply_to(_texter(town, gone, channel), "Hello")
    await _give(town, town.theirs, OTHER)
    await _write_as_staff(town, town.theirs, channel)
    await until(lambda: len(_senders(town, channel)) == 2)
    for sender in _senders(town, channel)[1:]:
        await _texter(town, sender, channel).text("Thank you")
    assert _senders(town, channel) == [gone, OTHER]
    assert await _whose(town) == {town.theirs.id}


async def test_a_number_that_nobody_has_is_defaults_to_write_from(town: Town) -> None:
    await town.world.reply_to(_texter(town, OTHER, "sms"), "Hello")
    assert _senders(town, "sms") == [OTHER]


async def test_after_a_change_of_the_setting_nobody_is_answered_from_the_number_before(
    town: Town,
) -> None:
    former = str(town.world.settings.twilio_phone_number)
    await town.world.reply_to(_texter(town, former, "sms"), "Hello")
    settings = town.world.settings.model_copy(update={"twilio_phone_number": OTHER})
    await tenants.ensure_default(town.world.db, settings, now=utc_now())
    await town.world.reply_to(_texter(town, OTHER, "sms"), "Are you there?")
    assert _senders(town, "sms") == [former, OTHER]


def _texter(town: Town, number: str, channel: str) -> Texter:
    is_whatsapp = channel == "whatsapp"
    return town.world.twilio.texter(CALLER, number, url=DOORS[channel], whatsapp=is_whatsapp)


def _senders(town: Town, channel: str) -> list[str]:
    """Return the numbers from which the contact was written to, in this order."""
    received = _texter(town, OTHER, channel).received
    return [message["from"].removeprefix("whatsapp:") for message in received]


async def _give(town: Town, resident: Resident, *numbers: str) -> None:
    """Have an operator give a client these numbers, and no others."""
    path, body = CLIENT.format(client_id=resident.id), {"phone_numbers": numbers}
    answer = await town.ask("PATCH", path, town.admin_key, json=body)
    assert answer.status_code == 200, answer.text


async def _write_as_staff(town: Town, resident: Resident, channel: str) -> None:
    async with town.world.db.read() as session:
        query = select(Conversation.id).where(
            Conversation.tenant_id == resident.id, Conversation.channel == channel
        )
        (conversation,) = (await session.exec(query)).all()
    path = f"{TALKS}/{conversation}/messages"
    answer = await town.ask("POST", path, resident.key, json={"message": "Ann here."})
    assert answer.status_code == 201, answer.text


async def _whose(town: Town) -> set[object]:
    """Return the clients that the caller has talked with."""
    async with town.world.db.read() as session:
        query = select(Conversation.tenant_id).where(Conversation.from_number == CALLER)
        return set((await session.exec(query)).all())
