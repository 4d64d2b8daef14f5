"""Finds all that belongs to one person of one business, by id: what forgetting them is about."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import or_
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
    ReviewItem,
    Submission,
    Task,
)
from ivr.errors import Conflict, NotFound
from ivr.leads import intake
from ivr.leads.people import merging

# What hangs on a lead and on the conversation that it comes from, which may go apart: of a number
# that several people use there is one conversation, which is with one after the other.
_ON_BOTH: Sequence[Any] = (FieldValue, Submission, Task, Escalation, ReviewItem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What one person has here; `contacts` are all those that were found to be this one.

    `heirs`: of their conversations those that another's lead needs, and that lead. `visited`:
    conversations of others in which they spoke before.
    """

    tenant_id: uuid.UUID
    contacts: Collection[uuid.UUID]
    leads: Collection[uuid.UUID]
    conversations: Collection[uuid.UUID]
    heirs: Mapping[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    visited: Collection[uuid.UUID] = ()


async def find(session: AsyncSession, tenant_id: uuid.UUID, name: str) -> uuid.UUID:
    """Return the contact whose lead has this id, or whose phone number or e-mail address this is.

    Raises `NotFound`, and `Conflict` where a number leads to several people.
    """
    found = await _named(session, tenant_id, name.strip())
    if not found:
        raise NotFound("nobody here has this lead id, phone number (+1...) or e-mail address")
    if len(found) > 1:
        raise Conflict("several people use this number: name one of them by a lead's id")
    return found.pop()


async def _named(session: AsyncSession, tenant_id: uuid.UUID, name: str) -> set[uuid.UUID]:
    try:
        lead_id = uuid.UUID(name)
    except ValueError:
        return await _at_address(session, tenant_id, name)
    query = select(Lead.contact_id).where(Lead.id == lead_id, Lead.tenant_id == tenant_id)
    return set((await session.exec(query)).all())


async def _at_address(session: AsyncSession, tenant_id: uuid.UUID, name: str) -> set[uuid.UUID]:
    number = intake.caller_number(name)
    kind, value = ("phone", number) if number else ("email", name.casefold())
    points = select(ContactPoint.contact_id).where(
        ContactPoint.tenant_id == tenant_id, ContactPoint.kind == kind, ContactPoint.value == value
    )
    found = set((await session.exec(points)).all())
    if number:
        came_from_there = (
            select(Lead.contact_id)
            .join(Conversation, col(Conversation.lead_id) == col(Lead.id))
            .where(Conversation.tenant_id == tenant_id, Conversation.from_number == number)
        )
        found |= set((await session.exec(came_from_there)).all())
    return {await merging.kept_now(session, contact_id) for contact_id in found}


async def of_contact(
    session: AsyncSession, tenant_id: uuid.UUID, contact_id: uuid.UUID
) -> Belongings:
    """Return what a person has, locked: nobody adds to it until the transaction is over.

    Raises `NotFound` when the contact is not there (any more).
    """
    contacts = await _contacts(session, tenant_id, contact_id)
    await merging.lock_contacts(session, contacts)
    contacts = await _contacts(session, tenant_id, contact_id)  # merged while we waited
    await merging.lock_conversations(session, contacts)
    locked = select(Lead.id).where(col(Lead.contact_id).in_(contacts)).order_by(col(Lead.id))
    leads = (await session.exec(locked.with_for_update(key_share=True))).all()
    conversations = await _ids(
        session, select(Conversation.id).where(col(Conversation.lead_id).in_(leads))
    )
    heirs, visited = await _shared(session, leads, conversations)
    return Belongings(
        tenant_id=tenant_id,
        contacts=contacts,
        leads=leads,
        conversations=conversations,
        heirs=heirs,
        visited=visited,
    )


async def _contacts(
    session: AsyncSession, tenant_id: uuid.UUID, contact_id: uuid.UUID
) -> Collection[uuid.UUID]:
    """Return the contact that has everything by now, and all that became part of it."""
    kept = await merging.kept_now(session, contact_id)
    query = select(Contact.id).where(Contact.id == kept, Contact.tenant_id == tenant_id)
    found = await _ids(session, query)
    if not found:
        raise NotFound("nobody here has this id")
    new = found
    while new:
        gone = select(MergeRecord.gone_id).where(
            col(MergeRecord.kept_id).in_(new), col(MergeRecord.split_at).is_(None)
        )
        new = await _ids(session, gone) - found
        found |= new
    return found


async def _shared(
    session: AsyncSession, leads: Collection[uuid.UUID], conversations: Collection[uuid.UUID]
) -> tuple[dict[uuid.UUID, uuid.UUID], set[uuid.UUID]]:
    """Return which of these conversations others need, and in which of others they spoke."""
    heirs: dict[uuid.UUID, uuid.UUID] = {}
    visited: set[uuid.UUID] = set()
    for table in _ON_BOTH:
        conversation_id, lead_id = col(table.conversation_id), col(table.lead_id)
        query = (
            select(conversation_id, lead_id)
            .where(
                or_(lead_id.in_(leads), conversation_id.in_(conversations)),
                conversation_id.is_not(None),
            )
            .distinct()
        )
        for conversation, lead in (await session.exec(query)).all():
            if conversation not in conversations:
                visited.add(conversation)
            elif lead not in leads:
                heirs.setdefault(conversation, lead)
    return heirs, visited


async def numbers(session: AsyncSession, whole: Belongings) -> Collection[str]:
    """Return their phone numbers (E.164) that lead to nobody else.

    It reads through all conversations of the business: not in a transaction that writes.
    """
    points = select(ContactPoint.value).where(
        col(ContactPoint.contact_id).in_(whole.contacts), ContactPoint.kind == "phone"
    )
    shown = select(Conversation.from_number).where(col(Conversation.id).in_(whole.conversations))
    theirs = {*(await session.exec(points)).all(), *(await session.exec(shown)).all()} - {None}
    others_points = select(ContactPoint.value).where(
        ContactPoint.tenant_id == whole.tenant_id,
        ContactPoint.kind == "phone",
        col(ContactPoint.value).in_(theirs),
        col(ContactPoint.contact_id).not_in(whole.contacts),
    )
    others_talks = select(Conversation.from_number).where(
        Conversation.tenant_id == whole.tenant_id,
        col(Conversation.from_number).in_(theirs),
        col(Conversation.lead_id).not_in(whole.leads),
    )
    others = {*(await session.exec(others_points)).all(), *(await session.exec(others_talks)).all()}
    inherited = select(Conversation.from_number).where(col(Conversation.id).in_(whole.heirs))
    others |= set((await session.exec(inherited)).all())
    return sorted(str(number) for number in theirs - others)


async def _ids(session: AsyncSession, query: Any) -> set[uuid.UUID]:
    return set((await session.exec(query)).all())
