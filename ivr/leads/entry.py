"""A lead that another program hands in whole: read, written down like any other, and finished.

It takes the road of every door: contact, lead and a conversation (channel `api`), in which nobody
answers, and which is over at once. So it is read, qualified and submitted like the others.
"""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db.tables import (
    Channel,
    ConsentAction,
    Conversation,
    InboundEvent,
    Lead,
    Role,
    Source,
    Tenant,
)
from ivr.errors import Unprocessable
from ivr.leads import fields, given_fields, intake, values
from ivr.leads.fields import Accepted, Field
from ivr.leads.given_fields import Problems
from ivr.leads.people import at_once
from ivr.leads.profile import PHONES, Profile
from ivr.leads.progress import stages
from ivr.messages import consent

ENDED = "handed in"  # why its conversation is over
_SAID = "in_api"  # the item id of what the person had said
# The names that every business's programs use, with the field types that they answer, and how they
# are read where the profile asks for no such thing: they tell who it is all the same.
_COMMON: Mapping[str, tuple[str, ...]] = {
    "name": ("person_name",),
    "phone": PHONES,
    "email": ("email",),
}
_PLAIN = {
    "name": Field("name", "person_name", "name", "", options={"single": True}),
    "phone": Field("phone", "phone", "phone number", ""),
    "email": Field("email", "email", "e-mail address", ""),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What was handed in; `who`: name, phone and email, `fields` by the profile's keys."""

    who: Mapping[str, str]
    fields: Mapping[str, object]
    message: str = ""
    source: str | None = None
    consent: bool = False
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entered:
    """What was written down; `is_new`: the person had no such lead open."""

    lead: Lead
    conversation: Conversation
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Read:
    """What can be written down: values by field, with what was typed, and who it is."""

    values: Mapping[str, Accepted]
    raw: Mapping[str, object]
    who: Mapping[str, str]


def turn_names(tenant: Tenant, profile: Profile, entry: Entry, *, now: datetime) -> list[str]:
    """Return what must be said by who hands this in, to wait for others with the same person."""
    try:
        read = _read(profile, entry, today=_today(tenant, now))
    except Unprocessable:  # `enter` will say so
        return []
    return at_once.turn_names(tenant.id, _typed(read))


async def take_turn(
    session: AsyncSession, tenant: Tenant, profile: Profile, entry: Entry, *, now: datetime
) -> None:
    """Wait for those who hand the same person in at this moment, before anything else is done.

    Who waited is later than they. Raises `Unprocessable` as `enter` does.
    """
    read = _read(profile, entry, today=_today(tenant, now))
    await at_once.take_turns(session, tenant.id, _typed(read))


async def enter(
    session: AsyncSession,
    tenant: Tenant,
    profile: Profile,
    entry: Entry,
    *,
    actor: str,
    came_at: datetime,
    now: datetime,
) -> Entered:
    """Write a lead down, or add to the one that the person has open, or had at `came_at`.

    Raises `Unprocessable` with all that cannot be taken, before anything is written, and
    `IntegrityError` when the same person comes twice at once: do it all again then.
    """
    read = _read(profile, entry, today=_today(tenant, now))
    enquiry = _enquiry(entry, read, came_at=came_at, now=now)
    conversation = await intake.enter(session, tenant, profile, enquiry)
    conversation = await conversations.lock(session, conversation.id)
    lead = await stages.lock(session, conversation.lead_id)
    _note_event(session, conversation, entry, now=now)
    await stages.inbound(session, lead, profile, now=now)
    await _save(session, conversation, lead, profile, entry, read, actor=actor, now=now)
    if entry.message:
        words: dict[str, Any] = {
            "item_id": _SAID,
            "role": Role.CALLER,
            "text": entry.message,
            "said_at": now,
        }
        await conversations.write_behind(session, conversation, **words)
    if entry.consent and conversation.from_number:
        await _allow(session, conversation, conversation.from_number, now=now)
    await conversations.call_over(session, conversation.id, now=now, reason=ENDED)
    return Entered(lead, conversation, is_new=await _is_first(session, conversation))


def _today(tenant: Tenant, now: datetime) -> date:
    return now.astimezone(ZoneInfo(tenant.timezone)).date()


async def _is_first(session: AsyncSession, conversation: Conversation) -> bool:
    """Whether the lead has no other conversation; of two at once one is first, whoever merges."""
    query = select(Conversation.id).where(
        Conversation.lead_id == conversation.lead_id, Conversation.id != conversation.id
    )
    return (await session.exec(query.limit(1))).first() is None


def _read(profile: Profile, entry: Entry, *, today: date) -> _Read:
    """Return what was handed in as its fields take it; raise `Unprocessable` with the rest."""
    found, wrong = given_fields.sort(profile, entry.fields, today=today)
    problems = {f"fields.{name}": words for name, words in wrong.items()}
    known = {name: accepted for name, accepted in found.items() if accepted is not None}
    raw = dict(entry.fields)
    who: dict[str, str] = {}
    for name, kinds in _COMMON.items():
        own = next((item for item in profile.fields if item.type in kinds), None)
        if given := entry.who.get(name):
            accepted = _one(name, own or _PLAIN[name], given, problems, today=today)
            if accepted is not None:
                who[name] = accepted.value
                if own is not None and own.key not in known:
                    known[own.key], raw[own.key] = accepted, given
        if own is not None and own.key in known:  # the field's own key goes before the common name
            who[name] = known[own.key].value
    given_fields.refuse(problems)
    if not known and not who and not entry.message:
        raise Unprocessable("the lead: expected name, phone, email, fields or a message")
    return _Read(known, raw, who)


def _one(
    name: str, wanted: Field, given: str, problems: Problems, *, today: date
) -> Accepted | None:
    verdict = given_fields.check(wanted, given, today=today)
    if isinstance(verdict, Accepted):
        return verdict
    problems[name] = verdict
    return None


def _typed(read: _Read) -> tuple[str | None, str | None]:
    return read.who.get("phone"), read.who.get("email")


def _enquiry(entry: Entry, read: _Read, *, came_at: datetime, now: datetime) -> intake.Enquiry:
    return intake.Enquiry(
        channel=Channel.API,
        session_key=str(uuid.uuid4()),
        caller=read.who.get("phone"),
        called=None,
        finish_after=now,
        now=now,
        name=read.who.get("name"),
        email=read.who.get("email"),
        source=entry.source,
        came_at=came_at,
    )


def _note_event(
    session: AsyncSession, conversation: Conversation, entry: Entry, *, now: datetime
) -> None:
    """Keep what came in as it came; it needs no answer of the assistant's."""
    session.add(
        InboundEvent(
            tenant_id=conversation.tenant_id,
            provider="api",
            kind=Channel.API,
            provider_id=conversation.session_key,
            payload={"text": entry.message, "sent": dict(entry.payload)},
            received_at=now,
            conversation_id=conversation.id,
            answered_at=now,
        )
    )


async def _save(
    session: AsyncSession,
    conversation: Conversation,
    lead: Lead,
    profile: Profile,
    entry: Entry,
    read: _Read,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Add what is new of the values, and move the lead to where they put it."""
    held = await values.current(session, lead.id)
    for name, accepted in read.values.items():
        if name in held and held[name].value == accepted.value:
            continue
        await values.add(
            session,
            conversation,
            name=name,
            value=accepted.value,
            raw=str(read.raw[name]),
            source=Source.TYPED,
            details=accepted.details,
            now=now,
        )
    lead.updated_at = now
    held = await values.current(session, lead.id)
    await _read_message(session, conversation, profile, entry.message, held, now=now)
    held = await values.current(session, lead.id)
    await stages.assess(session, lead, profile, held, met=False, now=now, actor=actor)


async def _read_message(
    session: AsyncSession,
    conversation: Conversation,
    profile: Profile,
    message: str,
    held: Collection[str],
    *,
    now: datetime,
) -> None:
    """Add what the message says for certain; the road reads it too, by a model if it can."""
    for item in profile.told if message else ():
        found = fields.find(item, message, today=now.date())
        if item.key in held or found is None:
            continue
        await values.add(
            session,
            conversation,
            name=item.key,
            value=found.value,
            raw=found.value,
            source=Source.INFERRED,
            quote=message,
            turn_item_id=_SAID,
            details=found.details,
            now=now,
        )


async def _allow(
    session: AsyncSession, conversation: Conversation, address: str, *, now: datetime
) -> None:
    """Note that the person lets us write to them, as the program says."""
    for channel in sorted(Channel.by_message()):
        await consent.record(
            session,
            conversation.tenant_id,
            address=address,
            channel=channel,
            action=ConsentAction.GRANTED,
            source="api",
            evidence="handed in with the lead",
            now=now,
        )
