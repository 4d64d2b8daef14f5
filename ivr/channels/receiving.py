"""The one transaction in which something that came in is written down, before any answer.

First its event under a unique name, so that a repeat changes nothing; then contact, lead,
conversation, message, consent, and the values that came along. Works out no answer.
"""

import uuid
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.channels import answers, given, opt_outs
from ivr.channels.case import PAUSED, Case
from ivr.channels.inbound import Answer, Inbound, Received
from ivr.conversations import ConversationStore
from ivr.db.inserts import insert_into
from ivr.db.tables import Channel, Conversation, InboundEvent, Lead, Tenant, TenantStatus
from ivr.errors import Conflict, NotFound
from ivr.leads import intake, values
from ivr.leads.attention import escalations, hand_offs, tasks
from ivr.leads.fields import Field
from ivr.leads.intake import Enquiry
from ivr.leads.people import at_once
from ivr.leads.progress import stages
from ivr.messages import store

MOST_SOURCE = 100  # characters


async def write_down(session: AsyncSession, case: Case) -> Received:
    """Write everything down; a repeat gets what is there. Raises `NotFound` and `Conflict`.

    An `IntegrityError` says that the same person wrote twice at once: do it all again then.
    """
    event_id = await _note_event(session, case)
    if event_id is None:
        return await _seen_before(session, case)
    conversation, lead = await _conversation(session, case)
    await session.exec(
        update(InboundEvent)
        .where(col(InboundEvent.id) == event_id)
        .values(conversation_id=conversation.id)
        .execution_options(synchronize_session=False)
    )
    await _welcome(session, case, conversation, lead)
    answer = None
    if (words := await _said_instead(session, case, conversation)) is not None:
        events = await _answered_by_that(session, conversation, event_id)
        for event in events:
            await answers.write_turn(session, conversation, event)
        answer = await answers.give(
            session,
            case.profile,
            conversation,
            events,
            words,
            rows=await values.history(session, conversation.lead_id),
            turn_count=await answers.contact_turns(session, conversation),
            now=case.inbound.now,
        )
    return Received(case.tenant, event_id, conversation.id, answer)


async def _answered_by_that(
    session: AsyncSession, conversation: Conversation, event_id: int
) -> Sequence[InboundEvent]:
    """Return the event; at a STOP with all that waited for an answer, in the order of its coming.

    Nobody answers that any more, and the road reads at once what stands in the transcript.
    """
    await session.refresh(conversation, ["end_reason"])
    if conversation.end_reason == conversations.OPTED_OUT:
        waiting: Sequence[InboundEvent] = (
            await session.exec(answers.unanswered(conversation))
        ).all()
        return waiting
    return [await session.get_one(InboundEvent, event_id)]


async def _note_event(session: AsyncSession, case: Case) -> int | None:
    """Add the event; None when it is there. Two that come at once wait for one another here."""
    inbound = case.inbound
    insert = insert_into(session, InboundEvent)
    statement = insert.values(
        tenant_id=case.tenant.id,
        provider=inbound.provider,
        kind=inbound.kind,
        provider_id=inbound.event_id,
        payload=answers.kept(inbound),
        received_at=inbound.now,
    ).on_conflict_do_nothing()
    added: Any = await session.exec(statement.returning(col(InboundEvent.id)))
    return added.scalar_one_or_none()  # type: ignore[no-any-return]  # an int, or None


async def _seen_before(session: AsyncSession, case: Case) -> Received:
    inbound = case.inbound
    query = select(InboundEvent).where(
        InboundEvent.tenant_id == case.tenant.id,
        InboundEvent.provider == inbound.provider,
        InboundEvent.kind == inbound.kind,
        InboundEvent.provider_id == inbound.event_id,
    )
    event = (await session.exec(query)).one()
    if inbound.channel not in Channel.by_message() and event.payload != answers.kept(inbound):
        raise Conflict("Idempotency-Key, or event_id: was used with another request")
    assert event.id is not None and event.conversation_id is not None, "committed together"
    answer = Answer(**event.answer) if event.answer and event.answered_at else None
    return Received(case.tenant, event.id, event.conversation_id, answer)


def turn_names(case: Case) -> list[str]:
    """Return what must be said by who writes this down, to wait for others with the same form."""
    if case.inbound.channel != Channel.WEB_FORM:
        return []
    given = case.inbound.given
    phone = _as_number(case, given.get("phone"))
    return at_once.turn_names(case.tenant.id, (phone, given.get("email")))


async def _conversation(session: AsyncSession, case: Case) -> tuple[Conversation, Lead]:
    """Return conversation and lead, locked: what comes at the same moment is written after this."""
    if (found := await _known(session, case)) is not None:
        inbound = case.inbound
        lead = await intake.heard_again(
            session, found, case.profile, called=inbound.called, now=inbound.now
        )
        return found, lead
    enquiry = _enquiry(case, case.inbound.session_key or str(uuid.uuid4()))
    entered = await intake.enter(session, case.tenant, case.profile, enquiry)
    conversation = await conversations.lock(session, entered.id)
    return conversation, await stages.lock(session, conversation.lead_id)


async def _known(session: AsyncSession, case: Case) -> Conversation | None:
    """Return, locked, the conversation that the contact names; a session id may name one."""
    inbound = case.inbound
    named = inbound.conversation_id or inbound.session_key
    if named is None:
        return None
    if inbound.conversation_id is None:
        its_tenants = ConversationStore(session, case.tenant.id)
        this_channel = await its_tenants.find(inbound.channel, named, locked=True)
        if this_channel is not None:
            return this_channel
    is_chat = inbound.channel in Channel.chats()
    found = await _by_id(session, case.tenant, named) if is_chat else None
    if found is None and inbound.conversation_id is not None:
        raise NotFound("conversation_id: no such conversation")
    return found


async def _by_id(session: AsyncSession, tenant: Tenant, named: str) -> Conversation | None:
    try:
        key = uuid.UUID(named)
    except ValueError:
        return None
    query = select(Conversation).where(
        Conversation.id == key,
        Conversation.tenant_id == tenant.id,
        col(Conversation.channel).in_(Channel.chats()),
    )
    locked = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    return (await session.exec(locked)).one_or_none()


def _enquiry(case: Case, session_key: str) -> Enquiry:
    inbound = case.inbound
    channel = inbound.channel
    is_form = channel == Channel.WEB_FORM
    typed_phone = inbound.given.get("phone")
    return Enquiry(
        channel=channel,
        session_key=session_key,
        caller=_as_number(case, typed_phone) if is_form else inbound.address,
        called=inbound.called,
        finish_after=inbound.now + case.silence,
        now=inbound.now,
        provider=inbound.provider,
        name=inbound.given.get("name"),
        email=inbound.given.get("email"),
        chat_id=session_key if channel in Channel.chats() else None,
        event_id=inbound.event_id,
        source=_source(inbound),
    )


def _source(inbound: Inbound) -> str | None:
    """Return where a form says that it stands; people may write there what they like."""
    said = inbound.payload.get("source") if inbound.channel == Channel.WEB_FORM else None
    return str(said).strip()[:MOST_SOURCE] or None if said else None


def _as_number(case: Case, typed: str | None) -> str | None:
    """Return a typed number as E.164: as the profile's field reads it, or written with its +."""
    phone: Field | None = case.profile.phone_field
    if typed and phone is not None:
        today = case.inbound.now.date()
        if (value := given.accepted_value(phone, typed, today=today)) is not None:
            return value
    return intake.caller_number(typed)


async def _welcome(
    session: AsyncSession, case: Case, conversation: Conversation, lead: Lead
) -> None:
    """Keep the conversation open, and write down what came beside the words."""
    inbound, now = case.inbound, case.inbound.now
    await conversations.continue_until(session, conversation.id, now + case.silence)
    await stages.inbound(session, lead, case.profile, now=now)
    if inbound.channel in Channel.by_message():
        await store.received(
            session,
            conversation,
            body=inbound.text,
            sender=inbound.address,
            recipient=inbound.called,
            provider_id=inbound.event_id,
            media=inbound.media,
            now=now,
        )
    today = now.astimezone(ZoneInfo(case.tenant.timezone)).date()
    await given.save(session, conversation, case.profile, inbound.given, today=today, now=now)


async def _said_instead(
    session: AsyncSession, case: Case, conversation: Conversation
) -> str | None:
    """Return what the contact gets instead of the assistant's words, often ""; None: those."""
    if case.inbound.channel == Channel.MISSED_CALL:
        await conversations.call_over(
            session, conversation.id, now=case.inbound.now, reason="missed"
        )
        return await case.first_word.after_missed_call(session, conversation)
    if await opt_outs.note(session, case.inbound, conversation, case.profile):
        return ""
    lead = await session.get_one(Lead, conversation.lead_id)
    await hand_offs.follow(
        session,
        conversation,
        lead,
        profile=case.profile,
        staff=case.staff,
        now=case.inbound.now,
    )
    if conversation.assistant_paused:
        await escalations.remind(
            session,
            conversation,
            now=case.inbound.now,
            profile=case.profile,
            staff=case.staff,
        )
        return ""
    if case.tenant.status != TenantStatus.ACTIVE:
        await tasks.ask_write_back(session, conversation, PAUSED, now=case.inbound.now)
        return ""
    return None
