"""`ivr chat`: the assistant in the terminal, as a lead meets it."""

import pytest

from ivr.db import Database
from ivr.db.tables import Conversation, FailedLead
from tests.cli.conftest import Terminal
from tests.leads.cast import rows

TALK = (
    "Hello",
    "My name is Ahmed and I want to learn CTA",
    "+92 300 1234567",
    "I am a graduate",
    "career change",
)


@pytest.fixture
def business(terminal: Terminal, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("PROFILE", "courses")
    return sqlite_url


async def test_a_talk_in_the_terminal_becomes_a_lead(business: str, terminal: Terminal) -> None:
    told = await terminal.run("chat", typed="\n".join([*TALK, "/quit"]))
    db = Database(business)
    try:
        (conversation,) = await rows(db, Conversation)
        (waiting,) = await rows(db, FailedLead)
    finally:
        await db.close()
    assert told.code == 0, told.err
    assert "May I have your name?" in told.out
    assert "COURSE_SELECTED" in told.out and "selected_course=CTA" in told.out
    assert "Goodbye" in told.out
    assert conversation.channel == "chat"
    assert (waiting.lead_data["name"], waiting.lead_data["phone"]) == ("Ahmed", "+923001234567")


async def test_new_begins_as_somebody_else_and_the_end_of_the_input_leaves(
    business: str, terminal: Terminal
) -> None:
    told = await terminal.run("chat", typed="My name is Ahmed\n/new\n\nMy name is Sara\n")
    db = Database(business)
    try:
        conversations = await rows(db, Conversation)
    finally:
        await db.close()
    assert told.code == 0, told.err
    assert len({one.lead_id for one in conversations}) == len(conversations) == 2
    assert "name=Ahmed" in told.out and "name=Sara" in told.out
