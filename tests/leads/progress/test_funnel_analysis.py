"""Time in each stage and who goes on, against figures worked out by hand."""

from datetime import timedelta

import pytest

from ivr.db import Database
from ivr.leads.progress.funnel_analysis import Analysis, StageFigures, analysis
from tests.leads.cast import NOW
from tests.leads.courses import COURSES, centre, chat, pin, tell

# Ahmed goes all the way; Sara jumps to the demo; Omar is lost after his name; Mona is new; Ali goes
# back from the course to his name, and on again.
WAYS = [
    (("NEW", 0), ("NAME_COLLECTED", 1), ("COURSE_SELECTED", 3), ("ENROLLED", 10)),
    (("NEW", 0), ("DEMO_SHARED", 2)),
    (("NEW", 0), ("NAME_COLLECTED", 3), ("LOST", 4)),
    (("NEW", 5),),
    (
        ("NEW", 0),
        ("NAME_COLLECTED", 2),
        ("COURSE_SELECTED", 3),
        ("NAME_COLLECTED", 4),
        ("COURSE_SELECTED", 8),
    ),
]


@pytest.fixture
async def found(db: Database) -> Analysis:
    """The figures of people who came into these stages, each so many hours after the beginning."""
    tenant = await centre(db)
    for (_, began), *steps in WAYS:
        talk = await chat(db, tenant, now=NOW + timedelta(hours=began))
        for stage, hours in steps:
            await pin(db, talk, stage, now=NOW + timedelta(hours=hours))
    async with db.read() as session:
        return await analysis(session, tenant.id, COURSES)


def figures(found: Analysis, stage: str) -> StageFigures:
    return next(one for one in found.stages if one.stage == stage)


async def test_the_time_in_a_stage_is_that_of_the_stays_that_ended(found: Analysis) -> None:
    new = figures(found, "NEW")
    assert (new.stays, new.average_seconds, new.median_seconds) == (4, 2 * 3600, 2 * 3600)
    demo = figures(found, "DEMO_SHARED")
    assert (demo.stays, demo.average_seconds, demo.median_seconds) == (0, None, None)


async def test_who_comes_back_stays_a_second_time(found: Analysis) -> None:
    name = figures(found, "NAME_COLLECTED")  # 2 h, 1 h, 1 h, 4 h
    assert (name.stays, name.average_seconds, name.median_seconds) == (4, 2 * 3600, 1.5 * 3600)


async def test_who_jumps_over_a_stage_has_reached_it_and_gone_on(found: Analysis) -> None:
    education = figures(found, "EDUCATION_COLLECTED")
    assert (education.reached, education.moved_on_rate, education.conversion_rate) == (2, 100, 50)


async def test_the_rates_are_of_those_who_reached_the_stage(found: Analysis) -> None:
    name = figures(found, "NAME_COLLECTED")  # all but Mona; Omar was lost there
    assert (name.reached, name.moved_on_rate, name.conversion_rate) == (4, 75, 25)
    course = figures(found, "COURSE_SELECTED")
    assert (course.reached, round(course.moved_on_rate, 2)) == (3, 66.67)


async def test_the_bottleneck_is_where_most_stay_behind_and_the_slowest_takes_the_most_time(
    found: Analysis,
) -> None:
    assert (found.bottleneck, found.slowest, found.total_leads) == (
        "DEMO_SHARED",
        "COURSE_SELECTED",
        5,
    )


async def test_lost_is_no_station_of_the_way(found: Analysis) -> None:
    assert "LOST" not in [one.stage for one in found.stages]


async def test_nobody_is_no_bottleneck(db: Database) -> None:
    tenant = await centre(db)
    async with db.read() as session:
        found = await analysis(session, tenant.id, COURSES)
    assert (found.total_leads, found.bottleneck, found.slowest) == (0, None, None)
    assert {one.conversion_rate for one in found.stages} == {0.0}


async def test_the_figures_come_from_the_history_of_ones_own_leads(db: Database) -> None:
    tenant, other = await centre(db), await centre(db, "other")
    mine, theirs = await chat(db, tenant), await chat(db, other)
    await tell(db, mine, name="Ahmed", now=NOW + timedelta(hours=1))
    await pin(db, mine, "ENROLLED", now=NOW + timedelta(hours=3))
    await pin(db, theirs, "LOST")
    async with db.read() as session:
        found = await analysis(session, tenant.id, COURSES)
    assert found.total_leads == 1
    assert figures(found, "NEW").average_seconds == 3600
    assert figures(found, "NAME_COLLECTED").average_seconds == 7200
    assert figures(found, "NEW").conversion_rate == 100
