"""A call that broke off goes on by SMS, with what was said: "We were cut off: what year is it?"

Part of the one transaction that concludes the call, so it happens once or not at all. The lead's
submission then waits for the answer, and goes out as it is when none comes. Sends nothing: the
message is a row, and whether it may go out at that moment is decided by who sends it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import phonenumbers
import structlog
from phonenumbers import PhoneNumberType
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.conversations import Said
from ivr.db.tables import (
    Channel,
    ContactPoint,
    Conversation,
    Escalation,
    Lead,
    Message,
    Purpose,
    Role,
    Task,
    Tenant,
    TenantStatus,
    Turn,
)
from ivr.leads import intake
from ivr.leads.profile import Field, Profile
from ivr.messages import consent, opt_out, store

WAIT = timedelta(minutes=30)
ONCE_IN = timedelta(days=1)
# With these the call came to an end; nothing broke off.
_ENDINGS = frozenset(
    {"complete", "incomplete", "caller_goodbye", "goodbye", "wrong_number", "transfer"}
)
_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})
_WORDS = {
    "en": "{name}: sorry, we were cut off. {ask}",
    "ar": "{name}: عذرًا، انقطع الاتصال. {ask}",
}
_HOW_TO_STOP = {"en": "Reply STOP to opt out.", "ar": "أرسل STOP لإيقاف الرسائل."}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the installation says of follow-ups.

    `wait`: how long a lead waits for an answer. `silence`: how long a written conversation rests.
    """

    wait: timedelta = WAIT
    silence: timedelta = timedelta(hours=24)


async def after_call(
    session: AsyncSession,
    tenant: Tenant,
    profile: Profile,
    conversation: Conversation,
    lead: Lead,
    missing: Sequence[Field],
    turns: Sequence[Turn],
    policy: Policy,
    *,
    now: datetime,
) -> bool:
    """Write to who was cut off, and return whether that was done; `missing` is not empty then."""
    number, called = conversation.from_number, conversation.to_number
    if not missing or number is None or not (called or tenant.phone_number):
        return False
    if not _broke_off(profile, conversation, turns) or not is_mobile(number):
        return False
    if not await _may_write(session, tenant, lead, number, now=now):
        return False
    enquiry = intake.Enquiry(
        channel=Channel.SMS,
        session_key=number,
        caller=number,
        called=called,
        finish_after=now + policy.silence,
        now=now,
    )
    by_sms = await intake.go_on(session, tenant, profile, enquiry, lead)
    if by_sms is None:
        return False
    await _write(session, profile, conversation, by_sms, missing[0], now=now)
    log.info("the call goes on by SMS", conversation_id=str(conversation.id))
    return True


def is_mobile(number: str) -> bool:
    """Whether an E.164 number may be able to get an SMS."""
    return phonenumbers.number_type(phonenumbers.parse(number, None)) in _MOBILE


def how_to_stop(language: str) -> str:
    """Return what a first message of ours ends with, by law."""
    return _HOW_TO_STOP.get(language, _HOW_TO_STOP["en"])


def _broke_off(profile: Profile, conversation: Conversation, turns: Sequence[Turn]) -> bool:
    """Whether a talk that had begun was cut off, and nobody asked to be left alone in it."""
    heard = [turn.text for turn in turns if turn.role == Role.CALLER]
    return (
        profile.follow_up
        and conversation.channel == Channel.VOICE
        and conversation.end_reason not in _ENDINGS
        and not conversation.assistant_paused
        and bool(heard)
        and not any(opt_out.is_free_text_revocation(text) for text in heard)
    )


async def _may_write(
    session: AsyncSession, tenant: Tenant, lead: Lead, number: str, *, now: datetime
) -> bool:
    """Whether they did not forbid it, nobody else is to turn to them, and it is not too often."""
    is_active = tenant.status == TenantStatus.ACTIVE
    if not is_active or lead.closed_at is not None or lead.stage_pin is not None:
        return False
    if await consent.is_revoked(session, tenant.id, number, Channel.SMS):
        return False
    written = select(Message.id).where(
        Message.tenant_id == tenant.id,
        Message.recipient == number,
        Message.purpose == Purpose.FOLLOW_UP,
        col(Message.created_at) > now - ONCE_IN,
    )
    task = select(Task.id).where(Task.lead_id == lead.id, col(Task.done_at).is_(None))
    taken = select(Escalation.id).where(
        Escalation.lead_id == lead.id, col(Escalation.resolved_at).is_(None)
    )
    anothers = select(ContactPoint.id).where(
        ContactPoint.tenant_id == tenant.id,
        ContactPoint.kind == "phone",
        ContactPoint.value == number,
        ContactPoint.contact_id != lead.contact_id,
    )
    for reason in (written, task, taken, anothers):
        if (await session.exec(reason.limit(1))).first() is not None:
            return False
    return True


async def _write(
    session: AsyncSession,
    profile: Profile,
    call: Conversation,
    by_sms: Conversation,
    asked: Field,
    *,
    now: datetime,
) -> None:
    language = profile.language_for(call.language)
    ask = profile.in_language(language).field(asked.key).ask
    text = _WORDS.get(language, _WORDS["en"]).format(name=profile.name, ask=ask)
    position = await conversations.next_position(session, by_sms.id)
    if position == 0:
        text = f"{text} {how_to_stop(language)}"
    said = Said(
        item_id=f"follow_up_{call.id}_{call.episode}",
        position=position,
        role=Role.ASSISTANT,
        text=text,
        said_at=now,
    )
    await conversations.write_turn(session, by_sms, said)
    await store.queue(session, by_sms, text, purpose=Purpose.FOLLOW_UP, turn=said.item_id, now=now)
    by_sms.language = by_sms.language or call.language
