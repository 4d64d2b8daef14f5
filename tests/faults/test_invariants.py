"""The campaign's judge knows a lead that went into another from one that was lost."""

from datetime import timedelta

from sqlalchemy import delete, update
from sqlmodel import col

from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Lead, MergeRecord
from tests.faults.invariants import broken, read_books
from tests.leads.cast import NOW, rows
from tests.leads.people.acquaintances import comes, says
from tools.emulators.npa import NpaEmulator

NUMBERS = ("+17705550101", "+17705550102")


async def _found(db: Database) -> list[str]:
    """Return what is said of leads; no buyer has got any."""
    npa = NpaEmulator(username="buyer", password="secret")
    return [line for line in broken(await read_books(db), [], npa) if line.startswith("lead ")]


async def _merged(db: Database) -> tuple[Lead, Lead]:
    """Return the lead of two callers who give one number as theirs, and what went into it."""
    for minute, number in enumerate(NUMBERS):
        now = NOW + timedelta(minutes=minute)
        conversation = await comes(db, Channel.VOICE, number, number=number, now=now)
        said = {"full_name": "John Doe", "phone": NUMBERS[0]}
        await says(db, conversation, said, now=now)
    kept, gone = sorted(await rows(db, Lead), key=lambda lead: lead.closed_at is not None)
    assert (kept.closed_at, gone.lifecycle) == (None, "MERGED")
    return kept, gone


async def test_of_two_that_became_one_only_one_can_be_lost(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    kept, _ = await _merged(db)
    assert await _found(db) == [f"lead {kept.id}: lost, []"]
    await db.close()


async def test_what_a_merge_left_behind_is_found(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    _, gone = await _merged(db)
    async with db.write() as session:
        left = update(Conversation).where(col(Conversation.session_key) == NUMBERS[1])
        await session.exec(left.values(lead_id=gone.id))
    assert f"lead {gone.id}: merged, and 1 rows were left with it" in await _found(db)
    await db.close()


async def test_who_went_into_nothing_is_found(sqlite_url: str) -> None:
    db = Database(sqlite_url)
    _, gone = await _merged(db)
    async with db.write() as session:
        await session.exec(delete(MergeRecord))
    assert f"lead {gone.id}: merged into {gone.id}, which is not there" in await _found(db)
    await db.close()
