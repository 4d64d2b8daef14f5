"""The conversation without a model, one step at a time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from ivr import conversations
from ivr.conversations import Said, write_turn
from ivr.db import Database
from ivr.db.tables import Conversation, Role, Source
from ivr.leads import values
from ivr.leads.profile import Profile, load_profile
from ivr.voice.gather import PATIENCE, GatherDialogue, Reply
from tests.leads.cast import NOW, TALK, call, save

PROFILE = load_profile("powersports")
SORRY = "Sorry, we were cut off."


@pytest.fixture
async def conversation(sqlite_db: Database) -> AsyncIterator[Conversation]:
    yield await call(sqlite_db)


async def dialogue(
    db: Database, conversation: Conversation, profile: Profile = PROFILE
) -> GatherDialogue:
    """Return the dialogue as the next webhook finds it."""
    async with db.read() as session:
        row = await conversations.by_id(session, conversation.id)
    zone = ZoneInfo("America/New_York")
    return GatherDialogue(db, profile, row, zone=zone, now=NOW)


async def hear(
    db: Database, conversation: Conversation, text: str, *, keyed: bool = False
) -> Reply:
    return await (await dialogue(db, conversation)).hear(text, keyed=keyed)


async def open_(db: Database, conversation: Conversation) -> Reply:
    return await (await dialogue(db, conversation)).open()


async def said(db: Database, conversation: Conversation) -> list[tuple[str, str]]:
    async with db.read() as session:
        turns = await conversations.transcript(session, conversation.id)
    assert [turn.position for turn in turns] == list(range(len(turns)))
    return [(turn.role, turn.text) for turn in turns]


async def current(db: Database, conversation: Conversation) -> dict[str, tuple[str | None, str]]:
    async with db.read() as session:
        rows = await values.current(session, conversation.lead_id)
    return {name: (row.value, row.source) for name, row in rows.items()}


async def test_it_greets_and_asks_the_first_question(
    sqlite_db: Database, conversation: Conversation
) -> None:
    reply = await open_(sqlite_db, conversation)
    assert reply == Reply(f"{PROFILE.greeting} May I have your first and last name?")
    assert await said(sqlite_db, conversation) == [("assistant", reply.say)]


async def test_after_a_broken_call_it_apologises_and_asks_only_what_is_missing(
    sqlite_db: Database, conversation: Conversation
) -> None:
    async with sqlite_db.write() as session:
        for position, (role, text) in enumerate(TALK[:4]):
            await write_turn(session, conversation, Said(f"i{position}", position, role, text, NOW))
    await save(sqlite_db, conversation, {"full_name": "John Doe", "zip_code": "30093"})
    reply = await open_(sqlite_db, conversation)
    assert reply.say.startswith(SORRY) and PROFILE.greeting not in reply.say
    assert "the number you are calling from" in reply.say
    assert reply.ends is None


async def test_a_client_that_speaks_arabic_apologises_in_arabic(
    sqlite_db: Database, conversation: Conversation
) -> None:
    homes = load_profile("real_estate").in_language("ar")
    await open_(sqlite_db, conversation)
    again = await (await dialogue(sqlite_db, conversation, homes)).open()
    assert again.say == f"عذرًا، انقطع الاتصال. {homes.field('name').ask}"


async def test_when_all_is_known_it_says_goodbye_at_once(
    sqlite_db: Database, conversation: Conversation
) -> None:
    lead = {"full_name": "John Doe", "zip_code": "30093", "phone": "+17705550123"}
    vehicle = {"vehicle_year": "2020", "vehicle_make": "Yamaha", "vehicle_model": "MT-07"}
    await save(sqlite_db, conversation, lead | vehicle)
    reply = await open_(sqlite_db, conversation)
    assert reply.ends == "complete" and "Goodbye" in reply.say


async def test_each_answer_is_committed_before_the_next_question(
    sqlite_db: Database, conversation: Conversation
) -> None:
    await open_(sqlite_db, conversation)
    reply = await hear(sqlite_db, conversation, "John Doe")
    assert "ZIP code" in reply.say
    assert (await current(sqlite_db, conversation))["full_name"] == ("John Doe", Source.TOOL)
    turns = await said(sqlite_db, conversation)
    assert turns[1:] == [(Role.CALLER, "John Doe"), (Role.ASSISTANT, reply.say)]


async def test_keyed_digits_are_typed_values(
    sqlite_db: Database, conversation: Conversation
) -> None:
    await open_(sqlite_db, conversation)
    await hear(sqlite_db, conversation, "John Doe")
    await hear(sqlite_db, conversation, "30093", keyed=True)
    async with sqlite_db.read() as session:
        history = await values.history(session, conversation.lead_id)
    assert Source.TYPED in [row.source for row in history if row.name == "zip_code"]
    assert (await current(sqlite_db, conversation))["zip_code"][0] == "30093"


async def test_a_denied_value_is_asked_for_again(
    sqlite_db: Database, conversation: Conversation
) -> None:
    await open_(sqlite_db, conversation)
    await hear(sqlite_db, conversation, "John Doe")
    assert "Is that right?" in (await hear(sqlite_db, conversation, "30093")).say
    reply = await hear(sqlite_db, conversation, "no")
    assert "What is your ZIP code?" in reply.say
    assert "zip_code" not in await current(sqlite_db, conversation)


async def test_silence_is_no_turn_of_the_caller(
    sqlite_db: Database, conversation: Conversation
) -> None:
    await open_(sqlite_db, conversation)
    reply = await hear(sqlite_db, conversation, "")
    assert "May I have your first and last name?" in reply.say
    assert [role for role, _ in await said(sqlite_db, conversation)] == ["assistant", "assistant"]


async def test_a_repeated_request_gets_the_same_reply_and_changes_nothing(
    sqlite_db: Database, conversation: Conversation
) -> None:
    await open_(sqlite_db, conversation)
    replies = [
        await (await dialogue(sqlite_db, conversation)).hear("John Doe", token="request-1")
        for _ in range(2)
    ]
    assert replies[0] == replies[1] and "ZIP code" in replies[0].say
    assert [text for _, text in await said(sqlite_db, conversation)].count("John Doe") == 1
    other = await (await dialogue(sqlite_db, conversation)).hear("30093", token="request-2")
    assert "3 0 0 9 3" in other.say


async def test_an_answer_to_a_question_that_nobody_asked_opens_the_dialogue(
    sqlite_db: Database, conversation: Conversation
) -> None:
    reply = await hear(sqlite_db, conversation, "hello?")
    assert reply.say.startswith(PROFILE.greeting)


async def test_the_caller_has_time_for_the_next_step(
    sqlite_db: Database, conversation: Conversation
) -> None:
    await open_(sqlite_db, conversation)
    async with sqlite_db.read() as session:
        row = await conversations.by_id(session, conversation.id)
    assert row.finish_after == NOW + PATIENCE
    assert timedelta(seconds=30) < PATIENCE < timedelta(minutes=5)
