"""How a lead moves: forward only, every move a row, numbers without gaps."""

from collections.abc import Collection
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.db import Database
from ivr.db.tables import Axis, Lead, Lifecycle, Transition
from ivr.leads.profile import load_profile
from ivr.leads.progress import profile_stages, stages
from tests.leads.cast import LEAD, NOW, call, rows

PROFILE = load_profile("powersports")


@pytest.mark.parametrize(
    ("known", "stage"),
    [
        (set(), "NEW"),
        ({"full_name"}, "NAME_COLLECTED"),
        ({"phone"}, "CONTACT_COLLECTED"),
        ({"vehicle_make"}, "NEW"),
        ({"full_name", "vehicle_year"}, "VEHICLE_STARTED"),
        (set(LEAD), "QUALIFIED"),
        ({"no_such_field"}, "NEW"),
    ],
)
def test_the_stage_is_the_furthest_that_a_known_field_reaches(
    known: Collection[str], stage: str
) -> None:
    assert profile_stages.stage_of(PROFILE, known) == stage


@given(st.sets(st.sampled_from(sorted(LEAD))), st.sets(st.sampled_from(sorted(LEAD))))
def test_knowing_more_never_moves_the_stage_back(less: set[str], more: set[str]) -> None:
    order = PROFILE.stages.index
    before = profile_stages.stage_of(PROFILE, less)
    after = profile_stages.stage_of(PROFILE, less | more)
    assert order(after) >= order(before)


async def assess(
    db: Database, known: Collection[str], *, met: bool = True, now: datetime = NOW
) -> Lead:
    async with db.write() as session:
        (found,) = await rows(db, Lead)
        lead = await stages.lock(session, found.id)
        await stages.assess(session, lead, PROFILE, known, met=met, now=now)
    (lead,) = await rows(db, Lead)
    assert isinstance(lead, Lead)
    return lead


async def test_a_lead_goes_its_way_and_every_move_is_a_row(db: Database) -> None:
    await call(db)
    lead = await assess(db, {"phone"}, met=False)
    assert (lead.stage, lead.lifecycle, lead.status) == ("CONTACT_COLLECTED", "NEW", "new")
    lead = await assess(db, {"phone", "full_name"})
    assert (lead.lifecycle, lead.status) == (Lifecycle.QUALIFYING, "contacted")
    lead = await assess(db, set(LEAD))
    assert (lead.stage, lead.lifecycle, lead.status) == ("QUALIFIED", "QUALIFIED", "qualified")
    async with db.write() as session:
        lead = await stages.lock(session, lead.id)
        await stages.submitted(session, lead, actor="npa", now=NOW)
    (lead,) = await rows(db, Lead)
    assert (lead.lifecycle, lead.closed_at) == (Lifecycle.SUBMITTED, NOW)

    for axis, value in (
        (Axis.STAGE, lead.stage),
        (Axis.LIFECYCLE, lead.lifecycle),
        (Axis.STATUS, lead.status),
    ):
        moves = [row for row in await rows(db, Transition) if row.axis == axis]
        assert [move.seq for move in moves] == list(range(1, len(moves) + 1))
        assert moves[-1].to_value == value
        assert all(
            one.to_value == two.from_value for one, two in zip(moves, moves[1:], strict=False)
        )


async def test_what_was_reached_is_not_reached_again_nor_lost(db: Database) -> None:
    await call(db)
    await assess(db, set(LEAD))
    before = len(await rows(db, Transition))
    lead = await assess(db, {"full_name"})
    assert lead.stage == "QUALIFIED"
    assert len(await rows(db, Transition)) == before


async def test_a_clock_that_is_put_back_does_not_turn_the_history_round(db: Database) -> None:
    await call(db)
    await assess(db, {"full_name"})
    await assess(db, {"phone"}, now=NOW - timedelta(hours=5))
    moves = [row for row in await rows(db, Transition) if row.axis == Axis.STAGE]
    assert [move.to_value for move in moves] == ["NEW", "NAME_COLLECTED", "CONTACT_COLLECTED"]
    assert [move.at for move in moves] == [NOW, NOW, NOW]
