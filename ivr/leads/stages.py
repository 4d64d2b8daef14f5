"""How a lead moves: stage (what we know), lifecycle (what we do), status. Every move is a row.

The stage is the pin, else the furthest one that a known field reaches (C3). A pin is set by a
person or a timer and is not undone by what is said next, with two exceptions, both written down:
a lead that is enrolled, or no longer, stands where that puts it; and a pin that came with an
import holds until more is known. Lifecycle and status move forward by themselves; people may
move them anywhere (`move`).

enrolled, a won stage and status `closed_won` are one thing, as are a lost stage and `closed_lost`.
"""

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import storable
from ivr.db.tables import Axis, Conversation, FieldValue, Lead, Lifecycle, Source, Transition
from ivr.errors import Conflict, Unprocessable
from ivr.leads import fields, moves, values
from ivr.leads.moves import Cause, Move
from ivr.leads.profile import Field, Profile

LIFECYCLES = (
    Lifecycle.NEW,
    Lifecycle.QUALIFYING,
    Lifecycle.NURTURING,
    Lifecycle.QUALIFIED,
    Lifecycle.SUBMITTED,
)
# That a silent person is talked to again is `inbound`'s word, not that of a conversation's end.
_FROM_NURTURING = (Lifecycle.NURTURING, *LIFECYCLES)
STATUSES = ("new", "contacted", "qualified")
WON, LOST = "closed_won", "closed_lost"
IMPORT = "import"  # the actor of moves that came from elsewhere
FLAG, YES, NO = "flag", "true", "false"
_WON_STAGE, _LOST_STAGE = "ENROLLED", "LOST"  # where a profile does not name its own
# What these have become is not undone by a message.
_ENDED = frozenset({Lifecycle.SUBMITTED, Lifecycle.DISQUALIFIED, Lifecycle.MERGED})


def stage_of(profile: Profile, known: Collection[str]) -> str:
    """Return the furthest stage that a known field reaches, the profile's first without one."""
    reached = [
        profile.stages.index(item.stage)
        for item in profile.fields
        if item.stage and item.key in known
    ]
    return profile.stages[max(reached, default=0)]


def stage_names(profile: Profile) -> tuple[str, ...]:
    """Return every stage in order; a profile that names no lost stage ends with `LOST`."""
    return profile.stages if profile.lost_stages else (*profile.stages, _LOST_STAGE)


def is_won(profile: Profile, stage: str) -> bool:
    """Whether a lead in this stage has become a customer."""
    return stage in (profile.won_stages or (_WON_STAGE,))


def is_lost(profile: Profile, stage: str) -> bool:
    """Whether a lead in this stage is given up."""
    return stage in (profile.lost_stages or (_LOST_STAGE,))


def won_flags(profile: Profile) -> list[Field]:
    """Return the flags that say that a lead has become a customer, such as `enrolled`."""
    return [it for it in profile.fields if it.type == FLAG and is_won(profile, it.stage)]


def demand_stage(profile: Profile, stage: str) -> str:
    """Return `stage`; raise `Unprocessable` with the valid ones unless it is one of them."""
    names = stage_names(profile)
    if stage not in names:
        raise Unprocessable(f"stage: {profile.key} has no {stage!r}; valid are {', '.join(names)}")
    return stage


async def lock(session: AsyncSession, lead_id: uuid.UUID) -> Lead:
    """Return the lead for changing: two transactions that move one lead come after each other.

    Who locks a submission as well takes its lead first. Rows that point to the lead may be added
    meanwhile (PostgreSQL: FOR NO KEY UPDATE), or who adds one and then locks would wait for ever.
    """
    query = select(Lead).where(Lead.id == lead_id).with_for_update(key_share=True)
    return (await session.exec(query.execution_options(populate_existing=True))).one()


async def assess(
    session: AsyncSession,
    lead: Lead,
    profile: Profile,
    known: Collection[str] | Mapping[str, FieldValue],
    *,
    met: bool,
    now: datetime,
    actor: str = "assistant",
    taken_back: bool = False,
) -> None:
    """Move a locked lead to where its values put it.

    `met`: the caller and we exchanged words. `taken_back`: a value is known no more, so the stage
    may go back. Of a mapping from `values.current`, flags count that say yes.
    """
    made: list[Move] = []
    reached = stage_of(profile, reaching(profile, known))
    freed = lead.stage_pin is not None and await _frees(session, lead, profile, reached)
    may_move = taken_back or freed or _is_ahead(profile, reached, lead.stage)
    if may_move and lead.stage_pin is None:
        made += await _placed(session, lead, profile, reached, Cause(actor, "fields known", now))
    if met:
        made += _both(lead, Lifecycle.QUALIFYING, "contacted", Cause(actor, _MET, now))
    if known and all(item.key in known for item in profile.required):
        made += _both(lead, Lifecycle.QUALIFIED, "qualified", Cause(actor, _COMPLETE, now))
    await moves.write(session, lead, made)


_MET, _COMPLETE = "the caller answered", "all required fields"


def reaching(
    profile: Profile, known: Collection[str] | Mapping[str, FieldValue]
) -> Collection[str]:
    """Return the names that count for the stage: a flag only when it says yes."""
    if not isinstance(known, Mapping):
        return known
    items = {item.key: item for item in profile.fields}
    return {
        name
        for name, row in known.items()
        if name in items and fields.is_known(items[name], row.value)
    }


def _is_ahead(profile: Profile, reached: str, stage: str) -> bool:
    order = profile.stages
    return stage not in order or order.index(reached) > order.index(stage)


async def submitted(session: AsyncSession, lead: Lead, *, actor: str, now: datetime) -> None:
    """Close a lead that its target took."""
    cause = Cause(actor, "the target took it", now)
    move = moves.advanced(lead, Axis.LIFECYCLE, Lifecycle.SUBMITTED, _FROM_NURTURING, cause)
    lead.closed_at = lead.closed_at or now
    await moves.write(session, lead, [move])


async def move(
    session: AsyncSession,
    lead: Lead,
    axis: Axis,
    to: str,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> bool:
    """Move a locked lead's lifecycle or status anywhere; return False when it is there already."""
    assert axis is not Axis.STAGE, "a stage is pinned, or follows from the values"
    made = moves.moved(lead, axis, to, Cause(actor, reason, now))
    await moves.write(session, lead, [made])
    return made is not None


async def pin(
    session: AsyncSession,
    lead: Lead,
    profile: Profile,
    stage: str,
    *,
    actor: str,
    reason: str,
    now: datetime,
) -> bool:
    """Put a locked lead into a stage and keep it there; return False when it stood there already.

    A won stage sets its flag (`enrolled`), any other one takes it back; of a lost one the reason
    is kept. Raises `Unprocessable` with the valid stages, `Conflict` for a merged lead.
    """
    demand_stage(profile, stage)
    _refuse_merged(lead)
    reason = storable(reason)
    await _set_flags(session, lead, profile, stage, now=now)
    lead.stage_pin = stage
    lead.lost_reason = reason if is_lost(profile, stage) else None
    made = await _placed(session, lead, profile, stage, Cause(actor, reason, now))
    await moves.write(session, lead, made)
    return any(one.axis is Axis.STAGE for one in made)


async def unpin(
    session: AsyncSession, lead: Lead, profile: Profile, *, actor: str, reason: str, now: datetime
) -> bool:
    """Let the stage of a locked lead follow from its values again; return whether it moved.

    Raises `Conflict` for a merged lead.
    """
    _refuse_merged(lead)
    lead.stage_pin = lead.lost_reason = None
    reached = stage_of(profile, reaching(profile, await values.current(session, lead.id)))
    made = await _placed(session, lead, profile, reached, Cause(actor, reason, now))
    await moves.write(session, lead, made)
    return any(one.axis is Axis.STAGE for one in made)


def _refuse_merged(lead: Lead) -> None:
    if lead.lifecycle == Lifecycle.MERGED:
        raise Conflict(f"lead {lead.id} was merged into another one")


async def inbound(session: AsyncSession, lead: Lead, profile: Profile, *, now: datetime) -> None:
    """Note that the person has written: a lost lead is open again, if the profile wants that.

    The lead is locked. What was submitted, or found not to fit, stays as it is.
    """
    lead.last_inbound_at = max(lead.last_inbound_at or now, now)
    session.add(lead)
    cause = Cause("system", "the person wrote again", now)
    if is_lost(profile, lead.stage) and lead.lifecycle not in _ENDED and profile.reopen_lost:
        await unpin(session, lead, profile, actor=cause.actor, reason=cause.reason, now=now)
    if lead.lifecycle == Lifecycle.NURTURING:
        made = moves.moved(lead, Axis.LIFECYCLE, Lifecycle.QUALIFYING, cause)
        await moves.write(session, lead, [made])


async def _placed(
    session: AsyncSession, lead: Lead, profile: Profile, stage: str, cause: Cause
) -> list[Move]:
    """Put the lead into a stage, with what that means for its status and whether it is open."""
    made = [moves.moved(lead, Axis.STAGE, stage, cause)]
    if is_won(profile, stage) or is_lost(profile, stage):
        status = WON if is_won(profile, stage) else LOST
        made.append(moves.moved(lead, Axis.STATUS, status, cause))
        lead.closed_at = lead.closed_at or cause.now
    elif lead.status in (WON, LOST):
        status = "negotiating" if lead.status == WON else "contacted"
        made.append(moves.moved(lead, Axis.STATUS, status, cause))
        await _reopen(session, lead)
    return [one for one in made if one is not None]


async def _reopen(session: AsyncSession, lead: Lead) -> None:
    """Have the lead open again, unless it has ended, or the person has another open one."""
    if lead.lifecycle in _ENDED:
        return
    other = select(Lead.id).where(
        Lead.contact_id == lead.contact_id,
        Lead.profile == lead.profile,
        Lead.id != lead.id,
        col(Lead.closed_at).is_(None),
    )
    with session.no_autoflush:  # the lead's row is written once, with all its moves
        if (await session.exec(other)).first() is None:
            lead.closed_at = None


async def _frees(session: AsyncSession, lead: Lead, profile: Profile, reached: str) -> bool:
    """Take the pin out if what is known now overrules it; return whether it did."""
    is_enrolled, was_enrolled = is_won(profile, reached), is_won(profile, lead.stage_pin or "")
    is_overruled = is_enrolled != was_enrolled and bool(won_flags(profile))
    if is_overruled or await _came_with_import(session, lead, profile):
        lead.stage_pin = lead.lost_reason = None
        return True
    return False


async def _came_with_import(session: AsyncSession, lead: Lead, profile: Profile) -> bool:
    """Whether the pin only says that imported data and stage disagree; lost is lost."""
    if is_lost(profile, lead.stage):
        return False
    query = (
        select(Transition.actor)
        .where(Transition.lead_id == lead.id, Transition.axis == Axis.STAGE)
        .order_by(col(Transition.seq).desc())
        .limit(1)
    )
    return (await session.exec(query)).first() == IMPORT


async def _set_flags(
    session: AsyncSession, lead: Lead, profile: Profile, stage: str, *, now: datetime
) -> None:
    """Have the flags of the won stages say whether this one is theirs."""
    flags = won_flags(profile)
    if not flags:
        return
    held = await values.current(session, lead.id)
    for flag in flags:
        wanted = YES if flag.stage == stage else NO
        before = held[flag.key].value if flag.key in held else NO
        if before != wanted:
            conversation = await latest_conversation(session, lead.id)
            words: dict[str, Any] = {"name": flag.key, "value": wanted, "raw": wanted}
            await values.add(session, conversation, **words, source=Source.STAFF, now=now)


async def latest_conversation(session: AsyncSession, lead_id: uuid.UUID) -> Conversation:
    """Return the lead's latest conversation."""
    query = (
        select(Conversation)
        .where(Conversation.lead_id == lead_id)
        .order_by(col(Conversation.started_at).desc(), col(Conversation.id).desc())
        .limit(1)
    )
    return (await session.exec(query)).one()


def _both(lead: Lead, lifecycle: str, status: str, cause: Cause) -> list[Move]:
    order = LIFECYCLES if lifecycle == Lifecycle.QUALIFYING else _FROM_NURTURING
    made = (
        moves.advanced(lead, Axis.LIFECYCLE, lifecycle, order, cause),
        moves.advanced(lead, Axis.STATUS, status, STATUSES, cause),
    )
    return [one for one in made if one is not None]
