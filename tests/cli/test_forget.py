"""`ivr leads forget`: shows whom, asks, erases, and works beside a server and without one."""

import json

from ivr.db.tables import Contact, Conversation, Lead, SucceededLead
from tests.cli.conftest import CALLER, House, Terminal
from tests.leads.cast import rows

OTHER = "+17705550188"


async def forgets(terminal: Terminal, *words: str, typed: str = "") -> str:
    answer = await terminal.run("leads", "forget", *words, typed=typed)
    assert answer.code == 0, answer.err
    return answer.out


async def test_a_person_is_shown_asked_for_and_forgotten(house: House, terminal: Terminal) -> None:
    await house.lead("CA1")
    await house.lead("CA2", caller=OTHER, known={"full_name": "Ann Other"})
    said = await forgets(terminal, CALLER, typed="y\n")
    assert CALLER in said and "leads: 1, conversations: 1" in said
    assert "succeeded_leads 1" in said and "turns " in said
    (kept,) = await rows(house.db, Conversation)
    assert kept.from_number == OTHER
    assert [row.session_id for row in await rows(house.db, SucceededLead)] == [kept.id]

    again = await terminal.run("leads", "forget", CALLER, "--yes")
    assert again.code == 1 and "nobody here" in again.err


async def test_a_dry_run_and_a_no_change_nothing(house: House, terminal: Terminal) -> None:
    await house.lead("CA1")
    (lead,) = await rows(house.db, Lead)
    before = await rows(house.db, Contact)
    shown = json.loads(await forgets(terminal, str(lead.id), "--dry-run", "--json"))
    assert (shown["leads"], shown["addresses"]) == (1, [CALLER])
    refused = await terminal.run("leads", "forget", CALLER, typed="n\n")
    assert refused.code == 1
    assert await rows(house.db, Contact) == before


async def test_who_is_on_the_phone_is_forgotten_by_force_only(
    house: House, terminal: Terminal
) -> None:
    await house.call("CA1")
    answer = await terminal.run("leads", "forget", CALLER, "--yes")
    assert answer.code == 1 and "a call is going on" in answer.err
    assert len(await rows(house.db, Contact)) == 1
    await forgets(terminal, CALLER, "--yes", "--force")
    assert await rows(house.db, Contact) == []


async def test_json_tells_what_is_gone(house: House, terminal: Terminal) -> None:
    await house.lead("CA1")
    gone = json.loads(await forgets(terminal, CALLER, "--yes", "--json"))
    assert gone["is_clean"] is True
    assert gone["rows"]["leads"] == gone["rows"]["contacts"] == 1


async def test_nobody_is_forgotten_by_what_leads_to_several(
    house: House, terminal: Terminal
) -> None:
    await house.lead("CA1")
    await house.lead("CA2", caller=OTHER, known={"full_name": "Ann Other"})
    async with house.db.write() as session:
        for row in await rows(house.db, Conversation):
            (await session.get_one(Conversation, row.id)).from_number = OTHER
    answer = await terminal.run("leads", "forget", OTHER, "--yes")
    assert answer.code == 1 and "name one of them by a lead's id" in answer.err
    assert len(await rows(house.db, Contact)) == 2
