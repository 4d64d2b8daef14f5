"""Keeps the words under which a lead is found, and tells which leads somebody may look for.

The words are those of its contact's name and addresses, and of its own fields of these kinds.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, literal, union_all
from sqlalchemy import select as sa_select
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import lead_words
from ivr.db.tables import Contact, ContactPoint, Conversation, FieldValue, Lead, LeadWord
from ivr.errors import Unprocessable
from ivr.leads.profile import Profile
from ivr.leads.profile.shape import PHONES

FEW = 500  # hits that are read at once and put in order afterwards
MOST_SPELLINGS = 6  # of a word's beginning, that are looked through side by side
_WORD, _NAME, _EMAIL = "word", "name", "email"
_MAKE = {_NAME: lead_words.of_name, "phone": lead_words.of_phone, _EMAIL: lead_words.of_email}


@dataclass(frozen=True, slots=True)
class Hits:
    """What a text leads to: `ids` when these are all, else words that a lead must have.

    `spellings` are the words that begin like the first of `beginnings`, unless there are many.
    """

    ids: frozenset[uuid.UUID] | None
    beginnings: Sequence[str] = ()
    spellings: Sequence[str] = ()


async def keep(
    session: AsyncSession,
    lead: Lead,
    profile: Profile | None = None,
    held: Mapping[str, FieldValue] | None = None,
) -> str | None:
    """Have a lead found by what is known now, and return its contact's name.

    `held`: the values of its fields that count; with none it is found by its contact alone. Nobody
    else changes the lead meanwhile.
    """
    stored, wanted, name = await _stored(session, lead)
    if profile is not None and held:
        wanted |= _of_values(profile, held)
    if gone := stored - wanted:
        these = (col(LeadWord.lead_id) == lead.id, col(LeadWord.word).in_(gone))
        await session.exec(delete(LeadWord).where(*these))
    await _add(session, lead, wanted - stored)
    return name


async def _add(session: AsyncSession, lead: Lead, words: Iterable[str]) -> None:
    key = {"tenant_id": lead.tenant_id, "created_at": lead.created_at, "lead_id": lead.id}
    if rows := [{**key, "word": word} for word in sorted(words)]:
        await session.exec(insert(LeadWord), params=rows)


async def keep_contact(session: AsyncSession, contact_id: uuid.UUID) -> None:
    """Have every lead of a contact found by its name and addresses as well; nothing is taken away.

    The contact is locked. What else a lead is found by, its own fields say.
    """
    query = select(Lead).where(Lead.contact_id == contact_id).order_by(col(Lead.id))
    for lead in (await session.exec(query)).all():
        stored, wanted, _ = await _stored(session, lead)
        await _add(session, lead, wanted - stored)


async def forget(session: AsyncSession, lead_id: uuid.UUID) -> None:
    """Have a lead found by nothing any more."""
    await session.exec(delete(LeadWord).where(col(LeadWord.lead_id) == lead_id))


async def _stored(session: AsyncSession, lead: Lead) -> tuple[set[str], set[str], str | None]:
    """Return the words that the lead is found by, those of its contact, and the contact's name."""
    query: Any = union_all(
        sa_select(literal(_WORD), col(LeadWord.word)).where(col(LeadWord.lead_id) == lead.id),
        sa_select(literal(_NAME), col(Contact.name)).where(col(Contact.id) == lead.contact_id),
        sa_select(col(ContactPoint.kind), col(ContactPoint.value)).where(
            col(ContactPoint.contact_id) == lead.contact_id
        ),
    )
    rows = (await session.exec(query)).all()
    known = [(kind, text) for kind, text in rows if kind in _MAKE and text]
    name = next((text for kind, text in rows if kind == _NAME), None)
    return {text for kind, text in rows if kind == _WORD}, _words(known), name


def _of_values(profile: Profile, held: Mapping[str, FieldValue]) -> set[str]:
    kinds = {"person_name": _NAME, _EMAIL: _EMAIL, **dict.fromkeys(PHONES, "phone")}
    return _words(
        (kinds[item.type], held[item.key].value or "")
        for item in profile.fields
        if item.type in kinds and item.key in held
    )


def _words(known: Iterable[tuple[str, str]]) -> set[str]:
    return {word for kind, text in known for word in _MAKE[kind](text)}


async def look_up(session: AsyncSession, tenant_id: uuid.UUID, text: str) -> Hits:
    """Return what a text leads to: words of a name, a number, an e-mail address, an id.

    Raises `Unprocessable` for a text by which nobody can be found.
    """
    with suppress(ValueError):
        return Hits(await _by_id(session, tenant_id, uuid.UUID(text.strip())))
    beginnings = lead_words.asked(text)
    if not beginnings:
        raise Unprocessable(
            f"q: expected a name, an e-mail address, an id, or {lead_words.LEAST_DIGITS} digits"
        )
    found = {one: await _hits(session, tenant_id, one) for one in beginnings}
    whole = [ids for ids in found.values() if ids is not None]
    if whole:
        many = [one for one, ids in found.items() if ids is None]
        return Hits(frozenset.intersection(*whole), many)
    return Hits(None, beginnings, await _spellings(session, tenant_id, beginnings[0]))


async def _by_id(
    session: AsyncSession, tenant_id: uuid.UUID, name: uuid.UUID
) -> frozenset[uuid.UUID]:
    """Return what may be the id of a lead, and the lead whose conversation has it."""
    query = select(Conversation.lead_id).where(
        Conversation.id == name, Conversation.tenant_id == tenant_id
    )
    return frozenset({name, *(await session.exec(query)).all()})


async def _hits(
    session: AsyncSession, tenant_id: uuid.UUID, beginning: str
) -> frozenset[uuid.UUID] | None:
    """Return the leads that have a word that begins so, None when there are many."""
    query = select(LeadWord.lead_id).where(
        LeadWord.tenant_id == tenant_id, *begins(col(LeadWord.word), beginning)
    )
    rows = (await session.exec(query.limit(FEW + 1))).all()
    return frozenset(rows) if len(rows) <= FEW else None


def begins(word: Any, beginning: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return the two conditions that a word with this beginning fulfils."""
    return (word >= beginning, word < lead_words.after_all(beginning))


async def _spellings(session: AsyncSession, tenant_id: uuid.UUID, beginning: str) -> Sequence[str]:
    """Return the words that begin so, found by leaps; none where there are many."""
    word: Any = col(LeadWord.word)
    at_least, before = begins(word, beginning)
    # For min(), or with two lower limits, SQLite would read every hit.
    ours = sa_select(word).where(col(LeadWord.tenant_id) == tenant_id, before)
    first = ours.where(at_least).order_by(word).limit(1).scalar_subquery()
    steps = sa_select(first.label(_WORD)).cte("steps", recursive=True)
    onward = ours.where(word > steps.c.word).order_by(word).limit(1).scalar_subquery()
    steps = steps.union_all(sa_select(onward.label(_WORD)).where(steps.c.word.is_not(None)))
    query: Any = sa_select(steps.c.word).where(steps.c.word.is_not(None)).limit(MOST_SPELLINGS + 1)
    found = (await session.exec(query)).scalars().all()
    return found if len(found) <= MOST_SPELLINGS else ()
