"""`ivr escalations`: who waits for a person, and what somebody does about it."""

import json
from datetime import timedelta

import pytest

from ivr.db.tables import Channel, Message, Trigger, Turn, utc_now
from ivr.leads.attention import escalations
from ivr.leads.attention.staff import Staff
from ivr.leads.intake import Enquiry, begin
from tests.cli.conftest import CALLED, CALLER, House, Terminal
from tests.leads.cast import rows, save


async def waiting(house: House, *, minutes: float = 5) -> str:
    """Have somebody text and wait for a person; return the beginning of the escalation's id."""
    now = utc_now() - timedelta(minutes=minutes)
    enquiry = Enquiry(Channel.SMS, CALLER, CALLER, CALLED, now + timedelta(hours=24), now)
    conversation = await begin(house.db, house.tenant, house.profile, enquiry)
    await save(house.db, conversation, {"full_name": "John Doe", "zip_code": "30093"})
    async with house.db.write() as session:
        row = await escalations.open_for(
            session,
            conversation,
            Trigger.ASKED,
            "asks for a person",
            now=now,
            staff=Staff(due=timedelta(minutes=30)),
        )
    return str(row.id)[:8]


async def test_the_list_says_who_waits_and_since_when(house: House, terminal: Terminal) -> None:
    number = await waiting(house)
    (line,) = (await terminal.run("escalations", "list")).out.splitlines()[1:]
    for words in (number, "open", "sms", "John Doe", "asks for a person"):
        assert words in line
    assert "overdue" not in line


async def test_what_should_have_been_taken_is_overdue(house: House, terminal: Terminal) -> None:
    await waiting(house, minutes=31)
    assert "overdue" in (await terminal.run("escalations", "list")).out


async def test_json_has_the_whole_row(house: House, terminal: Terminal) -> None:
    number = await waiting(house)
    (row,) = json.loads((await terminal.run("escalations", "list", "--json")).out)
    assert row["id"].startswith(number)
    assert (row["trigger"], row["state"], row["channel"]) == ("asked_for_human", "open", "sms")


async def test_taken_written_to_and_given_back(house: House, terminal: Terminal) -> None:
    number = await waiting(house)
    taken = await terminal.run("escalations", "take", number, "--as", "ann")
    assert (taken.code, taken.out) == (0, f"escalation {number} is yours\n")
    assert "acknowledged by ann" in (await terminal.run("escalations", "list")).out
    other = await terminal.run("escalations", "take", number, "--as", "bob")
    assert other.code == 1 and "is with ann" in other.err
    assert (await terminal.run("escalations", "say", number, "Hi John", "--as", "ann")).code == 0
    (turn,), (message,) = await rows(house.db, Turn), await rows(house.db, Message)
    assert turn.text == message.body == "Hi John"
    assert (await terminal.run("escalations", "give-back", number, "--as", "ann")).code == 0
    assert "nobody waits" in (await terminal.run("escalations", "list")).out
    assert "given back by ann" in (await terminal.run("escalations", "list", "--all")).out


async def test_what_another_has_is_taken_over_and_not_ended(
    house: House, terminal: Terminal
) -> None:
    number = await waiting(house)
    await terminal.run("escalations", "take", number, "--as", "ann")
    for command in ("give-back", "resolve"):
        answer = await terminal.run("escalations", command, number, "--as", "bob")
        assert answer.code == 1 and "is with ann" in answer.err
    words = ("escalations", "take", number, "--as", "bob", "--instead-of", "ann")
    assert (await terminal.run(*words)).code == 0
    assert (await terminal.run("escalations", "give-back", number, "--as", "bob")).code == 0


async def test_explain_says_that_somebody_waits_and_how_it_ended(
    house: House, terminal: Terminal
) -> None:
    conversation = await house.call("CA1")
    async with house.db.write() as session:
        row = await escalations.open_for(
            session, conversation, Trigger.ASKED, "asks for a person", now=utc_now()
        )
    number = str(row.id)[:8]
    out = (await terminal.run("explain", "CA1")).out
    assert "asked for human: asks for a person; open" in out
    assert f"ivr escalations take {number}" in out
    await terminal.run("escalations", "take", number, "--as", "ann")
    assert "ann has it" in (await terminal.run("explain", "CA1")).out
    await terminal.run("escalations", "give-back", number, "--as", "ann")
    out = (await terminal.run("explain", "CA1")).out
    assert "given back by ann" in out and "ivr escalations" not in out
    told = json.loads((await terminal.run("explain", "CA1", "--json")).out)
    assert [one["state"] for one in told["escalations"]] == ["resolved"]


async def test_dealt_with_in_one_command(house: House, terminal: Terminal) -> None:
    number = await waiting(house)
    words = ("escalations", "resolve", number, "--as", "ann", "--note", "he came by")
    assert (await terminal.run(*words)).code == 0
    assert "he came by" in (await terminal.run("escalations", "list", "--all")).out


@pytest.mark.parametrize("command", ["take", "give-back", "resolve"])
async def test_an_unknown_one_is_named(house: House, terminal: Terminal, command: str) -> None:
    answer = await terminal.run("escalations", command, "nope", "--as", "ann")
    assert answer.code == 1 and "no escalation nope" in answer.err


async def test_nobody_writes_without_having_taken_it(house: House, terminal: Terminal) -> None:
    number = await waiting(house)
    answer = await terminal.run("escalations", "say", number, "Hi", "--as", "ann")
    assert answer.code == 1 and "take the escalation first" in answer.err
    assert await rows(house.db, Message) == []
