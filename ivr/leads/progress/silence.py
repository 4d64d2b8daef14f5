"""Timers of leads whose person has fallen silent: nurtured after a day, lost after a week (S0.67).

A lead is silent since its person's last words here. It is left alone while the silence is ours:
somebody is talking to it, has it, has promised something or must still send it, or a person has
moved it within the time. Each lead is moved in a transaction of its own, under its lock and under
the condition that it was found by: a second process, or a message meanwhile, finds nothing to do.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import ColumnElement, and_, exists, func, or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import Database
from ivr.db.engine import is_ending
from ivr.db.tables import (
    Axis,
    Conversation,
    ConversationStatus,
    Escalation,
    Lead,
    Lifecycle,
    Submission,
    SubmissionState,
    Task,
    Tenant,
    Transition,
    utc_now,
)
from ivr.errors import ProfileError
from ivr.leads.delivery.handover import Profiles, profile_named
from ivr.leads.profile import Profile
from ivr.leads.progress import profile_stages, stages
from ivr.leads.progress.lifecycle import Mover
from ivr.settings import Settings

ACTOR = "timer"
EVERY_SECONDS = 60.0
BATCH = 200
PACE_SECONDS = 0.05  # between two leads: a crowd that fell silent must not be heard in a call
# Held ones are not among them: they wait for what the silent person has not told.
_UNSENT = (
    SubmissionState.PENDING,
    SubmissionState.IN_FLIGHT,
    SubmissionState.FAILED,
    SubmissionState.AMBIGUOUS,
)
_OURS = (Lifecycle.NEW, Lifecycle.QUALIFYING, Lifecycle.NURTURING, Lifecycle.QUALIFIED)

_Move = Callable[[AsyncSession, Lead], Awaitable[bool]]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Group:
    """The open leads of one business in one line of it, and the moment we look at them."""

    tenant: Tenant
    profile: Profile
    profile_key: str  # the profile itself may be gone
    now: datetime


class Silence:
    """Moves silent leads for one process."""

    def __init__(
        self,
        db: Database,
        profiles: Profiles,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._db = db
        self._profiles = profiles
        self._nurture_after_hours = settings.nurture_after_hours
        self._lost_after_days = settings.lost_after_days
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(
        cls, db: Database, profiles: Profiles, settings: Settings
    ) -> AsyncIterator["Silence"]:
        """Look at the leads every minute while the block runs."""
        silence = cls(db, profiles, settings)
        task = asyncio.create_task(_run(silence), name="silence")
        try:
            yield silence
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sweep(self) -> int:
        """Move every lead whose time has come, a batch of each kind, and return how many moved."""
        moved = 0
        for group in await self._groups(now=self._clock()):
            moved += await self._nurture(group)
            moved += await self._lose(group)
        return moved

    async def _groups(self, *, now: datetime) -> list[_Group]:
        open_ones = (
            select(Lead.tenant_id, Lead.profile).where(col(Lead.closed_at).is_(None)).distinct()
        ).subquery()
        query = select(Tenant, open_ones.c.profile).join(
            open_ones, open_ones.c.tenant_id == col(Tenant.id)
        )
        async with self._db.read() as session:
            found = (await session.exec(query)).all()
        groups = [self._group(tenant, key, now=now) for tenant, key in found]
        return [group for group in groups if group is not None]

    def _group(self, tenant: Tenant, key: str, *, now: datetime) -> _Group | None:
        try:
            return _Group(tenant, profile_named(self._profiles, tenant, key), key, now)
        except ProfileError:  # the others' leads fall silent all the same
            log.exception("silent leads wait for their profile", tenant=tenant.slug)
            return None

    async def _lose(self, group: _Group) -> int:
        days = _first(group.profile.lost_after_days, self._lost_after_days)
        if days == 0:
            return 0
        condition = _is_lost(group, timedelta(days=days))
        pin = partial(
            stages.pin,
            profile=group.profile,
            stage=profile_stages.lost_stage(group.profile),
            actor=ACTOR,
            reason=f"no answer for {days:g} days",
            now=group.now,
        )
        return await self._move_all(condition, pin)

    async def _nurture(self, group: _Group) -> int:
        hours = _first(group.profile.nurture_after_hours, self._nurture_after_hours)
        if hours == 0:
            return 0
        condition = _is_to_be_nurtured(group, timedelta(hours=hours))
        move = partial(
            stages.move,
            axis=Axis.LIFECYCLE,
            to=Lifecycle.NURTURING,
            actor=ACTOR,
            reason=f"no answer for {hours:g} hours",
            now=group.now,
            by=Mover.SYSTEM,
        )
        return await self._move_all(condition, move)

    async def _move_all(self, condition: ColumnElement[bool], move: _Move) -> int:
        """Move a batch of those that are so, each by itself; return how many moved."""
        found = await self._found(condition)
        return sum([await self._try(lead_id, condition, move) for lead_id in found])

    async def _try(self, lead_id: uuid.UUID, condition: ColumnElement[bool], move: _Move) -> bool:
        """Move one; what goes wrong keeps no other waiting."""
        await asyncio.sleep(PACE_SECONDS)
        try:
            return await self._move_one(lead_id, condition, move)
        except Exception:
            if is_ending():
                raise
            log.exception("a silent lead was not moved", lead_id=str(lead_id))
            return False

    async def _move_one(
        self, lead_id: uuid.UUID, condition: ColumnElement[bool], move: _Move
    ) -> bool:
        async with self._db.write() as session:
            lead = await stages.lock(session, lead_id)
            still = select(Lead.id).where(Lead.id == lead_id, condition)
            if (await session.exec(still)).first() is None:
                return False
            return await move(session, lead)

    async def _found(self, condition: ColumnElement[bool]) -> Sequence[uuid.UUID]:
        """Return the longest silent."""
        query = select(Lead.id).where(condition).order_by(_silent_since()).limit(BATCH)
        async with self._db.read() as session:
            return (await session.exec(query)).all()


def _first(of_profile: float | None, of_settings: float) -> float:
    return of_settings if of_profile is None else of_profile


def _silent_since() -> ColumnElement[datetime]:
    return func.coalesce(col(Lead.last_inbound_at), col(Lead.created_at))


def _is_to_be_nurtured(group: _Group, after: timedelta) -> ColumnElement[bool]:
    """The condition under which a lead is no longer being qualified."""
    return and_(
        _is_silent(group, after),
        col(Lead.lifecycle) == Lifecycle.QUALIFYING,
        ~_is_with_us(),
    )


def _is_lost(group: _Group, after: timedelta) -> ColumnElement[bool]:
    """The condition under which a lead is given up; nothing of it waits to be sent."""
    talking = exists().where(
        col(Conversation.lead_id) == col(Lead.id),
        col(Conversation.status) == ConversationStatus.OPEN,
    )
    unsent = exists().where(
        col(Submission.lead_id) == col(Lead.id), col(Submission.state).in_(_UNSENT)
    )
    cared_for = exists().where(
        col(Transition.lead_id) == col(Lead.id),
        or_(
            and_(
                col(Transition.actor).not_in(stages.MACHINES),
                col(Transition.at) > group.now - after,
            ),
            # It came with its stage, and nobody has written here since.
            and_(col(Transition.actor) == stages.IMPORT, col(Lead.last_inbound_at).is_(None)),
        ),
    )
    waiting = or_(_is_with_us(), talking, unsent, cared_for)
    return and_(_is_silent(group, after), col(Lead.lifecycle).in_(_OURS), ~waiting)


def _is_silent(group: _Group, after: timedelta) -> ColumnElement[bool]:
    return and_(
        col(Lead.tenant_id) == group.tenant.id,
        col(Lead.profile) == group.profile_key,
        col(Lead.closed_at).is_(None),
        _silent_since() <= group.now - after,
    )


def _is_with_us() -> ColumnElement[bool]:
    """Whether it is for one of our people to do something."""
    escalated = exists().where(
        col(Escalation.lead_id) == col(Lead.id), col(Escalation.resolved_at).is_(None)
    )
    promised = exists().where(col(Task.lead_id) == col(Lead.id), col(Task.done_at).is_(None))
    return or_(escalated, promised)


async def _run(silence: Silence) -> None:
    while True:
        try:
            await silence.sweep()
        except Exception:
            if is_ending():
                raise
            log.exception("the silent leads were not looked at")
        await asyncio.sleep(EVERY_SECONDS)
