"""The business's own people: whom to tell that a contact waits for a person, and in which words."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, Escalation, Message, Purpose
from ivr.leads import values
from ivr.leads.fields import spoken
from ivr.leads.profile import Profile
from ivr.messages import store
from ivr.settings import Settings

SHORT = 8  # characters of an id, as the terminal shows it
_TOLD_TO_STAFF = frozenset({"none", "name"})  # the PII classes that a text message may carry
_MOST_SUMMARY = 240


@dataclass(frozen=True, slots=True)
class Staff:
    """Who is told of an escalation, how soon it is due, and how often they are told again."""

    phone: str | None = None
    due: timedelta = timedelta(minutes=30)
    again: timedelta = timedelta(minutes=15)


def on_duty(profile: Profile, settings: Settings) -> Staff:
    """Return the staff of a profile: its own number, else the one in the settings."""
    return Staff(
        phone=profile.escalation.staff_phone or settings.staff_phone_number,
        due=timedelta(minutes=settings.escalation_due_minutes),
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
    known = await summary(session, conversation, profile)
    who = f"A contact ({str(conversation.channel).replace('_', ' ')})"
    number = str(escalation.id)[:SHORT]
    if escalation.assignee is None:
        what = f"{who} waits for you: {escalation.reason}."
        how = f"Take it: ivr escalations take {number}"
    else:
        what = f"{who} has written to {escalation.assignee}."
        how = f"Answer: ivr escalations say {number}"
    text = " ".join([what, *([f"Known: {known}."] if known else []), how])
    return await _tell(session, conversation, text, staff, now=now)


async def tell_missed(
    session: AsyncSession,
    conversation: Conversation,
    profile: Profile,
    staff: Staff,
    *,
    now: datetime,
) -> bool:
    """Have staff read whose call nobody took; False without a number of theirs."""
    known = await summary(session, conversation, profile)
    text = (
        f"Nobody picked up for a caller. {f'Known: {known}. ' if known else ''}See: ivr tasks list"
    )
    return await _tell(session, conversation, text, staff, now=now)


async def last_told(session: AsyncSession, conversation_id: uuid.UUID) -> datetime | None:
    """Return when staff were last told of a conversation."""
    query = select(func.max(col(Message.created_at))).where(
        Message.conversation_id == conversation_id, Message.purpose == Purpose.STAFF
    )
    return (await session.exec(query)).one()


async def _tell(
    session: AsyncSession, conversation: Conversation, text: str, staff: Staff, *, now: datetime
) -> bool:
    if staff.phone is None:
        return False
    await store.queue(
        session, conversation, text, purpose=Purpose.STAFF, recipient=staff.phone, now=now
    )
    return True
