"""When the assistant says nothing: a person has the conversation, or the business is paused."""

from ivr.db.tables import Escalation, Tenant
from tests.channels.world import world
from tests.leads.cast import rows, until


async def test_who_asks_for_a_person_is_told_so_and_the_assistant_falls_silent(
    database_url: str,
) -> None:
    async with world(database_url) as w:
        john = w.texter()
        await w.reply_to(john, "Hello")
        said = await w.reply_to(john, "I want to talk to a real person please")
        await john.text("Are you there?")

        async def is_noted() -> bool:
            return all(event.answered_at for event in (await w.books()).events)

        await until(is_noted)
        conversation = await w.conversation("sms")
        turns = await w.turns(conversation)
        (escalation,) = await rows(w.db, Escalation)

    assert "person" in said and len(john.received) == 2
    assert conversation.assistant_paused and escalation.trigger == "asked_for_human"
    assert turns[-1] == ("user", "Are you there?")


async def test_a_chat_with_a_person_says_so_on_the_wire(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        key = (await w.chat("Hello"))["conversation_id"]
        told = await w.chat("agent please, let me speak to a human", conversation_id=key)
        silent = await w.chat("Hello?", conversation_id=key)
    assert told["response"] and told["with_person"]
    assert silent["response"] == "" and silent["with_person"]
    assert silent["turn_count"] == 3


async def test_a_paused_business_keeps_what_comes_and_is_silent(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        async with w.db.write() as session:
            tenant = (await rows(w.db, Tenant))[0]
            (await session.get_one(Tenant, tenant.id)).status = "paused"
        said = await w.chat("Hello")
        john = w.texter()
        await john.text("Hello")
        books = await w.books()
    assert said["response"] == "" and john.received == []
    assert len(books.leads) == 2 and len(books.turns) == 2
