"""How long leads stay in each stage, how many go on, and where the most are left behind.

A stay begins when a lead comes into a stage and ends when it leaves; who comes back begins another
one. A lead has reached a stage when it stood in it or in a later one: stages may be jumped over.
A lost lead has reached what it had reached before. The database does the counting: done here, a
hundred thousand leads would keep the calls of this process waiting for seconds.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, extract
from sqlalchemy.orm import Mapped
from sqlmodel import case, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Axis, Lead, Lifecycle, Transition
from ivr.leads.profile import Profile
from ivr.leads.progress import profile_stages


@dataclass(frozen=True, slots=True)
class StageFigures:
    """One stage; the seconds are of ended stays, the rates per cent of the leads that reached it.

    `conversion_rate`: are won now. `moved_on_rate`: reached a later stage that is no lost one.
    """

    stage: str
    stays: int
    average_seconds: float | None
    median_seconds: float | None
    reached: int
    conversion_rate: float
    moved_on_rate: float


@dataclass(frozen=True, slots=True)
class Analysis:
    """The whole funnel; `bottleneck`: where the most stay behind, `slowest`: the most time."""

    total_leads: int
    stages: Sequence[StageFigures]
    bottleneck: str | None
    slowest: str | None


@dataclass(frozen=True, slots=True)
class _Stays:
    """How often a stage was left, and after how many seconds."""

    many: int = 0
    average: float | None = None
    median: float | None = None


@dataclass(frozen=True, slots=True)
class _Way:
    """So many leads came as far as the stage at this place, and are won now or not."""

    furthest: int
    is_won: bool
    many: int


async def analysis(session: AsyncSession, tenant_id: uuid.UUID, profile: Profile) -> Analysis:
    """Return the figures of all leads of one tenant and profile."""
    visits = _visits(session, tenant_id, profile)
    stays, ways = await _stays(session, visits), await _ways(session, visits, profile)
    figures = [
        _figures(stage, place, stays.get(stage, _Stays()), ways)
        for place, stage in _places(profile).items()
    ]
    total = sum(way.many for way in ways)
    return Analysis(total, figures, _bottleneck(profile, figures), _slowest(figures))


def _places(profile: Profile) -> Mapping[int, str]:
    """Return the stages by their place on the way; lost is no station of it."""
    names = enumerate(profile_stages.stage_names(profile))
    return {place: name for place, name in names if not profile_stages.is_lost(profile, name)}


def _visits(session: AsyncSession, tenant_id: uuid.UUID, profile: Profile) -> CTE:
    """Return each stage that a lead came into and its seconds there: none where it stands now."""
    lead_id, at = col(Transition.lead_id), col(Transition.at)
    until = func.lead(at).over(partition_by=lead_id, order_by=col(Transition.seq))
    seconds = _seconds(session, at, until).label("seconds")
    return (
        select(lead_id, col(Transition.to_value).label("stage"), seconds)
        .join(Lead, col(Lead.id) == lead_id)
        .where(
            Lead.tenant_id == tenant_id,
            Lead.profile == profile.key,
            Lead.lifecycle != Lifecycle.MERGED,
            Transition.axis == Axis.STAGE,
        )
        .cte("visits")
    )


def _seconds(
    session: AsyncSession, since: Mapped[datetime], until: ColumnElement[datetime]
) -> ColumnElement[Any]:
    if session.get_bind().dialect.name == "postgresql":
        return extract("epoch", until - since)
    return (func.julianday(until) - func.julianday(since)) * 86_400


async def _stays(session: AsyncSession, visits: CTE) -> Mapping[str, _Stays]:
    """Return the stays that ended, by stage; SQLite knows no median, so the middle is sought."""
    stage, seconds = visits.c.stage, visits.c.seconds
    ended = (
        select(
            stage,
            seconds,
            func.count().over(partition_by=stage).label("many"),
            func.row_number().over(partition_by=stage, order_by=seconds).label("place"),
        )
        .where(seconds.is_not(None))
        .subquery("ended")
    )
    is_middle = ended.c.place.in_([(ended.c.many + 1) // 2, (ended.c.many + 2) // 2])
    median = func.avg(case((is_middle, ended.c.seconds)))
    query = select(ended.c.stage, func.count(), func.avg(ended.c.seconds), median)
    rows = (await session.exec(query.group_by(ended.c.stage))).all()
    # SQLite's days are fractions: to the millisecond they are right.
    return {
        stage: _Stays(many, round(float(average), 3), round(float(middle), 3))
        for stage, many, average, middle in rows
    }


async def _ways(session: AsyncSession, visits: CTE, profile: Profile) -> Sequence[_Way]:
    places = {stage: place for place, stage in _places(profile).items()}
    last = case((visits.c.seconds.is_(None), visits.c.stage))
    leads = (
        select(
            func.max(case(places, value=visits.c.stage, else_=0)).label("furthest"),
            func.max(last).label("stage"),
        )
        .group_by(visits.c.lead_id)
        .subquery("leads")
    )
    query = select(leads.c.furthest, leads.c.stage, func.count())
    rows = (await session.exec(query.group_by(leads.c.furthest, leads.c.stage))).all()
    return [
        _Way(furthest, profile_stages.is_won(profile, stage), many)
        for furthest, stage, many in rows
    ]


def _figures(stage: str, place: int, stays: _Stays, ways: Sequence[_Way]) -> StageFigures:
    there = [way for way in ways if way.furthest >= place]
    reached = sum(way.many for way in there)
    won = sum(way.many for way in there if way.is_won)
    beyond = sum(way.many for way in there if way.furthest > place)
    return StageFigures(
        stage=stage,
        stays=stays.many,
        average_seconds=stays.average,
        median_seconds=stays.median,
        reached=reached,
        conversion_rate=won * 100 / reached if reached else 0.0,
        moved_on_rate=beyond * 100 / reached if reached else 0.0,
    )


def _bottleneck(profile: Profile, figures: Sequence[StageFigures]) -> str | None:
    """Return where the greatest share stays behind; the earliest of equals, None if nobody does."""
    open_ones = [
        one
        for one in figures
        if one.reached and one.moved_on_rate < 100 and not profile_stages.is_won(profile, one.stage)
    ]
    worst = min(open_ones, key=lambda one: one.moved_on_rate, default=None)
    return worst.stage if worst else None


def _slowest(figures: Sequence[StageFigures]) -> str | None:
    timed = [one for one in figures if one.average_seconds is not None]
    worst = max(timed, key=lambda one: one.average_seconds or 0.0, default=None)
    return worst.stage if worst else None
