"""Forgets a person: nothing of them is left in any table, file or log but hashes of a STOP.

What is under way forbids it. One transaction erases the rows and has webhook endpoints told; then
the notes of the durable jobs go, which would be pruned a day later anyway, and SQLite's write-ahead
log is emptied. To do it again is harmless: nobody is found any more.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import jobs
from ivr.db import Database
from ivr.db.tables import Contact, ContactPoint, Submission
from ivr.errors import Conflict
from ivr.leads.people import belongings, erasing, mentions, unfinished
from ivr.leads.people.belongings import Belongings
from ivr.webhooks import outbox
from ivr.webhooks.event_types import EventType

JOB = "finish"  # begins the name of a conversation's job, as `road` gives it

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Dossier:
    """Who would be forgotten: their names and addresses, what they have, what is under way."""

    contact_id: uuid.UUID
    names: list[str]
    addresses: list[str]
    leads: int
    conversations: int
    under_way: list[str]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many rows of which table are gone or blank; `is_clean`: no file holds any of it."""

    rows: Mapping[str, int]
    is_clean: bool


async def look(
    db: Database, tenant_id: uuid.UUID, contact_id: uuid.UUID, *, now: datetime
) -> Dossier:
    """Return whom `forget` would forget; raise `NotFound` when nobody has this id."""
    async with db.read() as session:
        whole = await belongings.of_contact(session, tenant_id, contact_id)
        names = select(Contact.name).where(col(Contact.id).in_(whole.contacts))
        points = select(ContactPoint.value).where(col(ContactPoint.contact_id).in_(whole.contacts))
        return Dossier(
            contact_id,
            sorted({name for name in (await session.exec(names)).all() if name}),
            sorted((await session.exec(points)).all()),
            len(whole.leads),
            len(whole.conversations),
            await unfinished.matters(session, whole, now=now),
        )


async def forget(
    db: Database,
    tenant_id: uuid.UUID,
    contact_id: uuid.UUID,
    *,
    actor: str,
    now: datetime,
    force: bool = False,
    only_if: Any = None,
) -> Forgotten:
    """Erase a person; raise `NotFound`, and `Conflict` while something is under way.

    With `force` that is cut off: a call loses what it saves, a lead on its way may have arrived.
    `only_if`: a query that must still find something when they are locked; else `Conflict`.
    """
    async with db.read() as session:  # reads much, which must hold nobody up
        seen = await belongings.of_contact(session, tenant_id, contact_id)
        numbers = await belongings.numbers(session, seen)
        mentioned = await mentions.look(session, seen)
    async with db.write() as session:
        whole = await belongings.of_contact(session, tenant_id, contact_id)
        if only_if is not None and (await session.exec(only_if.limit(1))).first() is None:
            raise Conflict("not any more: something has come up")
        submissions = await _submissions(session, whole)
        under_way = await unfinished.matters(session, whole, now=now)
        if under_way and not force:
            raise Conflict(f"not now: {'; '.join(under_way)}")
        rows = await erasing.erase(session, whole, numbers, mentioned, now=now)
        await _tell(session, whole, submissions, now=now)
    log.warning("a person was forgotten", tenant_id=str(tenant_id), actor=actor, rows=rows)
    return Forgotten(rows, await _clean(db, whole))


async def _submissions(
    session: AsyncSession, whole: Belongings
) -> Sequence[tuple[uuid.UUID, uuid.UUID]]:
    """Return under which names each of their leads may have been submitted."""
    query = select(Submission.lead_id, Submission.id).where(
        col(Submission.lead_id).in_(whole.leads)
    )
    return (await session.exec(query.order_by(col(Submission.created_at)))).all()


async def _tell(
    session: AsyncSession,
    whole: Belongings,
    submissions: Sequence[tuple[uuid.UUID, uuid.UUID]],
    *,
    now: datetime,
) -> None:
    """Have those who were told of the leads erase them as well; ids are all that is told."""
    for lead_id in sorted(whole.leads):
        data = {
            "lead_id": str(lead_id),
            "submission_ids": [str(one) for whose, one in submissions if whose == lead_id],
            "at": outbox.rfc3339(now),
        }
        # Not by its column: the lead is gone.
        await outbox.emit(
            session, whole.tenant_id, EventType.FORGOTTEN, lead_id=None, data=data, now=now
        )


async def _clean(db: Database, whole: Belongings) -> bool:
    """Delete what the jobs noted, and empty the log in which SQLite keeps what it writes."""
    prefixes = [f"{JOB}:{conversation}:" for conversation in (*whole.conversations, *whole.visited)]
    await asyncio.to_thread(jobs.forget, db.url, prefixes=prefixes)
    return await db.empty_log()
