"""How a lead moves: stage (what we know), lifecycle (what we do), status. Every move is a row.

The stage is the pin, else the furthest one that a known field reaches (C3). A pin is set by a
person or a timer and is not undone by what is said next, with two exceptions, both written down:
a lead that is enrolled, or no longer, stands where that puts it; and a pin that came with an
import holds until more is known. The lifecycle moves as the table in `lifecycle` allows, by the
values and by the business's own rules; the status forward by itself, by people anywhere.

enrolled, a won stage and status `closed_won` are one thing, as are a lost stage and `closed_lost`.
"""

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import storable
from ivr.db.tables import Axis, FieldValue, Lead, Lifecycle, Source, Transition
from ivr.errors import Conflict
from ivr.leads import last_talk, values
from ivr.leads.people import naming
from ivr.leads.profile import Profile
from ivr.leads.progress import lifecycle, moves, qualification, search
from ivr.leads.progress.lifecycle import Mover
from ivr.leads.progress.moves import Cause, Move
from ivr.leads.progress.profile_stages import (
    demand_stage,
    is_ahead,
    is_lost,
    is_won,
    lost_stage,
    reaching,
    stage_names,
    stage_of,
    won_flags,
)
from ivr.leads.progress.qualification import Rule

STATUSES = ("new", "contacted", "qualified")
WON, LOST = "closed_won", "closed_lost"
IMPORT = "import"  # the actor of moves that came from elsewhere
MACHINES = ("assistant", "system", "timer", qualification.ACTOR)  # actors that are no person
YES, NO = "true", "false"
# What these have become is not undone by a message.
_ENDED = frozenset({Lifecycle.SUBMITTED, Lifecycle.DISQUALIFIED, Lifecycle.MERGED})


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
    rule = None
    if isinstance(known, Mapping):
        name = await search.keep(session, lead, profile, known)
        if await naming.while_talking(session, lead, profile, known, name):
            await search.keep(session, lead, profile, known)
        rule = await qualification.decide(session, lead, profile, known)
    made += (again := await _taken_back(session, lead, rule, now=now))
    may_move = taken_back or freed or again or is_ahead(profile, reached, lead.stage)
    if may_move and lead.stage_pin is None:
        cause = Cause(actor, "fields known", now)
        made += await _placed(session, lead, profile, reached, cause, by_values=True)
    if met:  # that a silent one is back is `inbound`'s word
        to = Lifecycle.QUALIFYING if lead.lifecycle == Lifecycle.NEW else None
        made += _both(lead, to, "contacted", Cause(actor, _MET, now))
    if rule is not None:
        made += await _ruled(session, lead, profile, rule, now=now)
    elif known and all(item.key in known for item in profile.required):
        made += await _complete(session, lead, Cause(actor, _COMPLETE, now))
    await moves.write(session, lead, made)


_MET, _COMPLETE = "the caller answered", "all required fields"
# Moves that a person causes and that are no decision about the lead.
_FOLLOW = (_MET, _COMPLETE, lifecycle.GIVEN_BACK)


async def _complete(session: AsyncSession, lead: Lead, cause: Cause) -> list[Move]:
    """Have a lead of which all is known be qualified, unless a person has found it not ready."""
    if lead.lifecycle == Lifecycle.NURTURING and await _is_decided(session, lead):
        return []
    return _both(lead, Lifecycle.QUALIFIED, "qualified", cause)


async def _ruled(
    session: AsyncSession, lead: Lead, profile: Profile, rule: Rule, *, now: datetime
) -> list[Move]:
    """Do what a rule of the business says, unless one of its people has said otherwise."""
    to, cause = Lifecycle(rule.outcome), Cause(qualification.ACTOR, rule.name, now)
    if not lifecycle.may(Mover.SYSTEM, lead.lifecycle, to) or await _is_decided(session, lead):
        return []
    if to is Lifecycle.QUALIFIED:
        return _both(lead, to, "qualified", cause)
    if to is Lifecycle.NURTURING:
        return _one(lifecycle.turn(lead, to, cause, by=Mover.SYSTEM))
    if lead.stage_pin is not None or is_won(profile, lead.stage):
        return []  # somebody has put it there
    why = rule.reason or rule.name
    return await _disqualified(session, lead, profile, cause, by=Mover.SYSTEM, why=why)


async def _taken_back(
    session: AsyncSession, lead: Lead, rule: Rule | None, *, now: datetime
) -> list[Move]:
    """Take a lead back that a rule had found not to fit, when no rule says so any more."""
    stays = rule is not None and rule.outcome == Lifecycle.DISQUALIFIED
    if lead.lifecycle != Lifecycle.DISQUALIFIED or stays:
        return []
    last = await _last_move(session, lead, Axis.LIFECYCLE)
    if last is None or last.actor != qualification.ACTOR:
        return []
    lead.stage_pin = lead.lost_reason = None
    cause = Cause(qualification.ACTOR, f"no longer: {last.reason}", now)
    return _one(lifecycle.turn(lead, Lifecycle.QUALIFYING, cause, by=Mover.SYSTEM))


async def _is_decided(session: AsyncSession, lead: Lead) -> bool:
    """Whether a person has put the lifecycle where it is."""
    last = await _last_move(session, lead, Axis.LIFECYCLE)
    return last is not None and last.actor not in MACHINES and last.reason not in _FOLLOW


async def who_nurtures(session: AsyncSession, lead: Lead) -> str | None:
    """Return the rule, or the person, by whose word a lead is not ready yet; None: by nobody's."""
    if lead.lifecycle != Lifecycle.NURTURING:
        return None
    last = await _last_move(session, lead, Axis.LIFECYCLE)
    if last is None:
        return None
    if last.actor == qualification.ACTOR:
        return f"the rule {last.reason}"
    return None if last.actor in MACHINES else last.actor


async def _last_move(session: AsyncSession, lead: Lead, axis: Axis) -> Transition | None:
    query = select(Transition).where(Transition.lead_id == lead.id, Transition.axis == axis)
    with session.no_autoflush:  # the lead's row is written once, with all its moves
        return (await session.exec(query.order_by(col(Transition.seq).desc()).limit(1))).first()


async def disqualify(
    session: AsyncSession,
    lead: Lead,
    profile: Profile,
    *,
    by: Mover,
    actor: str,
    reason: str,
    now: datetime,
) -> bool:
    """Note that a locked lead does not fit: lost, and closed; return False when it was so already.

    Raises `Conflict` where the table of moves does not allow it.
    """
    cause = Cause(actor, storable(reason), now)
    made = await _disqualified(session, lead, profile, cause, by=by, why=reason)
    await moves.write(session, lead, made)
    return bool(made)


async def _disqualified(
    session: AsyncSession, lead: Lead, profile: Profile, cause: Cause, *, by: Mover, why: str
) -> list[Move]:
    turned = lifecycle.turn(lead, Lifecycle.DISQUALIFIED, cause, by=by)
    if turned is None:
        return []
    stage = lost_stage(profile)
    await _set_flags(session, lead, profile, stage, now=cause.now)
    lead.stage_pin, lead.lost_reason = stage, storable(why)
    return [turned, *await _placed(session, lead, profile, stage, cause)]


async def submitted(session: AsyncSession, lead: Lead, *, actor: str, now: datetime) -> None:
    """Close a lead that its target took."""
    cause = Cause(actor, "the target took it", now)
    move = lifecycle.turn_if_legal(lead, Lifecycle.SUBMITTED, cause)
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
    by: Mover = Mover.STAFF,
) -> bool:
    """Move a locked lead's lifecycle or status; return False when it is there already.

    Raises `Conflict` where the table of the lifecycle does not allow it; a status may go anywhere.
    """
    assert axis in (Axis.LIFECYCLE, Axis.STATUS), "a stage is pinned, or follows from the values"
    cause = Cause(actor, reason, now)
    if axis is Axis.LIFECYCLE:
        made = lifecycle.turn(lead, to, cause, by=by)
    else:
        made = moves.moved(lead, axis, to, cause)
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
        made = lifecycle.turn(lead, Lifecycle.QUALIFYING, cause, by=Mover.SYSTEM)
        await moves.write(session, lead, [made])


async def _placed(
    session: AsyncSession,
    lead: Lead,
    profile: Profile,
    stage: str,
    cause: Cause,
    *,
    by_values: bool = False,
) -> list[Move]:
    """Put the lead into a stage, with what that means for its status and whether it is open.

    Where no stage is a won one, a person has said that it was won, and values say nothing else.
    """
    stays_won = by_values and not any(is_won(profile, name) for name in stage_names(profile))
    made = [moves.moved(lead, Axis.STAGE, stage, cause)]
    if is_won(profile, stage) or is_lost(profile, stage):
        status = WON if is_won(profile, stage) else LOST
        made.append(moves.moved(lead, Axis.STATUS, status, cause))
        lead.closed_at = lead.closed_at or cause.now
    elif lead.status == LOST or (lead.status == WON and not stays_won):
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
    last = await _last_move(session, lead, Axis.STAGE)
    return last is not None and last.actor == IMPORT


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
            conversation = await last_talk.for_values(session, lead.id)
            words: dict[str, Any] = {"name": flag.key, "value": wanted, "raw": wanted}
            words |= {"source": Source.STAFF, "lead_id": lead.id}
            await values.add(session, conversation, **words, now=now)


def _both(lead: Lead, to: Lifecycle | None, status: str, cause: Cause) -> list[Move]:
    turned = None if to is None else lifecycle.turn_if_legal(lead, to, cause)
    return _one(turned) + _one(moves.advanced(lead, Axis.STATUS, status, STATUSES, cause))


def _one(move: Move | None) -> list[Move]:
    return [] if move is None else [move]
