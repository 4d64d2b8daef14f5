"""A caller is put through to a person: what is written down meanwhile, and if nobody picks up.

The lead waits while the phone rings: when somebody picks up (they hear `whisper` first) or the
caller is gone it is finished, and when nobody does the caller comes back to us, once in a call.
"""

import uuid
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db.tables import Conversation, Escalation, EscalationState, Trigger
from ivr.leads import escalations, staff, tasks
from ivr.leads.profile import Profile
from ivr.leads.staff import Staff
from ivr.voice import line
from ivr.voice.commands import EndReason
from ivr.voice.twiml import RING_SECONDS

WHISPER_PATH = "/twilio/voice/whisper"
ANSWERED = frozenset({"completed", "answered"})  # Twilio: twiml/dial, DialCallStatus
_BY_PHONE = "whoever picked up"
_TALKED = "talked on the phone"
_CAME_BACK = "came_back"  # in a conversation's state


def whisper_url(base_url: str, conversation: Conversation) -> str:
    """Return where Twilio asks what the person who picks up hears before they are connected."""
    query = urlencode({"conversation": str(conversation.id)})
    return f"{base_url}{WHISPER_PATH}?{query}"


async def begin(
    session: AsyncSession,
    conversation: Conversation,
    *,
    now: datetime,
    grace: timedelta,
) -> None:
    """Note that somebody's phone rings for the caller, who may come back within `grace` of it."""
    reason = "the caller asked for a person"
    await escalations.open_for(session, conversation, Trigger.ASKED, reason, now=now)
    back_by = now + timedelta(seconds=RING_SECONDS) + grace
    await conversations.lend_until(session, conversation.id, back_by, reason=EndReason.TRANSFER)
    await line.expect_end(session, conversation.id, by=now + line.LONGEST_DIAL)


async def picked_up(
    session: AsyncSession, conversation: Conversation, profile: Profile, *, now: datetime
) -> str:
    """Note that a person has the caller, and let the lead be finished; return what they hear."""
    escalation = await escalations.open_of(session, conversation.id)
    if escalation is not None:
        await escalations.acknowledge(session, escalation, _BY_PHONE, now=now)
    await conversations.call_over(session, conversation.id, reason=EndReason.TRANSFER, now=now)
    known = await staff.summary(session, conversation, profile)
    return f"A call for you: {known}." if known else "A call for you."


async def over(session: AsyncSession, conversation_id: uuid.UUID, *, now: datetime) -> None:
    """Note that nobody talks to the caller any more."""
    await escalations.close_for(session, conversation_id, _TALKED, now=now)
    await conversations.call_over(session, conversation_id, reason=EndReason.TRANSFER, now=now)
    await line.expect_end(session, conversation_id, by=now + line.HANG_UP_TIME)


async def hung_up(session: AsyncSession, conversation: Conversation, *, now: datetime) -> None:
    """Note that the call is over: who rang off before anybody picked up is called back."""
    escalation = await escalations.open_of(session, conversation.id)
    if escalation is None:
        return
    came_of_it = _TALKED
    if escalation.state == EscalationState.OPEN:
        came_of_it = "the caller asked for a person, and rang off before somebody picked up"
        await tasks.ask_call_back(session, conversation, came_of_it, now=now)
    await escalations.close_for(session, conversation.id, came_of_it, now=now)


async def nobody_picked_up(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    profile: Profile,
    on_duty: Staff,
    *,
    request: str,
    now: datetime,
) -> Conversation | None:
    """Have the caller called back; return the conversation that goes on, None the second time.

    `request` names the webhook: the same one again is answered as it was.
    """
    row = await session.get_one(Conversation, conversation_id, with_for_update=True)
    reason = "the caller asked for a person, and nobody was there"
    await tasks.ask_call_back(session, row, reason, now=now)
    closed: Escalation | None = await escalations.close_for(session, row.id, reason, now=now)
    if closed is not None:
        await staff.tell_missed(session, row, profile, on_duty, now=now)
    before = row.state.get(_CAME_BACK)
    if before is not None and (not request or before["request"] != request):
        await over(session, row.id, now=now)
        return None
    row.state = {**row.state, _CAME_BACK: {"request": request, "stream": row.streams + 1}}
    row.end_reason = None
    return row


def is_back(conversation: Conversation, *, stream: int) -> bool:
    """Whether the `stream` begins with a caller whom nobody was free for."""
    before = conversation.state.get(_CAME_BACK)
    return before is not None and before["stream"] == stream
