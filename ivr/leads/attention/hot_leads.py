"""Scores that have consequences: a lead that becomes hot is a matter of minutes (S2.19).

The one way by which a score is set, whoever sets it.
"""

from dataclasses import dataclass
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Lead, Lifecycle, Trigger
from ivr.leads import last_talk
from ivr.leads.attention import escalations
from ivr.leads.attention import staff as duty
from ivr.leads.attention.staff import Staff
from ivr.leads.profile import Profile
from ivr.leads.progress import scoring, stages
from ivr.leads.progress.moves import Cause
from ivr.leads.progress.scoring import Label, Score
from ivr.webhooks import outbox
from ivr.webhooks.event_types import EventType


@dataclass(frozen=True, slots=True)
class Route:
    """Who hears of a hot lead; `escalates`: a person takes it over, the assistant is silent."""

    profile: Profile
    staff: Staff
    escalates: bool = False


async def set_score(
    session: AsyncSession,
    lead: Lead,
    score: Score,
    cause: Cause,
    route: Route,
    *,
    automatic: bool = False,
) -> bool:
    """Give a lead a score; return False when nothing changed, also where a person's word stands.

    The lead and its conversations are locked. When it becomes hot, others are told by webhook and
    staff by SMS: poke the outbox after the commit.
    """
    was_hot = lead.category == Label.HOT
    if not await scoring.write(session, lead, score, cause, automatic=automatic):
        return False
    is_over = lead.status in (stages.WON, stages.LOST) or lead.lifecycle == Lifecycle.MERGED
    if lead.category == Label.HOT and not was_hot and not is_over:  # who was submitted waits, too
        await _tell(session, lead, cause, route)
    return True


async def _tell(session: AsyncSession, lead: Lead, cause: Cause, route: Route) -> None:
    conversation = await last_talk.of_lead(session, lead.id)
    data = {
        "lead_id": str(lead.id),
        "conversation_id": str(conversation.id) if conversation else None,
        "profile": lead.profile,
        "score": lead.score,
        "label": scoring.shown_label(lead.category),
        "actor": cause.actor,
        "reason": cause.reason,
        "at": outbox.rfc3339(cause.now),
    }
    await outbox.emit(
        session, lead.tenant_id, EventType.HOT, lead_id=lead.id, data=data, now=cause.now
    )
    if conversation is None:  # it is another's by now: no silence there, and no text about this one
        return
    if route.escalates:
        words: dict[str, Any] = {
            "now": cause.now,
            "profile": route.profile,
            "staff": route.staff,
        }
        await escalations.open_for(session, conversation, Trigger.HOT, "is a hot lead", **words)
        return
    await duty.tell_hot(session, conversation, route.profile, route.staff, now=cause.now)
