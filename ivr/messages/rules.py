"""Whether a message may go out at this moment: consent, a paused business, hours, the window."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.costs import budget
from ivr.db.tables import Channel, Message, Purpose, Tenant, TenantStatus
from ivr.messages import consent, window
from ivr.settings import Settings

# An answer that waited for so long, say for a Twilio account, would only surprise.
TOO_OLD = timedelta(days=2)
PAUSED = "the business is paused"


@dataclass(frozen=True, slots=True)
class Policy:
    """What the installation allows: local hours of follow-ups, the template for WhatsApp."""

    first_hour: int = 8
    last_hour: int = 21
    template_sid: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Policy":
        """Return what the settings allow."""
        return cls(
            settings.follow_up_first_hour,
            settings.follow_up_last_hour,
            settings.whatsapp_template_sid,
        )


@dataclass(frozen=True, slots=True)
class Go:
    """Send it; `content_sid`: by this template."""

    content_sid: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Not before then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Block:
    """Never; `needs_person`: the contact did not forbid it, so somebody else must tell them."""

    reason: str
    needs_person: bool = False


Verdict = Go | Wait | Block


async def judge(
    session: AsyncSession, tenant: Tenant, message: Message, policy: Policy, *, now: datetime
) -> Verdict:
    """Return what may be done with a message now; `consent.lock` is held."""
    if message.purpose == Purpose.STAFF:
        return Go()
    assert message.recipient, "a message goes to a number"
    is_ours_to_say = message.purpose in consent.FORBIDDEN
    if is_ours_to_say:
        if await consent.is_revoked(session, tenant.id, message.recipient, message.channel):
            return Block(consent.REVOKED)
        if tenant.status == TenantStatus.PAUSED:
            return Block(PAUSED, needs_person=True)
    if message.created_at < now - TOO_OLD:  # what answers a STOP is nobody's to bring by hand
        return Block("it waited for too long", needs_person=is_ours_to_say)
    if message.purpose == Purpose.FOLLOW_UP:
        if await budget.is_spent(session, tenant, now=now):
            return Block("the budget of the month is spent", needs_person=True)
        opens_at = next_opening(now, tenant.timezone, policy)
        if opens_at > now:
            return Wait(opens_at)
    if message.channel != Channel.WHATSAPP:
        return Go()
    if await window.is_open(session, message.conversation_id, now=now):
        return Go()
    content_sid = await template_for(session, message, policy, now=now)
    return Go(content_sid) if content_sid else Block(window.CLOSED, needs_person=True)


async def template_for(
    session: AsyncSession, message: Message, policy: Policy, *, now: datetime
) -> str | None:
    """Return the template by which a message goes at that time; None: in its own words."""
    if message.channel != Channel.WHATSAPP:
        return None
    if await window.is_open(session, message.conversation_id, now=now):
        return None
    return message.template or policy.template_sid


def next_opening(now: datetime, timezone: str, policy: Policy) -> datetime:
    """Return `now` in the hours in which people may be written to, else when those begin."""
    local = now.astimezone(ZoneInfo(timezone))
    if policy.first_hour <= local.hour < policy.last_hour:
        return now
    day = local if local.hour < policy.first_hour else local + timedelta(days=1)
    opening = day.replace(hour=policy.first_hour, minute=0, second=0, microsecond=0)
    return opening.astimezone(now.tzinfo)
