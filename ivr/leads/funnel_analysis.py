"""How long leads stay in each stage, how many go on, and where the most are left behind. Pure,
but for one query.

A stay begins when a lead comes into a stage and ends when it leaves; who comes back begins another
one. A lead has reached a stage when it stood in it or in a later one: stages may be jumped over.
A lost lead has reached what it had reached before.
"""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, pairwise
from statistics import mean, median

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Axis, Lead, Lifecycle, Transition
from ivr.leads import stages
from ivr.leads.profile import Profile

Visit = tuple[str, datetime]  # a stage, and since when


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


async def analysis(session: AsyncSession, tenant_id: uuid.UUID, profile: Profile) -> Analysis:
    """Return the figures of all leads of one tenant and profile."""
    query = (
        select(Transition.lead_id, Transition.to_value, Transition.at)
        .join(Lead, col(Lead.id) == col(Transition.lead_id))
        .where(
            Lead.tenant_id == tenant_id,
            Lead.profile == profile.key,
            Lead.lifecycle != Lifecycle.MERGED,
            Transition.axis == Axis.STAGE,
        )
        .order_by(col(Transition.lead_id), col(Transition.seq))
    )
    rows = (await session.exec(query)).all()
    ways = [[(stage, at) for _, stage, at in way] for _, way in groupby(rows, lambda row: row[0])]
    return analyse(profile, ways)


def analyse(profile: Profile, ways: Sequence[Sequence[Visit]]) -> Analysis:
    """Return the figures of leads, each given as the stages it came into, oldest first."""
    stays = _stays(ways)
    furthest = [_furthest(profile, way) for way in ways]
    won = [stages.is_won(profile, way[-1][0]) for way in ways]
    figures = [
        _figures(profile, place, stays.get(stage, ()), furthest, won)
        for place, stage in enumerate(stages.stage_names(profile))
        if not stages.is_lost(profile, stage)
    ]
    return Analysis(len(ways), figures, _bottleneck(profile, figures), _slowest(figures))


def _stays(ways: Iterable[Sequence[Visit]]) -> Mapping[str, list[float]]:
    """Return the seconds of all ended stays, by stage."""
    found: dict[str, list[float]] = {}
    for way in ways:
        for (stage, since), (_, until) in pairwise(way):
            found.setdefault(stage, []).append((until - since).total_seconds())
    return found


def _furthest(profile: Profile, way: Sequence[Visit]) -> int:
    order = profile.stages
    places = [
        order.index(stage)
        for stage, _ in way
        if stage in order and not stages.is_lost(profile, stage)
    ]
    return max(places, default=0)


def _figures(
    profile: Profile,
    place: int,
    stays: Sequence[float],
    furthest: Sequence[int],
    won: Sequence[bool],
) -> StageFigures:
    there = [is_won for far, is_won in zip(furthest, won, strict=True) if far >= place]
    beyond = sum(far > place for far in furthest)
    return StageFigures(
        stage=profile.stages[place],
        stays=len(stays),
        average_seconds=mean(stays) if stays else None,
        median_seconds=median(stays) if stays else None,
        reached=len(there),
        conversion_rate=sum(there) * 100 / len(there) if there else 0.0,
        moved_on_rate=beyond * 100 / len(there) if there else 0.0,
    )


def _bottleneck(profile: Profile, figures: Sequence[StageFigures]) -> str | None:
    """Return where the greatest share stays behind; the earliest of equals, None if nobody does."""
    open_ones = [
        one
        for one in figures
        if one.reached and one.moved_on_rate < 100 and not stages.is_won(profile, one.stage)
    ]
    worst = min(open_ones, key=lambda one: one.moved_on_rate, default=None)
    return worst.stage if worst else None


def _slowest(figures: Sequence[StageFigures]) -> str | None:
    timed = [one for one in figures if one.average_seconds is not None]
    worst = max(timed, key=lambda one: one.average_seconds or 0.0, default=None)
    return worst.stage if worst else None
