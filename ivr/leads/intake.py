"""What happens first to anybody who reaches us: contact, lead and conversation are written down."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import phonenumbers
from sqlalchemy import bindparam, case, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.conversations import ConversationStore, continue_until
from ivr.db import Database
from ivr.db.engine import despite_races
from ivr.db.tables import (
    Channel,
    Contact,
    Conversation,
    ConversationStatus,
    InboundEvent,
    Lead,
    Source,
    Tenant,
)
from ivr.errors import Undone
from ivr.leads import fields, values
from ivr.leads.attention import hand_offs
from ivr.leads.attention.staff import Staff
from ivr.leads.delivery import waiting
from ivr.leads.fields import Accepted, Field
from ivr.leads.people import at_once, identity, open_leads
from ivr.leads.people.identity import Address
from ivr.leads.profile import Profile
from ivr.phone_numbers import E164

# Who writes again so soon after the lead was handed over, or given up, speaks of the same matter.
SAME_MATTER = timedelta(days=7)
_NOW = bindparam("now", type_=Lead.__table__.c.last_inbound_at.type)  # type: ignore[attr-defined]  # by its metaclass
_HEARD_FROM = (
    update(Lead)
    .where(col(Lead.id) == bindparam("lead"))
    .values(
        last_inbound_at=case((col(Lead.last_inbound_at) > _NOW, Lead.last_inbound_at), else_=_NOW)
    )
    .returning(Lead)
    .execution_options(populate_existing=True, synchronize_session=False)
)


@dataclass(frozen=True, slots=True)
class Enquiry:
    """Somebody reached us; `session_key` is e.g. the CallSid, `caller` is E.164 or None.

    Of `Channel.typed()` `caller` is what was typed, of every other door what a network shows.
    `name` and `email` are what was typed; `event_id` is the provider's name for what came in;
    `source` is where the sender says that it comes from, else it comes from the channel. `came_at`
    is when it reached us, where it has waited until `now` for its turn.
    """

    channel: Channel
    session_key: str
    caller: str | None
    called: str | None
    finish_after: datetime
    now: datetime
    provider: str = "twilio"
    payload: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    email: str | None = None
    chat_id: str | None = None
    event_id: str | None = None
    source: str | None = None
    came_at: datetime | None = None


def caller_number(raw: str | None) -> str | None:
    """Return `raw` as E.164, None for a withheld, SIP or impossible one (Twilio: voice webhook)."""
    try:
        number = phonenumbers.parse(raw or "", None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


async def begin(
    db: Database,
    tenant: Tenant,
    profile: Profile,
    enquiry: Enquiry,
    *,
    staff: Staff | None = None,
) -> Conversation:
    """Commit contact, lead and conversation; return the conversation, also if it was there.

    `staff`: who is told, with that, when one of the business's people has the lead.
    """
    return await despite_races(lambda: _begin(db, tenant, profile, enquiry, staff))


async def _begin(
    db: Database, tenant: Tenant, profile: Profile, enquiry: Enquiry, staff: Staff | None
) -> Conversation:
    async with db.write() as session:
        found = await ConversationStore(session, tenant.id).find(
            enquiry.channel, enquiry.session_key
        )
        if found is not None:
            return found
        conversation = await _come(session, tenant, profile, enquiry)
        _note_event(session, tenant, enquiry, conversation)
        if staff is not None:
            await hand_offs.tell_of_call(session, conversation, profile, staff, now=enquiry.now)
        return conversation


async def enter(
    session: AsyncSession,
    tenant: Tenant,
    profile: Profile,
    enquiry: Enquiry,
) -> Conversation:
    """Write contact, lead and conversation down, or find them, and return the conversation.

    Raises `IntegrityError` when the same person reaches us twice at once: do it all again then. An
    inbound event is the caller's to note.
    """
    found = await ConversationStore(session, tenant.id).find(enquiry.channel, enquiry.session_key)
    if found is None:
        return await _come(session, tenant, profile, enquiry)
    await heard_again(session, found, profile, called=enquiry.called, now=enquiry.now)
    return found


async def heard_again(
    session: AsyncSession,
    conversation: Conversation,
    profile: Profile,
    *,
    called: str | None,
    now: datetime,
) -> Lead:
    """Note that a conversation goes on, or begins anew; return the lead it is about, locked.

    `called`: the number that was written to. From there it is answered.
    """
    if called and conversation.channel in Channel.by_message():
        conversation.to_number = called
    await _turn_to_new_matter(session, conversation, profile, now=now)
    return await _heard_from(session, conversation.lead_id, now=now)


async def _come(
    session: AsyncSession, tenant: Tenant, profile: Profile, enquiry: Enquiry
) -> Conversation:
    """Begin the conversation."""
    if enquiry.channel in Channel.typed():
        await at_once.take_turns(session, tenant.id, (enquiry.caller, enquiry.email))
    lead = await _open_lead(session, tenant, profile, enquiry)
    conversation = _start(ConversationStore(session, tenant.id), lead, enquiry)
    await session.flush()
    await _heard_from(session, lead.id, now=enquiry.now)
    await _note_what_came_along(session, profile, conversation, enquiry)
    await session.flush()
    if identity.TYPED in conversation.state:
        return await identity.settle(session, conversation, profile, now=enquiry.now)
    return conversation


async def go_on(
    session: AsyncSession, tenant: Tenant, profile: Profile, enquiry: Enquiry, lead: Lead
) -> Conversation | None:
    """Take a lead's matter up in a conversation that we begin, or that rests; None when it cannot.

    The contact is locked. Nobody has been heard from. It goes on from the number that was called.
    """
    conversations = ConversationStore(session, tenant.id)
    found = await conversations.find(enquiry.channel, enquiry.session_key)
    if found is None:
        conversation = _start(conversations, lead, enquiry)
        await session.flush()
        return conversation
    if found.lead_id != lead.id:
        await _turn_to_new_matter(session, found, profile, now=enquiry.now)
    if found.lead_id != lead.id or found.assistant_paused:
        return None
    await continue_until(session, found.id, enquiry.finish_after)
    await session.refresh(found)
    if enquiry.called and E164.fullmatch(enquiry.called):  # a call may have come by SIP
        found.to_number = enquiry.called
    return found


def _start(store: ConversationStore, lead: Lead, enquiry: Enquiry) -> Conversation:
    conversation = store.start(
        lead_id=lead.id,
        channel=enquiry.channel,
        session_key=enquiry.session_key,
        from_number=enquiry.caller,
        to_number=enquiry.called,
        finish_after=enquiry.finish_after,
        now=enquiry.came_at or enquiry.now,
    )
    conversation.state = _identity_of(enquiry)
    return conversation


async def _turn_to_new_matter(
    session: AsyncSession, conversation: Conversation, profile: Profile, *, now: datetime
) -> None:
    """Have a conversation that has rested be about the person's open lead, not about a closed one.

    Who has just been handed over and says thanks has no new matter; after a while they have.
    """
    if conversation.status == ConversationStatus.OPEN:
        return
    lead = await session.get_one(Lead, conversation.lead_id)
    if lead.closed_at is None:
        return
    newer = await open_leads.of_contact(session, lead.contact_id, profile.key)
    if newer is None and now - lead.closed_at > SAME_MATTER:
        contact = await session.get_one(Contact, lead.contact_id)
        reason = f"came back by {conversation.channel}"
        newer = await open_leads.take_up(
            session, contact, profile, source=conversation.channel, reason=reason, now=now
        )
    if newer is not None and newer.id != lead.id:
        conversation.lead_id = newer.id
        identity.begin_anew(conversation, since=conversation.finished_at or lead.closed_at)
        session.add(conversation)
        await session.flush()


async def _heard_from(session: AsyncSession, lead_id: uuid.UUID, *, now: datetime) -> Lead:
    """Note when a lead was heard from last; its row is locked by that, and as it is now."""
    heard: Any = await session.exec(_HEARD_FROM, params={"lead": lead_id, "now": now})
    lead: Lead | None = heard.scalar_one_or_none()
    if lead is None:
        raise Undone("its person was forgotten meanwhile")
    await waiting.wait_longer(session, lead_id, now=now)
    return lead


async def _open_lead(
    session: AsyncSession, tenant: Tenant, profile: Profile, enquiry: Enquiry
) -> Lead:
    address = _address(enquiry)
    contact = await identity.recognise(session, tenant.id, address)
    if contact is None:
        contact = await identity.stranger(session, tenant.id, address, now=enquiry.now)
    reason = f"first contact by {enquiry.channel}"
    source = enquiry.source or enquiry.channel
    return await open_leads.take_up(
        session, contact, profile, source=source, reason=reason, now=enquiry.now
    )


def _address(enquiry: Enquiry) -> Address | None:
    """Return what the network showed of who it is; a withheld number is a new person each time."""
    if enquiry.channel in Channel.typed():
        return None
    if enquiry.channel in Channel.chats():
        return Address("chat", enquiry.chat_id or enquiry.session_key)
    return Address("phone", enquiry.caller) if enquiry.caller else None


def _identity_of(enquiry: Enquiry) -> dict[str, Any]:
    """Return what the conversation keeps of who it is with, also what no field asks for."""
    phone = enquiry.caller if enquiry.channel in Channel.typed() else None
    typed = {"phone": phone, "email": enquiry.email, "name": enquiry.name}
    typed = {kind: value.strip() for kind, value in typed.items() if value and value.strip()}
    chat_id = {identity.CHAT_ID: enquiry.chat_id} if enquiry.chat_id else {}
    return chat_id | ({identity.TYPED: typed} if typed else {})


def _note_event(
    session: AsyncSession, tenant: Tenant, enquiry: Enquiry, conversation: Conversation
) -> None:
    """Keep what came in as it came; its key makes the same event a second time impossible."""
    session.add(
        InboundEvent(
            tenant_id=tenant.id,
            provider=enquiry.provider,
            kind=enquiry.channel,
            provider_id=enquiry.event_id or enquiry.session_key,
            payload=dict(enquiry.payload),
            received_at=enquiry.now,
            conversation_id=conversation.id,
        )
    )


async def _note_what_came_along(
    session: AsyncSession, profile: Profile, conversation: Conversation, enquiry: Enquiry
) -> None:
    """Keep what the network showed and what was typed, where the profile takes it.

    Who rings off is known all the same.
    """
    is_typed = enquiry.channel in Channel.typed()
    number_from = Source.TYPED if is_typed else Source.CALLER_ID
    await _note(session, conversation, profile.phone_field, enquiry.caller, number_from)
    await _note(session, conversation, _of_type(profile, "person_name"), enquiry.name, Source.TYPED)
    await _note(session, conversation, _of_type(profile, "email"), enquiry.email, Source.TYPED)


def _of_type(profile: Profile, kind: str) -> Field | None:
    return next((item for item in profile.fields if item.type == kind), None)


async def _note(
    session: AsyncSession,
    conversation: Conversation,
    wanted: Field | None,
    raw: str | None,
    source: Source,
) -> None:
    now = conversation.started_at
    if wanted is None or not raw:
        return
    checked = fields.check(wanted, raw, today=now.date())
    if not isinstance(checked, Accepted):
        return
    await values.add(
        session,
        conversation,
        name=wanted.key,
        value=checked.value,
        raw=raw,
        source=source,
        details=checked.details,
        now=now,
    )
