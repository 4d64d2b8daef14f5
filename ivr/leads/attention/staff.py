"""The business's own people: whom to tell that a contact waits for a person, and in which words."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, Escalation, Message, Purpose, Tenant
from ivr.leads import values
from ivr.leads.fields import spoken
from ivr.leads.profile import Profile
from ivr.messages import store
from ivr.settings import Settings
from ivr.tenants import DEFAULT

SHORT = 8  # characters of an id, as the terminal shows it
_TOLD_TO_STAFF = frozenset({"none", "name"})  # the PII classes that a text message may carry
_MOST_SUMMARY = 240


@dataclass(frozen=True, slots=True)
class Staff:
    """Who is told of an escalation, how soon it is due, and how often they are told again."""

    phone: str | None = None
    due: timedelta = timedelta(minutes=30)
    again: timedelta = timedelta(minutes=15)


def on_duty(tenant: Tenant, profile: Profile, settings: Settings) -> Staff:
    """Return a tenant's staff: whom its profile names, else, for `default`, the settings.

    Nobody else's: they are told the names of those who wait.
    """
    in_settings = settings.staff_phone_number if tenant.slug == DEFAULT else None
    return Staff(
        phone=profile.escalation.staff_phone or in_settings,
        due=timedelta(minutes=profile.escalation.due_minutes or settings.escalation_due_minutes),
        again=timedelta(minutes=settings.escalation_notice_minutes),
    )


async def summary(
    session: AsyncSession, conversation: Conversation, profile: Profile | None
) -> str:
    """Return who it is and what is known, in a line: no numbers, mail addresses or places."""
    if profile is None:
        return ""
    known = await values.known(session, conversation.lead_id)
    told = [
        spoken(field, known[field.key])
        for field in profile.told
        if field.pii in _TOLD_TO_STAFF and known.get(field.key)
    ]
    return ", ".join(told)[:_MOST_SUMMARY]


async def tell_waiting(
    session: AsyncSession,
    conversation: Conversation,
    escalation: Escalation,
    profile: Profile | None,
    staff: Staff,
    *,
    now: datetime,
) -> bool:
    """Have staff read, by SMS, who waits and how to take it; False without a number of theirs.

    Who has taken it reads that there is something new.
    """
    who = f"A contact ({str(conversation.channel).replace('_', ' ')})"
    number = str(escalation.id)[:SHORT]
    if escalation.assignee is None:
        what = f"{who} waits for you: {escalation.reason}."
        how = f"Take it: ivr escalations take {number}"
    else:
        what = f"{who} has written to {escalation.assignee}."
        how = f"Answer: ivr escalations say {number}"
    text = await _with_summary(session, conversation, profile, what, how)
    return await tell(session, conversation, text, staff, now=now)


async def tell_calling(
    session: AsyncSession,
    call: Conversation,
    escalation: Escalation,
    profile: Profile,
    staff: Staff,
    *,
    now: datetime,
) -> bool:
    """Have staff read that a contact of theirs calls; False without a number of theirs."""
    whose = f"with {escalation.assignee}" if escalation.assignee else "who waits for you"
    what = f"A contact {whose} is calling. The assistant answers."
    how = f"About: {escalation.reason}. See: ivr escalations list"
    text = await _with_summary(session, call, profile, what, how)
    return await tell(session, call, text, staff, now=now)


async def tell_missed(
    session: AsyncSession,
    conversation: Conversation,
    profile: Profile,
    staff: Staff,
    *,
    now: datetime,
) -> bool:
    """Have staff read whose call nobody took; False without a number of theirs."""
    what, how = "Nobody picked up for a caller.", "See: ivr tasks list"
    text = await _with_summary(session, conversation, profile, what, how)
    return await tell(session, conversation, text, staff, now=now)


async def _with_summary(
    session: AsyncSession, conversation: Conversation, profile: Profile | None, what: str, how: str
) -> str:
    """Return what happened, what is known of the contact, and what to do."""
    known = await summary(session, conversation, profile)
    return " ".join([what, *([f"Known: {known}."] if known else []), how])


async def tell_hot(
    session: AsyncSession,
    conversation: Conversation,
    profile: Profile,
    staff: Staff,
    *,
    now: datetime,
) -> bool:
    """Have staff read that a lead has become hot; False without a number of theirs."""
    known = await summary(session, conversation, profile)
    lead = str(conversation.lead_id)
    text = f"A hot lead. {f'Known: {known}. ' if known else ''}Lead {lead}: call now."
    return await tell(session, conversation, text, staff, now=now)


async def last_told(session: AsyncSession, conversation_id: uuid.UUID) -> datetime | None:
    """Return when staff were last told of a conversation."""
    query = select(func.max(col(Message.created_at))).where(
        Message.conversation_id == conversation_id, Message.purpose == Purpose.STAFF
    )
    return (await session.exec(query)).one()


async def tell(
    session: AsyncSession, conversation: Conversation, text: str, staff: Staff, *, now: datetime
) -> bool:
    """Have staff read a text by SMS; False without a number of theirs."""
    if staff.phone is None:
        return False
    await store.queue(
        session, conversation, text, purpose=Purpose.STAFF, recipient=staff.phone, now=now
    )
    return True
