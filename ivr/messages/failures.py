"""What follows from a message that did not arrive, by Twilio's error code."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import ConsentAction, Message
from ivr.messages import consent
from ivr.messages.store import Undeliverable

# Twilio, error dictionary: the recipient has opted out; the WhatsApp user has blocked the sender.
REFUSED_BY_CONTACT = frozenset({21610, 63014})
# Twilio, error dictionary: no such sender, not of this account, not for messages, not on WhatsApp.
NO_SENDER = frozenset({21212, 21606, 21659, 21660, 21661, 63007})
# What an operator should read instead of a number (same source).
MEANINGS = {
    21211: "the number is not valid",
    21212: "our number is none that Twilio knows",
    21408: "messages to that region are not enabled",
    21606: "our number cannot send there",
    21608: "a trial account may write to verified numbers only",
    21610: "the contact has opted out",
    21612: "our number cannot send there",
    21614: "the number is not a mobile number",
    21617: "the message is too long",
    21659: "our number is none of Twilio's",
    21660: "our number belongs to another account",
    21661: "our number cannot send messages",
    30003: "the phone is off or out of reach",
    30004: "the network blocked the message",
    30005: "the number does not exist",
    30006: "the number is a landline",
    30007: "the network filtered the message",
    30008: "the network gave no reason",
    30034: "our number is not registered for business messages",
    63007: "our number is not on WhatsApp",
    63014: "the contact has blocked us on WhatsApp",
    63016: "WhatsApp's window of 24 hours is closed",
    63018: "too many WhatsApp messages at once",
}


async def follow(
    session: AsyncSession, message: Message, on_undeliverable: Undeliverable, *, now: datetime
) -> None:
    """Record a refusal that the vendor told us of; have a person write whatever else is lost."""
    code = message.error_code
    if code in REFUSED_BY_CONTACT and message.recipient:
        await consent.record(
            session,
            message.tenant_id,
            address=message.recipient,
            channel=message.channel,
            action=ConsentAction.REVOKED,
            source=str(code),
            evidence=MEANINGS[code],
            now=now,
        )
    elif message.purpose in consent.FORBIDDEN and not await _is_refused(session, message):
        why = MEANINGS.get(code or 0, message.error or "it was not delivered")
        await on_undeliverable(session, message, f"message not delivered: {why}", now)


async def _is_refused(session: AsyncSession, message: Message) -> bool:
    """Whether nobody is to write there any more, no person either."""
    address = message.recipient or ""
    return await consent.is_revoked(session, message.tenant_id, address, message.channel)
