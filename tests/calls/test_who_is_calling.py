"""A number that we know: its caller is greeted by name, and may turn out to be somebody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from tests.calls.world import World, short, talk_through, whole_call, world
from tools.call_page import Page
from tools.emulators.openai.session import Session
from tools.scenarios import Call, Expect, Scenario, Turn

BY_NAME = "Hello John Doe, good to hear from you again."
BYE = (Call("end_call", {"reason": "complete"}),)
JANE = {"full_name": "Jane Roe", "zip_code": "10001"}


def saves(name: str) -> tuple[Call, ...]:
    """The call that saves what Jane said."""
    value = JANE[name]
    return (Call("save_field", {"name": name, "value": value, "heard_as": value}),)


NOT_HIM = (Call("not_this_person", {"number_is_theirs_now": False}),)
JOHN_AGAIN = replace(
    short(),
    turns=(Turn(BY_NAME, "I will call later. Goodbye"), Turn("Goodbye!", "", (), BYE)),
    expect=Expect({}),
    extraction={},
)
SOMEBODY_ELSE = replace(
    short(),
    turns=(
        Turn(BY_NAME, "I am not John"),
        Turn("Sorry! May I have your name?", "Jane Roe", NOT_HIM),
        Turn("And your ZIP code?", "10001", saves("full_name")),
        Turn("Goodbye!", "", saves("zip_code"), BYE),
    ),
    expect=Expect(JANE),
    extraction=JANE,
)


@asynccontextmanager
async def known_number(url: str) -> AsyncIterator[World]:
    """A world in which John Doe has called; his lead is still open, for the buyer refused it."""
    async with world(url, scenario=short()) as w:
        w.npa.password = "another"
        await whole_call(w)
        w.npa.password = "secret"
        yield w


async def calls_again(w: World, scenario: Scenario) -> tuple[Page, Session]:
    """Have somebody call from that number."""
    w.openai.scenario = scenario
    call = await w.ring()
    await talk_through(call, scenario)
    assert await call.ended() == "completed"
    return await w.finished(call), w.openai.sessions[-1]


def first_words(session: Session) -> str:
    """What the model was told to begin the call with."""
    return str(session.received.of("response.create")[0])


async def test_a_known_caller_is_greeted_by_name_and_asked_for_what_is_missing(
    sqlite_url: str,
) -> None:
    async with known_number(sqlite_url) as w:
        first = w.openai.sessions[0]
        _, again = await calls_again(w, JOHN_AGAIN)
        books = await w.books()

    assert "Hello" not in first_words(first) and "first and last name?" in first_words(first)
    assert f"{BY_NAME} What is the best phone number to reach you?" in first_words(again)
    assert len(books.contacts) == len(books.leads) == 1 and len(books.conversations) == 2


async def test_a_caller_who_is_somebody_else_gets_a_lead_of_their_own(database_url: str) -> None:
    async with known_number(database_url) as w:
        page, session = await calls_again(w, SOMEBODY_ELSE)
        books = await w.books()

    (denied, *_) = [item.view for item in session.items if "output" in item.view]
    assert '"forgotten": true, "missing": ["full_name", "zip_code"' in denied["output"]
    john, jane = books.leads
    assert [contact.name for contact in books.contacts] == ["John Doe", "Jane Roe"]
    assert {row.value for row in books.values if row.lead_id == john.id}.isdisjoint(JANE.values())
    assert {row.value for row in books.values if row.lead_id == jane.id}.isdisjoint({"John Doe"})
    assert page.succeeded is not None
    assert JANE.items() <= page.succeeded.lead_data.items()
    assert [lead["firstName"] for lead in w.npa.leads] == ["Jane"]
    assert [failed.lead_data["full_name"] for failed in books.failed] == ["John Doe"]
