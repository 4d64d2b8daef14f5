"""The name of a contact: known while they talk, and never for a worse one."""

from ivr.db import Database
from ivr.db.tables import Contact, Conversation, Source, utc_now
from ivr.leads import values
from ivr.leads.people.person import person_of
from ivr.leads.profile import load_profile
from ivr.leads.progress import stages
from tests.leads.cast import call, finish, road_of, rows
from tools.emulators.npa import NpaEmulator

POWERSPORTS = load_profile("powersports")


async def says(
    db: Database, conversation: Conversation, name: str, source: Source = Source.TOOL
) -> list[str | None]:
    """Have the assistant save a name, as its tools do; return the contacts' names."""
    now = utc_now()
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        await values.add(
            session, conversation, name="full_name", value=name, raw=name, source=source, now=now
        )
        held = await values.current(session, lead.id)
        await stages.assess(session, lead, POWERSPORTS, held, met=True, now=now)
    return await names(db)


async def names(db: Database) -> list[str | None]:
    return [it.name for it in sorted(await rows(db, Contact), key=lambda it: it.created_at)]


async def test_a_name_counts_at_once_and_so_does_its_correction(db: Database) -> None:
    conversation = await call(db)
    assert await names(db) == [None]
    assert await says(db, conversation, "Jon Dow Smith") == ["Jon Dow Smith"]
    assert await says(db, conversation, "Jon Dow") == ["Jon Dow"]


async def test_a_correction_of_the_name_makes_nobody_of_them(
    db: Database, npa: NpaEmulator
) -> None:
    missed = await call(db, sid="CA0")
    async with road_of(db, npa) as road:
        await finish(road, db, missed)
        conversation = await call(db, sid="CA1", now=utc_now())
        await says(db, conversation, "Mary Major")
        assert await says(db, conversation, "John Doe") == ["John Doe"]
        async with db.read() as session:
            person = await person_of(session, conversation.id, POWERSPORTS)
        assert person.is_known and person.names_elsewhere == ()
        await finish(road, db, conversation)
    assert await names(db) == ["John Doe"]


async def test_less_of_a_name_takes_the_place_of_no_more(db: Database, npa: NpaEmulator) -> None:
    first = await call(db, sid="CA1")
    await says(db, first, "John Doe")
    async with road_of(db, npa) as road:
        await finish(road, db, first)
        second = await call(db, sid="CA2", now=utc_now())
        assert await says(db, second, "John") == ["John Doe"]
        await finish(road, db, second)
        assert await names(db) == ["John Doe"]
        third = await call(db, sid="CA3", now=utc_now())
        assert await says(db, third, "John Frederick Doe") == ["John Doe"], "until it is settled"
        await finish(road, db, third)
    assert await names(db) == ["John Frederick Doe"]


async def test_somebody_else_at_the_number_does_not_take_the_name(
    db: Database, npa: NpaEmulator
) -> None:
    first = await call(db, sid="CA1")
    await says(db, first, "John Doe")
    async with road_of(db, npa) as road:
        await finish(road, db, first)
        second = await call(db, sid="CA2", now=utc_now())
        assert await says(db, second, "Mary Major") == ["John Doe"]
        await finish(road, db, second)
    assert await names(db) == ["John Doe", "Mary Major"]
