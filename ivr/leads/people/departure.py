"""Somebody leaves a contact whom we took them for, with what they said in this conversation.

When that may happen is `identity`'s decision. Who calls this holds the contacts locked that
`concerned` names.
"""

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Contact,
    ContactPoint,
    Conversation,
    Escalation,
    FieldValue,
    Lead,
    MergeRecord,
    Task,
    UsageLog,
)
from ivr.errors import Conflict
from ivr.leads.people import merging, open_leads
from ivr.leads.people.addresses import shown_address
from ivr.leads.people.person import Person, from_there, names_of, sharers, since_of
from ivr.leads.people.same_name import Verdict, compare, compare_with_all
from ivr.leads.profile import Profile
from ivr.leads.progress import stages

# In a conversation's state: what was said up to then was said by who had the address before.
OURS_SINCE = "ours_since"

log = structlog.get_logger(__name__)


def begin_anew(conversation: Conversation, *, since: datetime) -> None:
    """Note that what was said up to then is none of this person's matter."""
    conversation.state = {**conversation.state, OURS_SINCE: since.isoformat()}


async def concerned(session: AsyncSession, person: Person) -> frozenset[uuid.UUID]:
    """Return the contacts that a departure may touch: all who used the person's address."""
    records = await merging.records_of(session, person.contact.id)
    others = await sharers(session, person.conversation)
    return frozenset({person.contact.id, *others, *(record.gone_id for record in records)})


async def is_shared(
    session: AsyncSession, conversation: Conversation, rows: Iterable[FieldValue]
) -> bool:
    """Whether several people use the address, and this conversation has not said which it is."""
    if len(await sharers(session, conversation)) < 2:
        return False
    query = select(Contact.name).join(Lead, col(Lead.contact_id) == col(Contact.id))
    name = (await session.exec(query.where(Lead.id == conversation.lead_id))).one()
    said = [row.value for row in rows if row.conversation_id == conversation.id and row.value]
    return not name or not any(compare(value, name) is Verdict.FIT for value in said)


async def leave(
    session: AsyncSession, person: Person, profile: Profile, *, takes_address: bool, now: datetime
) -> None:
    """Give the person a contact and a lead of their own, or those that they had before."""
    if await _undo_merge(session, person, profile, now=now):
        return
    await merging.lock_conversations(session, [person.contact.id])
    contact = await _as_before(session, person)
    if contact is None:
        contact = Contact(tenant_id=person.contact.tenant_id, name=person.name, created_at=now)
        session.add(contact)
        await session.flush()
    if not person.names_elsewhere and person.contact.name == person.name:
        person.contact.name = None  # whom we leave nobody has named yet
    reason = "not the person known at this address"
    lead = await open_leads.take_up(
        session, contact, profile, source=person.conversation.channel, reason=reason, now=now
    )
    await _take_along(session, person, lead)
    if takes_address or not await _uses_address(session, person):
        await _take_address(session, person, contact)
    await _reassess(session, {person.lead.id, lead.id}, profile, now=now)
    log.info("not the same person", conversation_id=str(person.conversation.id))


async def _undo_merge(
    session: AsyncSession, person: Person, profile: Profile, *, now: datetime
) -> bool:
    """Undo the merge that made one contact of this person and the other, if it was one."""
    conversation = person.conversation
    for record in await merging.records_of(session, person.contact.id):
        if not _parts(record, conversation.id, person.name_from):
            continue
        try:
            await merging.take_back(session, record, now=now)
        except Conflict:
            continue
        await session.refresh(conversation)
        leads = {uuid.UUID(it[key]) for it in record.moved["absorbed"] for key in ("lead", "into")}
        await move_values(session, conversation)
        await _move_usage(session, conversation)
        await _reassess(session, leads, profile, now=now)
        return True
    return False


def _parts(record: MergeRecord, conversation_id: uuid.UUID, other: uuid.UUID | None) -> bool:
    """Whether undoing a merge parts these two conversations."""
    came = record.moved["conversations"]
    return (str(conversation_id) in came) != (str(other) in came)


async def _as_before(session: AsyncSession, person: Person) -> Contact | None:
    """Return the contact who had this name when they came from the same address before."""
    if not person.name:
        return None
    for contact_id in sorted(await sharers(session, person.conversation) - {person.contact.id}):
        names = await names_of(session, contact_id, person.name_fields)
        if names and compare_with_all(person.name, names) is Verdict.FIT:
            return await session.get_one(Contact, contact_id)
    return None


async def _take_along(session: AsyncSession, person: Person, lead: Lead) -> None:
    """Move what was said and promised in this conversation to the person's own lead."""
    conversation = person.conversation
    conversation.lead_id = lead.id
    if person.since is not None:
        begin_anew(conversation, since=person.since)
    session.add(conversation)
    await session.flush()
    await move_values(session, conversation)
    await _move_usage(session, conversation)
    for table, is_open in ((Task, Task.done_at), (Escalation, Escalation.resolved_at)):
        await _move(session, table, conversation.id, lead.id, col(is_open).is_(None))


async def move_values(session: AsyncSession, conversation: Conversation) -> None:
    """Have what was said in this episode count for the conversation's lead."""
    since = since_of(conversation)
    said = [col(FieldValue.created_at) > since] if since else []
    await _move(session, FieldValue, conversation.id, conversation.lead_id, *said)


async def _move_usage(session: AsyncSession, conversation: Conversation) -> None:
    """Have what this episode cost stand with the conversation's lead."""
    since = since_of(conversation)
    used = [col(UsageLog.at) > since] if since else []
    await _move(session, UsageLog, conversation.id, conversation.lead_id, *used)


async def _move(
    session: AsyncSession, table: Any, conversation_id: uuid.UUID, lead_id: uuid.UUID, *which: Any
) -> None:
    these = (table.conversation_id == conversation_id, table.lead_id != lead_id, *which)
    moved = update(table).where(*these).values(lead_id=lead_id)
    await session.exec(moved.execution_options(synchronize_session="fetch"))


async def _uses_address(session: AsyncSession, person: Person) -> bool:
    """Whether the contact that is left has itself come from the address."""
    here = person.conversation
    if person.since is not None:
        return True
    query = from_there(here).where(Lead.contact_id == person.contact.id, Conversation.id != here.id)
    return bool(set((await session.exec(query)).all()))


async def _take_address(session: AsyncSession, person: Person, contact: Contact) -> None:
    address = shown_address(person.conversation)
    if address is None:
        return
    await session.exec(
        update(ContactPoint)
        .where(
            col(ContactPoint.tenant_id) == contact.tenant_id,
            col(ContactPoint.kind) == address.kind,
            col(ContactPoint.value) == address.value,
        )
        .values(contact_id=contact.id, verified=True)
        .execution_options(synchronize_session="fetch")
    )


async def _reassess(
    session: AsyncSession, lead_ids: Iterable[uuid.UUID], profile: Profile, *, now: datetime
) -> None:
    for lead_id in sorted(lead_ids):
        lead = await stages.lock(session, lead_id)
        if lead.profile == profile.key and lead.closed_at is None:
            await merging.reassess(session, lead, profile, now=now)
