"""Outside its hours a business puts nobody through: it says when it opens, and calls back then."""

from datetime import UTC, datetime, time, timedelta

from sqlmodel import select

from ivr.db import Database
from ivr.db.tables import Escalation, Task, Tenant
from ivr.tenants.hours import DAYS
from tests.calls import world as calls
from tests.channels.world import world
from tests.leads.cast import rows

OPENS = time(9)
TO_PERSON = "I will hand you over to a person from our team. They will reply to you here."


async def close(db: Database) -> tuple[str, datetime]:
    """Have the business open in three days only; return the day's name and the moment."""
    day = datetime.now(UTC).date() + timedelta(days=3)
    name = DAYS[day.weekday()]
    async with db.write() as session:
        tenant = (await session.exec(select(Tenant))).one()
        tenant.timezone = "UTC"
        tenant.business_hours = {name: {"start": "09:00", "end": "18:00"}}
        tenant.config = {"transfer_number": "+17705550100", "escalation": {"due_minutes": 45}}
    return name.title(), datetime.combine(day, OPENS, UTC)


async def test_who_writes_for_a_person_is_told_when_there_is_one(database_url: str) -> None:
    async with world(database_url) as w:
        now = await w.chat("I want to talk to a human")
        day, opens = await close(w.db)
        later = await w.chat("I want to talk to a human")
        first, second = await rows(w.db, Escalation)

    assert now["response"] == TO_PERSON
    assert f"We open on {day} at 9:00 AM" in later["response"] and later["with_person"]
    assert first.due_at - first.created_at == timedelta(minutes=30)
    assert second.due_at == opens + timedelta(minutes=45)


async def test_who_calls_for_a_person_is_called_back_when_it_opens(database_url: str) -> None:
    async with calls.world(database_url, door="/twilio/voice-ivr", timezone="UTC") as w:
        day, opens = await close(w.db)
        call = await w.ring()
        await calls.by_gather(call, [("name", "I want to talk to a person")])
        asked = (await call.gathering()).children[0].text
        await call.hang_up()
        await call.ended()
        (task,) = await rows(w.db, Task)

    assert f"We open on {day} at 9:00 AM, and a colleague will call you back." in asked
    assert (task.kind, task.due_at) == ("call_back", opens)


async def test_a_model_is_not_offered_to_put_anybody_through(sqlite_url: str) -> None:
    offered = []
    async with calls.world(sqlite_url, scenario=calls.short(), timezone="UTC") as w:
        day, _ = await close(w.db)
        for is_closed in (True, False):
            if not is_closed:
                async with w.db.write() as session:
                    (await session.exec(select(Tenant))).one().business_hours = {}
            call = await w.ring()
            session_of_call = await w.openai.session(len(offered))
            update = await session_of_call.received.first(lambda e: e["type"] == "session.update")
            offered.append(update["session"])
            await call.hang_up()
            await call.ended()

    names = [{tool["name"] for tool in session["tools"]} for session in offered]
    assert "transfer_to_person" not in names[0] and "promise_call_back" in names[0]
    assert "transfer_to_person" in names[1] and "promise_call_back" not in names[1]
    assert f"the business opens on {day}" in offered[0]["instructions"]
    assert "the business opens" not in offered[1]["instructions"]
