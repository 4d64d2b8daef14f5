"""Which leads of two people who prove to be one become one lead, and whether they may just now."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Lead, Lifecycle, Submission, SubmissionState

Pair = tuple[Lead, Lead]  # which is kept, and which becomes part of it


def of(kept: Sequence[Lead], gone: Sequence[Lead], *, since: datetime | None) -> list[Pair]:
    """Return the open leads of one profile, two by two, the older first.

    What was closed after `since` of whom is kept counts as open: who came before that meant it.
    """
    own = {lead.profile: lead for lead in kept if since and _was_open(lead, since)}
    own |= {lead.profile: lead for lead in kept if lead.closed_at is None}
    return [
        _older_first(own[lead.profile], lead)
        for lead in gone
        if lead.closed_at is None and lead.profile in own
    ]


def _was_open(lead: Lead, moment: datetime) -> bool:
    is_merged = lead.lifecycle == Lifecycle.MERGED
    return lead.closed_at is not None and lead.closed_at >= moment and not is_merged


def _older_first(one: Lead, other: Lead) -> Pair:
    if one.closed_at is not None:  # what is closed becomes part of nothing
        return one, other
    older, younger = sorted((one, other), key=lambda lead: (lead.created_at, lead.id))
    return older, younger


async def are_being_sent(
    session: AsyncSession, leads: Collection[Lead], *, besides: Collection[Pair]
) -> bool:
    """Whether a request with one of these leads is under way: its answer is for that lead.

    `besides`: where only the first of two is on its way, and nobody has sent the other yet.
    """
    query = select(Submission.lead_id, Submission.state).where(
        col(Submission.lead_id).in_([lead.id for lead in leads])
    )
    rows = (await session.exec(query)).all()
    sent = {lead_id for lead_id, state in rows if state == SubmissionState.IN_FLIGHT}
    unsent = {lead.id for lead in leads} - {lead_id for lead_id, _ in rows}
    return bool(sent - {into.id for into, lead in besides if lead.id in unsent})
