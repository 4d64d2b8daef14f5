"""What names a person inside of JSON: all of it is found, and nobody waits for the search."""

import uuid
from typing import Any

import pytest
from sqlalchemy import event

from ivr.db import Database
from ivr.db.tables import Channel, Conversation, IdempotencyRecord, Lead, ReviewItem, ReviewKind
from ivr.leads.people import mentions
from tests.leads.cast import JOHN, rows
from tests.leads.people.acquaintances import HOME, comes, contact_of
from tests.leads.people.test_forgetting_shared import LATER, forget


@pytest.mark.parametrize("moment", ["before the look", "behind it"])
async def test_what_is_asked_and_answered_while_somebody_is_sought_goes_too(
    db: Database, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The look for it is over when they are locked."""
    one = await comes(db, Channel.VOICE, "CA1", number=HOME)
    other = await comes(db, Channel.VOICE, "CA2", number=JOHN)
    about = one.tenant_id, await contact_of(db, one), one.lead_id
    look = mentions.look

    async def slow(*given: Any) -> Any:
        found = await look(*given)
        await _is_mentioned(db, other, *about[1:])
        return found

    if moment == "behind it":
        monkeypatch.setattr(mentions, "look", slow)
    else:
        await _is_mentioned(db, other, *about[1:])
    await forget(db, one)
    assert await rows(db, ReviewItem) == await rows(db, IdempotencyRecord) == []
    assert [lead.id for lead in await rows(db, Lead)] == [other.lead_id]


async def _is_mentioned(
    db: Database, by: Conversation, contact_id: uuid.UUID, lead_id: uuid.UUID
) -> None:
    """Have somebody asked whether another one is this person, and a program told of their lead."""
    whose = {"tenant_id": by.tenant_id, "created_at": LATER}
    question = ReviewItem(
        **whose,
        kind=ReviewKind.MERGE,
        lead_id=by.lead_id,
        conversation_id=by.id,
        detail={"contact": "-", "other": str(contact_id), "names": ["Zebulon", "Ahmed"]},
    )
    answered = IdempotencyRecord(
        **whose, key="k", request_sha256="-", status=201, body={"id": str(lead_id)}
    )
    async with db.write() as session:
        session.add_all([question, answered])


async def test_in_the_transaction_that_writes_only_the_newest_rows_are_searched(
    sqlite_db: Database,
) -> None:
    """On SQLite everybody else waits for it, and a table may have a hundred thousand rows."""
    db, searched = sqlite_db, []

    def note(connection: Any, _: Any, statement: str, parameters: Any, *__: Any) -> None:
        if connection.get_execution_options().get("immediate") and "JSON_EXTRACT" in statement:
            searched.append((statement, parameters))

    one = await comes(db, Channel.VOICE, "CA1", number=HOME)
    event.listen(db.engine.sync_engine, "after_cursor_execute", note)
    await forget(db, one)
    assert len(searched) == 2
    async with db.read() as session:
        connection = await session.connection()
        for statement, parameters in searched:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            assert "rowid>?" in repr(plan.all())
