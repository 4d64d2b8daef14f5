"""Who somebody is: the one rule by which what comes through any door becomes one contact, or not.

An address that a network shows (caller ID, the sender of an SMS or a WhatsApp message, the id of a
chat session) identifies a contact. A phone call and WhatsApp share the kind "phone".

An address that is only typed or said (the phone or e-mail of a web form, "my number is ...") joins
its contact to the one who has it when nothing contradicts: one side has no name yet, or the names
fit. "John" fits "John Doe". Names that clash are two people who share the address: the later
conversation keeps its own contact. So it does when nobody can tell (John and Jon, an Arabic and a
Latin spelling). Both times a review item says so, and a person may merge them after all.

Who says a clearly different name on an address that we know as somebody else's, or "this is not
Ahmed", leaves that contact: a contact and a lead of their own get what was said in this
conversation, the old lead keeps the rest. The address stays with the old contact, as a shared one,
unless nobody else ever used it, or they say that it is theirs now ("Ahmed no longer has this
number"). Should the same name come again from that address, it is the same person again.

A merge gives the older contact everything and can be undone (`merging.split`); two that were split
are never merged again by themselves.

What a contact may be told is narrower than what the lead knows: `shown` says what. Typing
somebody's e-mail makes one lead of two, it shows nothing of the other's words.

This file decides; `merging` moves the rows, `departure` lets somebody leave.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.inserts import insert_into
from ivr.db.tables import (
    Channel,
    Contact,
    ContactPoint,
    Conversation,
    FieldValue,
    Lead,
    ReviewItem,
    ReviewKind,
)
from ivr.leads import values
from ivr.leads.people import departure, merging
from ivr.leads.people.addresses import CHAT_ID, TYPED, Address, shown_address
from ivr.leads.people.departure import begin_anew
from ivr.leads.people.merging import split
from ivr.leads.people.person import Person, names_of, person_of
from ivr.leads.people.same_name import Verdict, compare_with_all
from ivr.leads.profile import Profile

__all__ = [
    "CHAT_ID",
    "TYPED",
    "Address",
    "among",
    "begin_anew",
    "is_anothers",
    "known",
    "not_this_person",
    "recognise",
    "settle",
    "settle_at_the_end",
    "shown",
    "split",
    "stranger",
]

ONE_PERSON, TWO_PEOPLE = "one person", "two people"  # the resolutions of a review item
_MOST_STEPS = 8  # of one conversation at one time; each of them makes the next ones fewer

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What is to be done about one conversation: leave its contact, join another, or ask."""

    contacts: frozenset[uuid.UUID]
    verdict: Verdict
    theirs: str | None
    address: Address | None = None
    other: uuid.UUID | None = None


async def recognise(
    session: AsyncSession, tenant_id: uuid.UUID, address: Address | None
) -> Contact | None:
    """Return, locked, whom a network's address identifies; None for nobody we know."""
    if address is None:
        return None
    while (owner := await _owner(session, tenant_id, address)) is not None:
        locked = await merging.lock_contacts(session, [owner.contact_id])
        owner = await _owner(session, tenant_id, address)
        # Else merged while we waited, or forgotten.
        if owner is not None and [owner.contact_id] == [contact.id for contact in locked]:
            owner.verified = True
            return locked[0]
    return None


async def stranger(
    session: AsyncSession, tenant_id: uuid.UUID, address: Address | None, *, now: datetime
) -> Contact:
    """Add a contact, reached by what the network showed."""
    contact = Contact(tenant_id=tenant_id, created_at=now)
    session.add(contact)
    await session.flush()
    if address is not None:
        session.add(_point(contact, address, verified=True, now=now))
    return contact


async def settle(
    session: AsyncSession, conversation: Conversation, profile: Profile, *, now: datetime
) -> Conversation:
    """Bring contact and lead of a conversation in line with who it turned out to be with.

    Cheap when there is nothing to do; safe to do twice. Locks contacts: to be called before the
    transaction locks a conversation or a lead. Returns the conversation as it is then.
    """
    person = await person_of(session, conversation.id, profile)
    locked: frozenset[uuid.UUID] = frozenset()
    for _ in range(_MOST_STEPS):
        step = await _next_step(session, person, now=now)
        if step is None:
            break
        if not step.contacts <= locked:
            # All at once: who has done a step and then wants another contact may wait for ever.
            locked |= step.contacts | await _within_reach(session, person)
            await merging.lock_contacts(session, locked)
        elif not await _take(session, person, step, profile, now=now):
            break
        person = await person_of(session, conversation.id, profile)  # others may have been at it
    return person.conversation


async def settle_at_the_end(
    session: AsyncSession, conversation: Conversation, profile: Profile, *, now: datetime
) -> None:
    """Settle who it was with, for the last time in this episode; the contact stays locked.

    What a call saved for the lead that it had before, when its leads became one, comes along.
    """
    conversation = await settle(session, conversation, profile, now=now)
    lead = await session.get_one(Lead, conversation.lead_id)
    await merging.lock_contacts(session, [lead.contact_id])
    await session.refresh(conversation)
    await departure.move_values(session, conversation)


async def not_this_person(
    session: AsyncSession,
    conversation: Conversation,
    profile: Profile,
    *,
    recycled: bool = False,
    now: datetime,
) -> Conversation:
    """Have a conversation leave its contact: "this is not Ahmed"; again does nothing.

    `recycled`: they said that the address is theirs now. Returns the conversation as it is then.
    """
    person = await person_of(session, conversation.id, profile)
    locked: frozenset[uuid.UUID] = frozenset()
    while not (concerned := await departure.concerned(session, person)) <= locked:
        locked |= concerned
        await merging.lock_contacts(session, locked)
        person = await person_of(session, conversation.id, profile)  # others may have been at it
    if person.is_known:
        await departure.leave(session, person, profile, takes_address=recycled, now=now)
        person = await person_of(session, conversation.id, profile)
    return person.conversation


async def shown(session: AsyncSession, conversation: Conversation) -> dict[str, FieldValue]:
    """Return the values that may be shown to whoever this conversation is with, by field.

    They said them here, or from the same address, or gave this address as theirs. Where several
    people share the address, only what was said here, until it is known which of them it is.
    """
    fresh = await session.get_one(Conversation, conversation.id)
    return await among(session, fresh, await values.history(session, fresh.lead_id))


async def among(
    session: AsyncSession, conversation: Conversation, rows: Sequence[FieldValue]
) -> dict[str, FieldValue]:
    """Return `shown` of the values of the conversation's lead, for who has them at hand."""
    others = {row.conversation_id for row in rows} - {conversation.id}
    if not others:
        return values.choose(rows)
    visible = {conversation.id, *await _open_to(session, conversation, rows, others)}
    return values.choose(row for row in rows if row.conversation_id in visible)


async def known(session: AsyncSession, conversation: Conversation) -> dict[str, str]:
    """Return what need not be asked in this conversation, and may be said in it."""
    best = await shown(session, conversation)
    return values.told(best)


def is_anothers(conversation: Conversation, said_at: datetime) -> bool:
    """Whether what was said then was said by who had the address before."""
    since = conversation.state.get(departure.OURS_SINCE)
    return since is not None and said_at <= datetime.fromisoformat(since)


async def _open_to(
    session: AsyncSession,
    conversation: Conversation,
    rows: Iterable[FieldValue],
    others: set[uuid.UUID],
) -> set[uuid.UUID]:
    address = shown_address(conversation)
    if address is None or await departure.is_shared(session, conversation, rows):
        return set()
    query = select(Conversation).where(col(Conversation.id).in_(others))
    same = {it.id for it in (await session.exec(query)).all() if _claims(it, address)}
    if address.kind != "phone":  # the name of a chat is what the visitor likes it to be
        return same
    return same | {row.conversation_id for row in rows if row.value == address.value}


def _claims(conversation: Conversation, address: Address) -> bool:
    """Whether a conversation came from this address, or its form gives it as the person's own."""
    typed = conversation.state.get(TYPED, {})
    return shown_address(conversation) == address or typed.get(address.kind) == address.value


async def _within_reach(session: AsyncSession, person: Person) -> frozenset[uuid.UUID]:
    """Return the contacts that any step of this conversation may touch, as far as can be seen."""
    found = set(await departure.concerned(session, person))
    for address in person.typed:
        owner = await _owner(session, person.contact.tenant_id, address)
        if owner is not None:
            records = await merging.records_of(session, owner.contact_id)
            found |= {owner.contact_id, *(record.gone_id for record in records)}
    return frozenset(found)


async def _next_step(session: AsyncSession, person: Person, *, now: datetime) -> _Step | None:
    verdict = compare_with_all(person.name, person.names_elsewhere)
    elsewhere = next(iter(person.names_elsewhere), None)
    if verdict is not Verdict.FIT and await _is_said_to_be_one(session, person):
        verdict = Verdict.FIT
    if verdict is Verdict.CLASH:
        contacts = await departure.concerned(session, person)
        return _Step(contacts=contacts, verdict=verdict, theirs=elsewhere)
    if verdict is Verdict.UNCLEAR and not await _is_asked(session, person, None):
        return _Step(contacts=frozenset([person.contact.id]), verdict=verdict, theirs=elsewhere)
    for address in person.typed:
        if step := await _step_for(session, person, address, now=now):
            return step
    return None


async def _step_for(
    session: AsyncSession, person: Person, address: Address, *, now: datetime
) -> _Step | None:
    """Return what follows from an address that was typed or said."""
    owner = await _owner(session, person.contact.tenant_id, address)
    if owner is None and not await _claim(session, person.contact, address, now=now):
        owner = await _owner(session, person.contact.tenant_id, address)
    if owner is None or owner.contact_id == person.contact.id:
        return None
    if await merging.known_apart(session, owner.contact_id, person.contact.id):
        return None
    names = await names_of(session, owner.contact_id, person.name_fields)
    verdict = compare_with_all(person.any_name, names)
    if verdict is not Verdict.FIT and await _is_asked(session, person, address):
        return None
    return _Step(
        contacts=frozenset([person.contact.id, owner.contact_id]),
        verdict=verdict,
        theirs=next(iter(names), None),
        address=address,
        other=owner.contact_id,
    )


async def _take(
    session: AsyncSession, person: Person, step: _Step, profile: Profile, *, now: datetime
) -> bool:
    """Do it; False when it must wait for another time."""
    if step.other is None and step.verdict is Verdict.CLASH:
        await departure.leave(session, person, profile, takes_address=False, now=now)
        return True
    if step.verdict is not Verdict.FIT:
        _ask(session, person, step, now=now)
        return True
    assert step.other is not None and step.address is not None, "only two can be one"
    other = await session.get_one(Contact, step.other)
    reason = f"the same {step.address.kind}"
    record = await merging.merge(
        session, person.contact, other, reason=reason, now=now, since=_waited_since(person)
    )
    if record is None:
        return False
    await _reassess_open(session, record.kept_id, profile, now=now)
    log.info(
        "contacts merged", merge_id=str(record.id), conversation_id=str(person.conversation.id)
    )
    return True


def _waited_since(person: Person) -> datetime | None:
    """Return when what was handed in whole reached us: its lead may have been sent meanwhile.

    In every other conversation more may be said, and that is news.
    """
    conversation = person.conversation
    return conversation.started_at if conversation.channel == Channel.API else None


async def _reassess_open(
    session: AsyncSession, contact_id: uuid.UUID, profile: Profile, *, now: datetime
) -> None:
    query = select(Lead).where(
        Lead.contact_id == contact_id, Lead.profile == profile.key, col(Lead.closed_at).is_(None)
    )
    for lead in (await session.exec(query)).all():
        await merging.reassess(session, lead, profile, now=now)


def _ask(session: AsyncSession, person: Person, step: _Step, *, now: datetime) -> None:
    """Have a person decide whether two people are one."""
    detail = {
        "kind": step.address.kind if step.address else None,
        "contact": str(person.contact.id),
        "other": str(step.other) if step.other else None,
        "names": [person.name, step.theirs],
        "verdict": step.verdict.value,
    }
    session.add(
        ReviewItem(
            tenant_id=person.contact.tenant_id,
            kind=ReviewKind.MERGE,
            lead_id=person.conversation.lead_id,
            conversation_id=person.conversation.id,
            detail=detail,
            created_at=now,
        )
    )


async def _is_said_to_be_one(session: AsyncSession, person: Person) -> bool:
    """Whether somebody of the business has said so, whatever the names say."""
    query = select(ReviewItem.id).where(
        ReviewItem.conversation_id == person.conversation.id,
        ReviewItem.kind == ReviewKind.MERGE,
        ReviewItem.resolution == ONE_PERSON,
    )
    return (await session.exec(query.limit(1))).first() is not None


async def _is_asked(session: AsyncSession, person: Person, address: Address | None) -> bool:
    """Whether a person was asked about this conversation and this kind of address."""
    query = select(ReviewItem).where(
        ReviewItem.conversation_id == person.conversation.id, ReviewItem.kind == ReviewKind.MERGE
    )
    items = (await session.exec(query)).all()
    return any(item.detail["kind"] == (address.kind if address else None) for item in items)


async def _owner(
    session: AsyncSession, tenant_id: uuid.UUID, address: Address
) -> ContactPoint | None:
    query = select(ContactPoint).where(
        ContactPoint.tenant_id == tenant_id,
        ContactPoint.kind == address.kind,
        ContactPoint.value == address.value,
    )
    fresh = query.execution_options(populate_existing=True)
    return (await session.exec(fresh)).one_or_none()


async def _claim(
    session: AsyncSession, contact: Contact, address: Address, *, now: datetime
) -> bool:
    """Give a contact an address that nobody has; False when somebody else was first just now."""
    point = _point(contact, address, verified=False, now=now)
    insert = insert_into(session, ContactPoint).values(**point.model_dump())
    claimed = insert.on_conflict_do_nothing().returning(col(ContactPoint.id))
    return (await session.exec(claimed)).one_or_none() is not None


def _point(contact: Contact, address: Address, *, verified: bool, now: datetime) -> ContactPoint:
    return ContactPoint(
        tenant_id=contact.tenant_id,
        contact_id=contact.id,
        kind=address.kind,
        value=address.value,
        verified=verified,
        created_at=now,
    )
