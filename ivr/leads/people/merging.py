"""Makes one contact of two, and two again: every row that moves is written down and can go back.

Whether two contacts are one person is `identity`'s decision. Who calls this holds both contacts
locked. Everybody locks in one order: contacts, conversations, leads, submissions; of each kind the
one with the smaller id first.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Axis,
    Contact,
    ContactPoint,
    Conversation,
    Escalation,
    FieldValue,
    Lead,
    Lifecycle,
    MergeRecord,
    ReviewItem,
    Submission,
    Task,
    Tenant,
    UsageLog,
)
from ivr.errors import Conflict, NotFound
from ivr.leads import values
from ivr.leads.delivery import merged_submissions
from ivr.leads.delivery.handover import Profiles, profile_of
from ivr.leads.people import pairs
from ivr.leads.profile import Profile
from ivr.leads.progress import search, stages
from ivr.leads.progress.lifecycle import Mover

ACTOR = "system"
_MERGED_INTO = "merged into "  # begins why a lead that was absorbed is closed
# What hangs on a lead; what was reported to others about it (outbox, transitions) stays.
_CHILDREN: Mapping[str, Any] = {
    "values": FieldValue,
    "conversations": Conversation,
    "submissions": Submission,
    "tasks": Task,
    "reviews": ReviewItem,
    "escalations": Escalation,
    "usage": UsageLog,
}


async def lock_contacts(session: AsyncSession, ids: Collection[uuid.UUID]) -> Sequence[Contact]:
    """Return contacts for changing, in the one order in which everybody locks them."""
    query = select(Contact).where(col(Contact.id).in_(ids)).order_by(col(Contact.id))
    locked = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return (await session.exec(locked)).all()


async def lock_conversations(session: AsyncSession, contact_ids: Collection[uuid.UUID]) -> None:
    """Have nobody change the conversations of these contacts until the transaction is over."""
    query = (
        select(Conversation.id)
        .where(
            col(Conversation.lead_id).in_(
                select(Lead.id).where(col(Lead.contact_id).in_(contact_ids))
            )
        )
        .order_by(col(Conversation.id))
    )
    await session.exec(query.with_for_update(key_share=True))


async def merge(
    session: AsyncSession,
    one: Contact,
    other: Contact,
    *,
    reason: str,
    now: datetime,
    since: datetime | None = None,
) -> MergeRecord | None:
    """Give the older contact all that the other has; None while one of their leads is being sent.

    Of two open leads of one profile the older takes what the other has, and that one is closed.
    `since`: what was sent or closed after that takes it as well.
    """
    kept, gone = sorted((one, other), key=lambda contact: (contact.created_at, contact.id))
    await lock_conversations(session, (kept.id, gone.id))
    kept_leads, gone_leads = await _leads(session, kept), await _leads(session, gone)
    both = pairs.of(kept_leads, gone_leads, since=since)
    may = both if since else ()
    if await pairs.are_being_sent(session, [*kept_leads, *gone_leads], besides=may):
        return None
    record = MergeRecord(
        tenant_id=kept.tenant_id, kept_id=kept.id, gone_id=gone.id, reason=reason, created_at=now
    )
    came_along = await _ids(session, Conversation, [lead.id for lead in gone_leads])
    absorbed = [await _make_one(session, pair, now=now) for pair in both]
    await _give(session, Lead, [lead.id for lead in gone_leads], Lead.contact_id, kept.id)
    points = await _points(session, gone)
    await _give(session, ContactPoint, points, ContactPoint.contact_id, kept.id)
    kept.name = kept.name or gone.name
    record.moved = {
        "points": [str(key) for key in points],
        "leads": [str(lead.id) for lead in gone_leads],
        "conversations": came_along,
        "absorbed": absorbed,
    }
    session.add(record)
    await session.flush()
    await search.keep_contact(session, kept.id)
    return record


async def split(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    record_id: uuid.UUID,
    profiles: Profiles,
    *,
    now: datetime,
) -> MergeRecord:
    """Undo a merge: what came with the other contact goes back to it, later things stay.

    Raises `NotFound`, or `Conflict` when it was undone, or the contact was merged again since.
    """
    record = await session.get(MergeRecord, record_id)
    if record is None or record.tenant_id != tenant_id:
        raise NotFound(f"no merge {record_id}")
    await lock_contacts(session, (record.kept_id, record.gone_id))
    await take_back(session, record, now=now)
    tenant = await session.get_one(Tenant, tenant_id)
    for key in _touched(record):
        lead = await stages.lock(session, key)
        await reassess(session, lead, profile_of(profiles, tenant, lead), now=now)
    return record


async def take_back(session: AsyncSession, record: MergeRecord, *, now: datetime) -> None:
    """Undo a merge whose contacts are locked; the stages of the leads are left to the caller."""
    await _claim_split(session, record, now=now)
    if not record.moved:
        return
    kept, gone = record.kept_id, record.gone_id
    await lock_conversations(session, (kept, gone))
    leads = [uuid.UUID(key) for key in record.moved["leads"]]
    await _lock_leads(session, {*leads, *_touched(record)})
    await _give(session, Lead, leads, Lead.contact_id, gone, only_from=kept)
    points = [uuid.UUID(key) for key in record.moved["points"]]
    await _give(session, ContactPoint, points, ContactPoint.contact_id, gone, only_from=kept)
    for entry in record.moved["absorbed"]:
        await _make_two(session, entry, now=now)


async def reassess(session: AsyncSession, lead: Lead, profile: Profile, *, now: datetime) -> None:
    """Move a locked lead to where the values that it has now put it."""
    known = await values.current(session, lead.id)
    await stages.assess(
        session, lead, profile, known, met=False, now=now, actor=ACTOR, taken_back=True
    )


async def known_apart(
    session: AsyncSession, one: uuid.UUID, other: uuid.UUID
) -> MergeRecord | None:
    """Return a merge of these two that was undone: they are known to be two people."""
    pair = (one, other)
    query = select(MergeRecord).where(
        col(MergeRecord.kept_id).in_(pair),
        col(MergeRecord.gone_id).in_(pair),
        col(MergeRecord.split_at).is_not(None),
    )
    return (await session.exec(query.limit(1))).first()


async def kept_now(session: AsyncSession, contact_id: uuid.UUID) -> uuid.UUID:
    """Return the contact that has by now all that this one had."""
    while True:
        query = select(MergeRecord.kept_id).where(
            MergeRecord.gone_id == contact_id, col(MergeRecord.split_at).is_(None)
        )
        kept = (await session.exec(query)).first()
        if kept is None:
            return contact_id
        contact_id = kept


async def merged_into(session: AsyncSession, lead: Lead) -> uuid.UUID | None:
    """Return the lead that has by now all that this one had; None for one that was not merged."""
    found = lead
    while found.lifecycle == Lifecycle.MERGED and (found.lost_reason or "").startswith(
        _MERGED_INTO
    ):
        into = uuid.UUID(str(found.lost_reason).removeprefix(_MERGED_INTO))
        found = await session.get_one(Lead, into)
    return None if found is lead else found.id


async def reassess_open(
    session: AsyncSession,
    profiles: Profiles,
    tenant: Tenant,
    contact_id: uuid.UUID,
    *,
    now: datetime,
) -> None:
    """Move the open leads of a contact to where the values that they have now put them."""
    query = select(Lead.id).where(Lead.contact_id == contact_id, col(Lead.closed_at).is_(None))
    for key in sorted((await session.exec(query)).all()):
        lead = await stages.lock(session, key)
        await reassess(session, lead, profile_of(profiles, tenant, lead), now=now)


async def records_of(session: AsyncSession, contact_id: uuid.UUID) -> Sequence[MergeRecord]:
    """Return what was merged into a contact and is not undone, the last one first."""
    query = select(MergeRecord).where(
        MergeRecord.kept_id == contact_id, col(MergeRecord.split_at).is_(None)
    )
    return (await session.exec(query.order_by(col(MergeRecord.created_at).desc()))).all()


async def undoable(session: AsyncSession, tenant_id: uuid.UUID) -> Sequence[MergeRecord]:
    """Return the merges of a business that are not undone, the last one first."""
    query = select(MergeRecord).where(
        MergeRecord.tenant_id == tenant_id, col(MergeRecord.split_at).is_(None)
    )
    return (await session.exec(query.order_by(col(MergeRecord.created_at).desc()))).all()


async def _move_children(
    session: AsyncSession, lead_id: uuid.UUID, to: uuid.UUID
) -> dict[str, list[Any]]:
    """Hang all that hangs on a lead on another one; return the ids by kind."""
    moved: dict[str, list[Any]] = {}
    for name, table in _CHILDREN.items():
        ids = await _ids(session, table, [lead_id])
        if table is Task:
            ids = await _movable_tasks(session, lead_id, to)
        await _give(session, table, _keys(table, ids), table.lead_id, to)
        moved[name] = ids
    return moved


async def _make_one(
    session: AsyncSession, pair: tuple[Lead, Lead], *, now: datetime
) -> dict[str, Any]:
    """Have the first lead take what the second has; return what is needed to undo it."""
    into, lead = pair
    before, reason = lead.lifecycle, f"{_MERGED_INTO}{into.id}"
    await stages.move(
        session,
        lead,
        Axis.LIFECYCLE,
        Lifecycle.MERGED,
        actor=ACTOR,
        reason=reason,
        now=now,
        by=Mover.MERGE,
    )
    lead.closed_at, lead.lost_reason = now, reason
    heard = [at for at in (into.last_inbound_at, lead.last_inbound_at) if at is not None]
    into.last_inbound_at = max(heard, default=None)
    await session.flush()
    children = await _move_children(session, lead.id, into.id)
    replaced = await merged_submissions.keep_one(session, into.id, now=now)
    ids = {"lead": str(lead.id), "into": str(into.id), "lifecycle": before}
    return {**ids, **children, "replaced": replaced}


async def _make_two(session: AsyncSession, entry: Mapping[str, Any], *, now: datetime) -> None:
    """Give a lead back what it had, and open it again unless there is a new one meanwhile."""
    lead = await stages.lock(session, uuid.UUID(entry["lead"]))
    into = uuid.UUID(entry["into"])
    for name, table in _CHILDREN.items():
        ids = _keys(table, entry.get(name, ()))  # an older merge knew of fewer tables
        await _give(session, table, ids, table.lead_id, lead.id, only_from=into)
    for owner in (lead.id, into):
        replaced = entry.get("replaced", ())
        await merged_submissions.bring_back(session, owner, replaced, now=now)
    if await _has_another_open(session, lead):
        return
    reason = "the merge was undone"
    await stages.move(
        session,
        lead,
        Axis.LIFECYCLE,
        entry["lifecycle"],
        actor=ACTOR,
        reason=reason,
        now=now,
        by=Mover.MERGE,
    )
    lead.closed_at, lead.lost_reason = None, None
    await session.flush()


async def _has_another_open(session: AsyncSession, lead: Lead) -> bool:
    """Whether the contact has begun a new one meanwhile."""
    query = select(Lead.id).where(
        Lead.contact_id == lead.contact_id,
        Lead.profile == lead.profile,
        Lead.id != lead.id,
        col(Lead.closed_at).is_(None),
    )
    return (await session.exec(query)).first() is not None


async def _claim_split(session: AsyncSession, record: MergeRecord, *, now: datetime) -> None:
    later = select(MergeRecord.id).where(
        MergeRecord.gone_id == record.kept_id, col(MergeRecord.split_at).is_(None)
    )
    if (await session.exec(later)).first() is not None:
        raise Conflict("the contact was itself merged into another since: undo that first")
    claimed = await session.exec(
        update(MergeRecord)
        .where(col(MergeRecord.id) == record.id, col(MergeRecord.split_at).is_(None))
        .values(split_at=now)
    )
    if claimed.rowcount != 1:
        raise Conflict(f"merge {record.id} was undone before")


async def _leads(session: AsyncSession, contact: Contact) -> Sequence[Lead]:
    query = select(Lead.id).where(Lead.contact_id == contact.id)
    return await _lock_leads(session, (await session.exec(query)).all())


async def _lock_leads(session: AsyncSession, ids: Collection[uuid.UUID]) -> Sequence[Lead]:
    query = select(Lead).where(col(Lead.id).in_(ids)).order_by(col(Lead.id))
    locked = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return (await session.exec(locked)).all()


async def _points(session: AsyncSession, contact: Contact) -> list[uuid.UUID]:
    query = select(ContactPoint.id).where(ContactPoint.contact_id == contact.id)
    return list((await session.exec(query)).all())


async def _ids(session: AsyncSession, table: Any, lead_ids: Sequence[uuid.UUID]) -> list[Any]:
    """Return the ids of a table's rows of these leads, as JSON can hold them."""
    found = (await session.exec(select(table.id).where(table.lead_id.in_(lead_ids)))).all()
    return [key if isinstance(key, int) else str(key) for key in found]


async def _movable_tasks(session: AsyncSession, lead_id: uuid.UUID, to: uuid.UUID) -> list[Any]:
    """Return the tasks that do not stand open at the other lead as well."""
    theirs = select(Task.kind).where(Task.lead_id == to, col(Task.done_at).is_(None))
    doubled = (await session.exec(theirs)).all()
    query = select(Task).where(Task.lead_id == lead_id)
    tasks = (await session.exec(query)).all()
    return [str(it.id) for it in tasks if it.done_at is not None or it.kind not in doubled]


def _keys(table: Any, ids: Sequence[Any]) -> list[Any]:
    return [key if isinstance(key, int) else uuid.UUID(key) for key in ids]


def _touched(record: MergeRecord) -> list[uuid.UUID]:
    """Return the leads whose values a merge changed."""
    absorbed = record.moved.get("absorbed", [])
    return sorted({uuid.UUID(entry[key]) for entry in absorbed for key in ("lead", "into")})


async def _give(
    session: AsyncSession,
    table: Any,
    ids: Sequence[Any],
    column: Any,
    to: uuid.UUID,
    *,
    only_from: uuid.UUID | None = None,
) -> None:
    """Have rows point to another parent; `only_from`: those that still point to that one."""
    if not ids:
        return
    change = update(table).where(table.id.in_(ids)).values({column.key: to})
    if only_from is not None:
        change = change.where(column == only_from)
    await session.exec(change.execution_options(synchronize_session="fetch"))
