"""Gives a contact the name that they say, while they say it; what was known before is not lost.

Who somebody is, is decided at the end (`identity`), by what was known of them before: until then a
name said here takes the place of none, or of one that was said here and corrected.
"""

from collections.abc import Mapping

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Contact, Conversation, FieldValue, Lead, Source
from ivr.leads.people.person import sharers, since_of
from ivr.leads.profile import Profile


async def while_talking(
    session: AsyncSession,
    lead: Lead,
    profile: Profile,
    known: Mapping[str, FieldValue],
    before: str | None,
) -> bool:
    """Name the contact of a locked lead, who was called `before`; return whether that is news."""
    said = _said(profile, known)
    if said is None or said.value == before:
        return False
    conversation = await session.get_one(Conversation, said.conversation_id)
    if before is None:
        others = await sharers(session, conversation) - {lead.contact_id}
        may = not others  # else it decides what may be shown to whom
    else:
        may = await _is_corrected(session, lead, said, before)
    if not may:
        return False
    # Everybody locks contacts before leads; who has this one now names it at the end.
    query = (
        select(Contact)
        .where(Contact.id == lead.contact_id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    contact = (await session.exec(query.execution_options(populate_existing=True))).one_or_none()
    if contact is None or contact.name != before:
        return False
    contact.name = said.value
    return True


async def at_the_end(
    session: AsyncSession, lead: Lead, profile: Profile, known: Mapping[str, FieldValue]
) -> None:
    """Name the contact, who is locked, unless we know more of the name already."""
    said = _said(profile, known)
    if said is None:
        return
    contact = await session.get_one(Contact, lead.contact_id)
    before = contact.name
    if before and _is_part(said.value, before):
        if not await _is_corrected(session, lead, said, before):
            return
    contact.name = said.value


def _said(profile: Profile, known: Mapping[str, FieldValue]) -> FieldValue | None:
    names = (known.get(item.key) for item in profile.fields if item.type == "person_name")
    return next((row for row in names if row is not None and row.value), None)


def _is_part(name: str | None, whole: str) -> bool:
    """Whether all words of a name stand in a longer one."""
    return set((name or "").casefold().split()) < set(whole.casefold().split())


async def _is_corrected(session: AsyncSession, lead: Lead, said: FieldValue, before: str) -> bool:
    """Whether nobody but they said the name before, in this episode."""
    query = (
        select(FieldValue)
        .join(Lead, col(Lead.id) == col(FieldValue.lead_id))
        .where(
            Lead.contact_id == lead.contact_id,
            FieldValue.name == said.name,
            FieldValue.value == before,
        )
    )
    conversation = await session.get_one(Conversation, said.conversation_id)
    since = since_of(conversation)
    found = (await session.exec(query)).all()
    return bool(found) and all(
        row.conversation_id == said.conversation_id
        and row.source != Source.STAFF
        and (since is None or row.created_at > since)
        for row in found
    )
