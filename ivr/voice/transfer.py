"""A caller is put through to a person: what is written down meanwhile, and if nobody picks up.

The lead waits while the phone rings: when a person takes the call (`whisper` asks them to) or the
caller is gone it is finished, and when nobody does the caller comes back to us, once in a call.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db.tables import Conversation, EscalationState, Trigger
from ivr.leads.attention import escalations, staff, tasks
from ivr.leads.attention.staff import Staff
from ivr.leads.profile import Profile
from ivr.voice import line
from ivr.voice.commands import EndReason
from ivr.voice.twiml import KEY_SECONDS, RING_SECONDS

WHISPER_PATH = "/twilio/voice/whisper"
KEY = "1"  # pressed by who takes the call
# The longest whisper, said twice: a summary of 240 letters is spoken in about 20 seconds.
SCREEN_SECONDS = 2 * (25 + KEY_SECONDS)
# From one step of a transfer to the next: nothing is finished before Twilio could say that who
# pressed the key was gone, or the caller who is back could be asked something.
NEXT_STEP = timedelta(seconds=15)
_ANSWERED = frozenset({"completed", "answered"})  # Twilio: twiml/dial, DialCallStatus
_BY_PHONE = "whoever picked up"
_TALKED = "talked on the phone"
_RANG_OFF = "the caller asked for a person, and rang off before somebody picked up"
_CAME_BACK = "came_back"  # in a conversation's state
_TAKEN = "taken_on"  # the same: the CallSid of the phone on which a person took the call


def whisper_url(base_url: str, conversation: Conversation, profile: Profile) -> str:
    """Return where Twilio asks what who picks up hears before they are connected."""
    query = {"conversation": str(conversation.id)}
    if profile.transfer_screening:
        query["key"] = KEY
    return f"{base_url}{WHISPER_PATH}?{urlencode(query)}"


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
    back_by = now + timedelta(seconds=RING_SECONDS + SCREEN_SECONDS) + grace
    await conversations.lend_until(session, conversation.id, back_by, reason=EndReason.TRANSFER)
    await line.expect_end(session, conversation.id, by=now + line.LONGEST_DIAL)


async def picked_up(
    session: AsyncSession, conversation: Conversation, *, leg: str, now: datetime
) -> None:
    """Note that a person has the caller on the phone `leg`, and let the lead be finished soon.

    Nothing is noted any more when the transfer is over: this took long, and the caller may be back.
    """
    row = await conversations.lock(session, conversation.id)
    escalation = await escalations.open_of(session, row.id)
    if escalation is None:
        return
    row.state = {**row.state, _TAKEN: leg}
    await escalations.acknowledge(session, escalation, _BY_PHONE, now=now)
    row.ended_at, row.end_reason = row.ended_at or now, EndReason.TRANSFER
    row.finish_after = now + NEXT_STEP


def is_taken(conversation: Conversation, profile: Profile, form: Mapping[str, str]) -> bool:
    """Whether somebody had the caller, by what Twilio says of the phone that rang for them.

    A machine that was hung up on has "completed" the call, too, but was not connected. Where
    Twilio does not say whether it was, who took the call is in our row.
    """
    if form["DialCallStatus"] not in _ANSWERED:
        return False
    if (bridged := form.get("DialBridged")) in {"true", "false"}:
        return bridged == "true"
    leg = form.get("DialCallSid", "")
    return not profile.transfer_screening or conversation.state.get(_TAKEN) == leg


async def over(session: AsyncSession, conversation_id: uuid.UUID, *, now: datetime) -> None:
    """Note that nobody talks to the caller any more."""
    await escalations.close_for(session, conversation_id, _TALKED, now=now)
    await conversations.call_over(session, conversation_id, reason=EndReason.TRANSFER, now=now)
    await line.expect_end(session, conversation_id, by=now + line.HANG_UP_TIME)


async def hung_up(
    session: AsyncSession, conversation: Conversation, form: Mapping[str, str], *, now: datetime
) -> None:
    """Note that the call is over: who rang off before they were connected is called back.

    Also when the call's status, which does not know about that, has closed the escalation before.
    """
    escalation = await escalations.open_of(session, conversation.id)
    is_waiting = escalation is not None and escalation.state == EscalationState.OPEN
    if is_waiting or form.get("DialBridged") == "false":
        await tasks.ask_call_back(session, conversation, _RANG_OFF, now=now)
        await escalations.take_back(session, conversation.id, _BY_PHONE, _RANG_OFF, now=now)
    else:
        await escalations.close_for(session, conversation.id, _TALKED, now=now)


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

    `request` names what came to nothing: asked about it again, the answer is as it was.
    """
    row = await session.get_one(Conversation, conversation_id, with_for_update=True)
    reason = "the caller asked for a person, and nobody was there"
    await tasks.ask_call_back(session, row, reason, now=now)
    closed = await escalations.take_back(session, row.id, _BY_PHONE, reason, now=now)
    if closed is not None:
        await staff.tell_missed(session, row, profile, on_duty, now=now)
    before = row.state.get(_CAME_BACK)
    if before is not None and (not request or before["request"] != request):
        await over(session, row.id, now=now)
        return None
    row.state = {**row.state, _CAME_BACK: {"request": request, "stream": row.streams + 1}}
    row.end_reason = row.ended_at = None  # who pressed the key and was gone had ended it
    row.finish_after = now + NEXT_STEP
    return row


def is_back(conversation: Conversation, *, stream: int) -> bool:
    """Whether the `stream` begins with a caller whom nobody was free for."""
    before = conversation.state.get(_CAME_BACK)
    return before is not None and before["stream"] == stream
