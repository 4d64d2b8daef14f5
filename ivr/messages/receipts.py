"""What becomes of a sent message, as Twilio tells in status callbacks: in any order, repeatedly.

Twilio, messaging: outbound message status in status callbacks.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime

import structlog
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Direction, Message, MessageState
from ivr.messages import failures, postage
from ivr.messages.store import Undeliverable

STATES = {
    "accepted": MessageState.QUEUED,
    "scheduled": MessageState.QUEUED,
    "queued": MessageState.QUEUED,
    "sending": MessageState.SENDING,
    "sent": MessageState.SENT,
    "partially_delivered": MessageState.SENT,
    "delivered": MessageState.DELIVERED,
    "read": MessageState.READ,
    "undelivered": MessageState.UNDELIVERED,
    "failed": MessageState.FAILED,
    "canceled": MessageState.FAILED,
}
LOST = frozenset({MessageState.UNDELIVERED, MessageState.FAILED})
_ORDER = (
    MessageState.QUEUED,
    MessageState.SENDING,
    MessageState.SENT,
    *LOST,  # nothing follows; but what was delivered is not lost afterwards
    MessageState.DELIVERED,
    MessageState.READ,
)

log = structlog.get_logger(__name__)


async def note(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    form: Mapping[str, str],
    *,
    now: datetime,
    message_id: uuid.UUID | None = None,
    on_undeliverable: Undeliverable,
) -> bool:
    """Write down a status, if it is news; return whether it was.

    `message_id` stood in the address that we gave Twilio for this message. So a status that
    overtakes the answer to our request, or comes in its place, finds its row all the same.
    """
    sid = form.get("MessageSid") or form.get("SmsSid") or ""
    state = STATES.get(form.get("MessageStatus") or form.get("SmsStatus") or "")
    if not sid or state is None:
        log.info("message status not understood", message_sid=sid)
        return False
    message = await _find(session, tenant_id, sid, message_id)
    if message is None:
        log.info("status of a message that is not ours", message_sid=sid)
        return False
    if not _is_news(message, sid, state):
        return False
    is_taken = message.provider_id is None and state not in LOST
    message.provider_id, message.state, message.updated_at = sid, state, now
    message.next_attempt_at, message.sent_at = None, message.sent_at or now
    message.error = None
    if state in LOST:
        message.error_code = _code(form)
        message.error = form.get("ChannelStatusMessage") or failures.MEANINGS.get(_code(form) or 0)
        log.warning("message not delivered", message_sid=sid, code=message.error_code)
    await session.flush()
    if is_taken:
        await postage.note(session, message, now=now)
    if state in LOST:
        await failures.follow(session, message, on_undeliverable, now=now)
    return True


async def _find(
    session: AsyncSession, tenant_id: uuid.UUID, sid: str, message_id: uuid.UUID | None
) -> Message | None:
    is_meant = Message.provider_id == sid if message_id is None else Message.id == message_id
    query = select(Message).where(
        Message.tenant_id == tenant_id, Message.direction == Direction.OUT, is_meant
    )
    return (await session.exec(query.with_for_update())).one_or_none()


def _is_news(message: Message, sid: str, state: MessageState) -> bool:
    if message.provider_id is None:  # so far we did not know that it had been taken
        return True
    if message.provider_id != sid:
        log.error("a message was sent twice", message_id=str(message.id), message_sid=sid)
        return False
    before = MessageState(message.state)
    return before not in LOST and _rank(state) > _rank(before)


def _rank(state: MessageState) -> int:
    return _ORDER.index(state) if state in _ORDER else -1


def _code(form: Mapping[str, str]) -> int | None:
    code = form.get("ErrorCode", "")
    return int(code) if code.isdecimal() else None
