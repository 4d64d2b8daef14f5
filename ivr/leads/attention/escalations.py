"""Conversations that a person is to take over: opened, taken, given back; staff are told.

While one is open the assistant is silent. When it is opened is `agent.escalation`'s decision; the
messages to staff are rows, which the outbox sends.
"""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db import keysets
from ivr.db.tables import (
    Axis,
    Conversation,
    Escalation,
    EscalationState,
    Lifecycle,
    Tenant,
    Transition,
    Trigger,
)
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.leads.attention import staff as duty
from ivr.leads.attention.staff import SHORT, Staff
from ivr.leads.profile import Profile
from ivr.leads.progress import lifecycle, stages
from ivr.tenants import hours
from ivr.webhooks import outbox
from ivr.webhooks.event_types import EventType

Place = tuple[datetime, uuid.UUID]  # of an escalation in a list: when it was opened, and its id


async def open_for(
    session: AsyncSession,
    conversation: Conversation,
    trigger: Trigger,
    reason: str,
    *,
    now: datetime,
    profile: Profile | None = None,
    staff: Staff | None = None,
) -> Escalation:
    """Have a person take the conversation; the assistant is silent from now on.

    Asked again while one is open, nothing is added and nobody is told. It is due so long after the
    business is open. `staff`: whom to tell by SMS; with `profile` they read what is known so far.
    Poke the outbox after the commit.
    """
    staff = staff or Staff()
    row = await conversations.by_id(session, conversation.id)
    if (before := await open_of(session, row.id)) is not None:
        return before
    tenant = await session.get_one(Tenant, row.tenant_id)
    escalation = Escalation(
        tenant_id=row.tenant_id,
        lead_id=row.lead_id,
        conversation_id=row.id,
        trigger=trigger,
        reason=reason,
        state=EscalationState.OPEN,
        created_at=now,
        due_at=(hours.next_opening(tenant, now) or now) + staff.due,
    )
    row.assistant_paused = True
    session.add(row)
    try:
        async with session.begin_nested():
            session.add(escalation)
    except IntegrityError:  # another transaction has opened it at the same moment
        return await _still_open(session, row.id)
    await _emit(session, EventType.ESCALATION_OPENED, escalation, row, now=now)
    await duty.tell_waiting(session, row, escalation, profile, staff, now=now)
    return escalation


async def open_of(session: AsyncSession, conversation_id: uuid.UUID) -> Escalation | None:
    """Return the open escalation of a conversation, taken or not; None without one."""
    query = select(Escalation).where(
        Escalation.conversation_id == conversation_id, col(Escalation.resolved_at).is_(None)
    )
    return (await session.exec(query)).one_or_none()


async def remind(
    session: AsyncSession,
    conversation: Conversation,
    *,
    now: datetime,
    profile: Profile | None = None,
    staff: Staff,
) -> bool:
    """Tell staff that the contact of a paused conversation has written; not too often.

    Return whether they are told.
    """
    escalation = await open_of(session, conversation.id)
    if escalation is None or staff.phone is None:
        return False
    last = await duty.last_told(session, conversation.id)
    if last is not None and now - last < staff.again:
        return False
    return await duty.tell_waiting(session, conversation, escalation, profile, staff, now=now)


async def take(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    beginning: str,
    who: str,
    *,
    instead_of: str | None = None,
    now: datetime,
) -> Escalation:
    """Give the conversation to `who`; the beginning of the escalation's id will do.

    `instead_of`: who has it and need not be there, say is ill. Raises `NotFound`, `BadRequest`
    when several begin so, `Conflict` when somebody else has it.
    """
    escalation = await find(session, tenant_id, beginning)
    await acknowledge(session, escalation, who, instead_of=instead_of, now=now)
    if escalation.assignee != who or escalation.state == EscalationState.RESOLVED:
        raise Conflict(_is_gone(escalation))
    return escalation


async def acknowledge(
    session: AsyncSession,
    escalation: Escalation,
    who: str,
    *,
    instead_of: str | None = None,
    now: datetime,
) -> None:
    """Give what nobody has taken, or only `instead_of`, to `who`; else it is left as it is."""
    conversation = await conversations.lock(session, escalation.conversation_id)
    if await _claim(session, escalation, who, instead_of, now=now):
        await _hand_off(session, escalation, conversation, now=now)
        await _emit(session, EventType.ESCALATION_TAKEN, escalation, conversation, now=now)


async def hand_over(
    session: AsyncSession,
    conversation: Conversation,
    reason: str,
    *,
    who: str | None = None,
    now: datetime,
    profile: Profile | None = None,
    staff: Staff | None = None,
) -> Escalation:
    """Give the conversation to `who`, else to whoever takes it, because staff want it so.

    Raises `Conflict` when somebody else has it. The rest is as in `open_for`.
    """
    escalation = await open_for(
        session, conversation, Trigger.STAFF, reason, now=now, profile=profile, staff=staff
    )
    if who is None:
        return escalation
    await acknowledge(session, escalation, who, now=now)
    if escalation.assignee != who:
        raise Conflict(_is_gone(escalation))
    return escalation


async def close_for(
    session: AsyncSession, conversation_id: uuid.UUID, resolution: str, *, now: datetime
) -> Escalation | None:
    """Close the open escalation of a conversation, and return it; None without one."""
    escalation = await open_of(session, conversation_id)
    if escalation is None or not await _close(session, escalation, resolution, now=now):
        return None
    return escalation


async def take_back(
    session: AsyncSession, conversation_id: uuid.UUID, who: str, resolution: str, *, now: datetime
) -> Escalation | None:
    """Close as `close_for`; if `who` had taken it, the lead is again where it stood before."""
    escalation = await close_for(session, conversation_id, resolution, now=now)
    if escalation is not None and escalation.assignee == who:
        await _take_up(session, escalation, who, now=now)
    return escalation


async def give_back(
    session: AsyncSession, tenant_id: uuid.UUID, beginning: str, who: str, *, now: datetime
) -> Escalation:
    """Let the assistant speak again, where the lead stood before; raises as `take`.

    Nobody does so while another one has it: the contact would hear two voices.
    """
    escalation = await find(session, tenant_id, beginning)
    await _refuse_others(session, escalation, who)
    if await _close(session, escalation, f"given back by {who}", now=now):
        await _take_up(session, escalation, who, now=now)
    return escalation


async def resolve(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    beginning: str,
    who: str,
    *,
    note: str | None = None,
    now: datetime,
) -> Escalation:
    """Note that `who` has dealt with it: the lead stays theirs, a new message is answered again.

    Raises as `take`.
    """
    escalation = await find(session, tenant_id, beginning)
    await acknowledge(session, escalation, who, now=now)
    await _refuse_others(session, escalation, who)
    await _close(session, escalation, note or f"dealt with by {who}", now=now)
    return escalation


async def of_tenant(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    *,
    include_done: bool = False,
    limit: int | None = None,
    behind: Place | None = None,
) -> Sequence[Escalation]:
    """Return what waits for a person or is with one, oldest first."""
    query = select(Escalation).where(Escalation.tenant_id == tenant_id)
    if not include_done:
        query = query.where(col(Escalation.resolved_at).is_(None))
    order: tuple[Any, Any] = (col(Escalation.created_at), col(Escalation.id))
    if behind is not None:
        query = query.where(keysets.behind(order, behind))
    return (await session.exec(query.order_by(*order).limit(limit))).all()


async def of_conversation(
    session: AsyncSession, conversation_id: uuid.UUID
) -> Sequence[Escalation]:
    """Return every escalation that a conversation has had, oldest first."""
    query = select(Escalation).where(Escalation.conversation_id == conversation_id)
    return (await session.exec(query.order_by(col(Escalation.created_at)))).all()


async def find(session: AsyncSession, tenant_id: uuid.UUID, beginning: str) -> Escalation:
    """Return the escalation whose id begins so; raises `NotFound` or `BadRequest`."""
    query = select(Escalation).where(
        Escalation.tenant_id == tenant_id, col(Escalation.id).between(*_ids(beginning))
    )
    found = (await session.exec(query.limit(2))).all()
    if not found:
        raise NotFound(f"no escalation {beginning}")
    if len(found) > 1:
        raise BadRequest(f"several escalations begin with {beginning}: give more of the id")
    return found[0]


def _ids(beginning: str) -> tuple[uuid.UUID, uuid.UUID]:
    """Return the first and the last id that begin so; raise `NotFound` when none can."""
    digits = beginning.lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{0,32}", digits):
        raise NotFound(f"no escalation {beginning}")
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))


async def _still_open(session: AsyncSession, conversation_id: uuid.UUID) -> Escalation:
    found = await open_of(session, conversation_id)
    assert found is not None, "it was in the way a moment ago"
    return found


async def _refuse_others(session: AsyncSession, escalation: Escalation, who: str) -> None:
    """Raise `Conflict` while somebody else has it; nobody takes it before the transaction ends."""
    await conversations.lock(session, escalation.conversation_id)
    await session.refresh(escalation)
    if escalation.state == EscalationState.ACKNOWLEDGED and escalation.assignee != who:
        raise Conflict(_is_gone(escalation))


async def _claim(
    session: AsyncSession, escalation: Escalation, who: str, of: str | None, *, now: datetime
) -> bool:
    """Take an escalation that nobody has, or only `of`; False when there is none such any more."""
    result = await session.exec(
        update(Escalation)
        .where(col(Escalation.id) == escalation.id, col(Escalation.resolved_at).is_(None))
        .where(or_(col(Escalation.state) == EscalationState.OPEN, col(Escalation.assignee) == of))
        .values(state=EscalationState.ACKNOWLEDGED, assignee=who, acknowledged_at=now)
    )
    await session.refresh(escalation)
    return bool(result.rowcount == 1)


async def _close(
    session: AsyncSession, escalation: Escalation, resolution: str, *, now: datetime
) -> bool:
    """Resolve an escalation and let the assistant speak; False when that was done before."""
    conversation = await conversations.lock(session, escalation.conversation_id)
    result = await session.exec(
        update(Escalation)
        .where(col(Escalation.id) == escalation.id, col(Escalation.resolved_at).is_(None))
        .values(state=EscalationState.RESOLVED, resolved_at=now, resolution=resolution)
    )
    await session.refresh(escalation)
    if result.rowcount == 1:
        conversation.assistant_paused = False
        session.add(conversation)
        await _emit(session, EventType.ESCALATION_RESOLVED, escalation, conversation, now=now)
    return bool(result.rowcount == 1)


async def _hand_off(
    session: AsyncSession, escalation: Escalation, conversation: Conversation, *, now: datetime
) -> None:
    # The conversation's lead of now: it may have turned out to be another person's meanwhile.
    lead = await stages.lock(session, conversation.lead_id)
    if lead.closed_at is None:
        await stages.move(
            session,
            lead,
            Axis.LIFECYCLE,
            Lifecycle.HANDED_OFF,
            actor=escalation.assignee or "staff",
            reason=escalation.reason,
            now=now,
        )


async def _take_up(
    session: AsyncSession, escalation: Escalation, who: str, *, now: datetime
) -> None:
    """Put the lead back where it was before somebody took it."""
    conversation = await conversations.by_id(session, escalation.conversation_id)
    lead = await stages.lock(session, conversation.lead_id)
    if lead.closed_at is not None or lead.lifecycle != Lifecycle.HANDED_OFF:
        return
    before = await _before_hand_off(session, lead.id)
    to = Lifecycle.QUALIFIED if before == Lifecycle.QUALIFIED else Lifecycle.QUALIFYING
    await stages.move(
        session, lead, Axis.LIFECYCLE, to, actor=who, reason=lifecycle.GIVEN_BACK, now=now
    )


async def _before_hand_off(session: AsyncSession, lead_id: uuid.UUID) -> str | None:
    query = (
        select(Transition.from_value)
        .where(
            Transition.lead_id == lead_id,
            Transition.axis == Axis.LIFECYCLE,
            Transition.to_value == Lifecycle.HANDED_OFF,
        )
        .order_by(col(Transition.seq).desc())
        .limit(1)
    )
    return (await session.exec(query)).first()


def _is_gone(escalation: Escalation) -> str:
    if escalation.state == EscalationState.RESOLVED:
        return f"escalation {str(escalation.id)[:SHORT]} is over: {escalation.resolution}"
    return f"escalation {str(escalation.id)[:SHORT]} is with {escalation.assignee}"


async def _emit(
    session: AsyncSession,
    event: EventType,
    escalation: Escalation,
    conversation: Conversation,
    *,
    now: datetime,
) -> None:
    data = {
        "escalation_id": str(escalation.id),
        "lead_id": str(escalation.lead_id),
        "conversation_id": str(conversation.id),
        "channel": conversation.channel,
        "trigger": str(escalation.trigger),
        "reason": escalation.reason,
        "assignee": escalation.assignee,
    }
    await outbox.emit(
        session,
        escalation.tenant_id,
        event,
        lead_id=escalation.lead_id,
        data=data,
        now=now,
    )
