"""The lifecycle's table: every pair of states, for each who may move a lead."""

from itertools import product

import pytest

from ivr.db.tables import Lead, Lifecycle, utc_now
from ivr.errors import Conflict, Unprocessable
from ivr.leads.progress.lifecycle import LEGAL, Mover, legal, turn, turn_if_legal
from ivr.leads.progress.moves import Cause

# A row is where a lead is, a column where it goes, in this order; `.` is refused.
STATES = (
    "NEW QUALIFYING NURTURING QUALIFIED APPOINTMENT_BOOKED HANDED_OFF SUBMITTED DISQUALIFIED MERGED"
).split()
TABLES = {
    Mover.SYSTEM: """
        NEW                 . x x x x x x x .
        QUALIFYING          . . x x x x x x .
        NURTURING           . x . x x x x x .
        QUALIFIED           . . . . x x x x .
        APPOINTMENT_BOOKED  . . . . . x . . .
        HANDED_OFF          . . . . . . . . .
        SUBMITTED           . . . . . . . . .
        DISQUALIFIED        . x . . . . . . .
        MERGED              . . . . . . . . .
    """,
    Mover.STAFF: """
        NEW                 . x x x x x . x .
        QUALIFYING          . . x x x x . x .
        NURTURING           . x . x x x . x .
        QUALIFIED           . x x . x x . x .
        APPOINTMENT_BOOKED  . x x x . x . x .
        HANDED_OFF          . x x x x . . x .
        SUBMITTED           . . . . x x . x .
        DISQUALIFIED        . x x x . x . . .
        MERGED              . . . . . . . . .
    """,
    Mover.MERGE: """
        NEW                 . . . . . . . . x
        QUALIFYING          . . . . . . . . x
        NURTURING           . . . . . . . . x
        QUALIFIED           . . . . . . . . x
        APPOINTMENT_BOOKED  . . . . . . . . x
        HANDED_OFF          . . . . . . . . x
        SUBMITTED           . . . . . . . . x
        DISQUALIFIED        . . . . . . . . x
        MERGED              x x x x x x x x .
    """,
}
WANTED = {
    (by, line.split()[0], to): sign == "x"
    for by, table in TABLES.items()
    for line in table.strip().splitlines()
    for to, sign in zip(STATES, line.split()[1:], strict=True)
}


def a_lead(lifecycle: str) -> Lead:
    return Lead(lifecycle=lifecycle, stage="NEW", profile="p")


def cause() -> Cause:
    return Cause("Sarah", "she knows", utc_now())


def test_every_pair_of_every_table_is_named_here() -> None:
    assert set(STATES) == set(Lifecycle)
    assert set(WANTED) == set(product(Mover, STATES, STATES))
    assert {by: set(table) for by, table in LEGAL.items()} == {by: set(STATES) for by in Mover}


@pytest.mark.parametrize(("by", "old"), list(product(Mover, STATES)))
def test_a_move_is_made_if_it_is_in_the_table_and_else_refused(by: Mover, old: str) -> None:
    for to in STATES:
        lead = a_lead(old)
        if old == to:
            assert turn(lead, to, cause(), by=by) is None
        elif WANTED[by, old, to]:
            move = turn(lead, to, cause(), by=by)
            assert move is not None and (move.old, move.new, lead.lifecycle) == (old, to, to)
        else:
            names = ", ".join(legal(by, old)) or "nothing"
            with pytest.raises(Conflict) as refused:
                turn(lead, to, cause(), by=by)
            assert str(refused.value).endswith(f"cannot become {to}; it can become {names}")
            assert lead.lifecycle == old


def test_the_road_of_s2_is_open_from_end_to_end() -> None:
    lead = a_lead("NEW")
    for to in ("QUALIFYING", "QUALIFIED", "APPOINTMENT_BOOKED", "HANDED_OFF"):
        assert turn(lead, to, cause(), by=Mover.SYSTEM)


def test_what_the_system_may_not_do_it_leaves() -> None:
    lead = a_lead("HANDED_OFF")
    assert turn_if_legal(lead, Lifecycle.QUALIFIED, cause()) is None
    assert lead.lifecycle == "HANDED_OFF"


def test_a_word_that_is_none_is_refused_with_those_that_are() -> None:
    with pytest.raises(Unprocessable, match="lifecycle: 'DONE' is none; it is one of NEW, "):
        turn(a_lead("NEW"), "DONE", cause(), by=Mover.STAFF)
