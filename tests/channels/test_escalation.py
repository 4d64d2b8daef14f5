"""Who asks for a person in writing: told so, then silence from us, and staff have it until they
give it back."""

import pytest
from sqlmodel import select

from ivr.db.tables import Channel, Escalation, Lead, Lifecycle
from tests.channels.world import World, world
from tests.leads.cast import until

DESK = "+18005550111"


async def escalation(w: World) -> Escalation:
    async with w.db.read() as session:
        return (await session.exec(select(Escalation))).one()


async def do(w: World, what: str, **more: str) -> None:
    number = (await escalation(w)).id
    response = await w.http.post(
        f"/api/v1/escalations/{number}/{what}", json={"assignee": "ann", **more}
    )
    assert response.status_code == 200, response.text


async def test_by_sms_a_person_takes_over_and_gives_it_back(database_url: str) -> None:
    async with world(database_url, staff_phone_number=DESK) as w:
        john, desk = w.texter(), w.texter(DESK)
        await w.reply_to(john, "Hi, I am John Doe")
        said = await w.reply_to(john, "I would rather talk to a real person about it")
        await until(lambda: len(desk.received) == 1)
        assert "waits for you" in desk.received[0]["body"]
        assert john.number not in desk.received[0]["body"]
        row = await escalation(w)
        assert (row.trigger, row.state) == ("asked_for_human", "open")

        await do(w, "take")
        before = len(john.received)
        await john.text("Is anybody there?")
        await do(w, "say", message="Ann here. What can I do?")
        await until(lambda: len(john.received) > before)
        assert [message["body"] for message in john.received[before:]] == [
            "Ann here. What can I do?"
        ]
        async with w.db.read() as session:
            (lead,) = (await session.exec(select(Lead))).all()
            assert lead.lifecycle == Lifecycle.HANDED_OFF

        await do(w, "give-back")
        assert await w.reply_to(john, "30093")
        turns = [text for _, text in await w.turns(await w.conversation(Channel.SMS))]
    assert said in turns and "Is anybody there?" in turns and "Ann here. What can I do?" in turns


async def test_in_a_chat_the_assistant_says_that_a_person_takes_over_and_is_silent(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url) as w:
        first = await w.chat("can I speak to someone else please?")
        again = await w.chat("hello?", conversation_id=first["conversation_id"])
        row = await escalation(w)
    assert first["response"] and again["response"] == ""
    assert row.trigger == "asked_for_human" and row.assignee is None


@pytest.mark.parametrize(
    "text", ["I am a travel agent", "my manager said that you buy bikes", "it was human error"]
)
async def test_talk_of_people_is_no_reason(sqlite_url: str, text: str) -> None:
    async with world(sqlite_url) as w:
        first = await w.chat(text)
        again = await w.chat("John Doe", conversation_id=first["conversation_id"])
        async with w.db.read() as session:
            assert (await session.exec(select(Escalation))).all() == []
    assert again["response"]
