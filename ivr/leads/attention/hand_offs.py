"""A lead is given to staff: the assistant falls silent in all of its conversations (S2.54)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Axis,
    Conversation,
    ConversationStatus,
    Escalation,
    Lead,
    Lifecycle,
)
from ivr.errors import Conflict
from ivr.leads import last_talk
from ivr.leads.attention import escalations
from ivr.leads.attention import staff as duty
from ivr.leads.attention.staff import Staff
from ivr.leads.profile import Profile
from ivr.leads.progress import moves, stages
from ivr.leads.progress.moves import Cause, Move


@dataclass(frozen=True, slots=True)
class HandOff:
    """Who is to have the lead, if that is known, and which of the business's people are told."""

    profile: Profile
    staff: Staff
    assignee: str | None = None


async def hand_off(session: AsyncSession, lead: Lead, wanted: HandOff, cause: Cause) -> None:
    """Give a lead to staff; once more does nothing. The lead and its conversations are locked.

    Raises `Conflict` for a closed lead, for one without a conversation, and when somebody else has
    one of them. Poke the outbox after the commit.
    """
    if lead.closed_at is not None:
        raise Conflict(f"lead {lead.id} is closed ({lead.lifecycle}, {lead.status}): it has ended")
    words: dict[str, Any] = {"actor": cause.actor, "reason": cause.reason, "now": cause.now}
    await stages.move(session, lead, Axis.LIFECYCLE, Lifecycle.HANDED_OFF, **words)
    staff = wanted.staff
    for conversation in await _concerned(session, lead):
        await escalations.hand_over(
            session,
            conversation,
            cause.reason,
            who=wanted.assignee,
            now=cause.now,
            profile=wanted.profile,
            staff=staff,
        )
        staff = replace(staff, phone=None)  # they are told once
    if wanted.assignee is not None:
        await own(session, lead, wanted.assignee, cause)


async def take_back(session: AsyncSession, lead: Lead, cause: Cause) -> None:
    """Let the assistant answer in a lead's conversations again; its lifecycle is the caller's."""
    for escalation in await _open(session, lead):
        resolution = f"given back by {cause.actor}"
        await escalations.close_for(session, escalation.conversation_id, resolution, now=cause.now)


async def own(session: AsyncSession, lead: Lead, owner: str | None, cause: Cause) -> bool:
    """Give a locked lead an owner, or none; return False when they have it already."""
    if lead.owner == owner:
        return False
    before, lead.owner, lead.updated_at = lead.owner, owner, cause.now
    await moves.write(session, lead, [Move(Axis.OWNER, before, owner or "", cause)])
    return True


async def follow(
    session: AsyncSession,
    conversation: Conversation,
    lead: Lead,
    *,
    profile: Profile,
    staff: Staff,
    now: datetime,
) -> None:
    """Have whoever has the lead also have this conversation, which begins or goes on."""
    if lead.lifecycle != Lifecycle.HANDED_OFF or lead.closed_at is not None:
        return
    if conversation.assistant_paused or not (held := await _open(session, lead)):
        return
    reason = "the lead is with staff, and the person writes here"
    who = held[0].assignee
    words: dict[str, Any] = {"who": who, "now": now, "profile": profile, "staff": staff}
    await escalations.hand_over(session, conversation, reason, **words)


async def tell_of_call(
    session: AsyncSession, call: Conversation, profile: Profile, staff: Staff, *, now: datetime
) -> None:
    """Have staff know that the person whom they have, or are to take, calls: we answer at once.

    To be called once, with the call's first row.
    """
    lead = await session.get_one(Lead, call.lead_id)
    if held := await _open(session, lead):
        await duty.tell_calling(session, call, held[0], profile, staff, now=now)


async def _concerned(session: AsyncSession, lead: Lead) -> Sequence[Conversation]:
    """Return the conversations that go on; without one the last, so that there is a case.

    Raises `Conflict` for a lead that has none: with whom we spoke proved to be somebody else.
    """
    query = (
        select(Conversation)
        .where(Conversation.lead_id == lead.id, Conversation.status == ConversationStatus.OPEN)
        .order_by(col(Conversation.id))
    )
    found = (await session.exec(query.execution_options(populate_existing=True))).all()
    if found:
        return found
    if (last := await last_talk.of_lead(session, lead.id)) is None:
        raise Conflict(f"lead {lead.id} has no conversation to hand over: give it an owner instead")
    return [last]


async def _open(session: AsyncSession, lead: Lead) -> Sequence[Escalation]:
    query = (
        select(Escalation)
        .where(Escalation.lead_id == lead.id, col(Escalation.resolved_at).is_(None))
        .order_by(col(Escalation.created_at), col(Escalation.id))
    )
    return (await session.exec(query)).all()
