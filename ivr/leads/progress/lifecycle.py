"""The lifecycle of a lead: the table of its legal moves, and the one setter that keeps to it.

NEW -> QUALIFYING -> QUALIFIED -> APPOINTMENT_BOOKED -> HANDED_OFF; beside it NURTURING and
DISQUALIFIED; SUBMITTED when a target took the lead, MERGED when another one has all that it had.
When a move is due is `stages`' work.
"""

from collections.abc import Mapping
from enum import StrEnum

from ivr.db.tables import Axis, Lead, Lifecycle
from ivr.errors import Conflict, Unprocessable
from ivr.leads.progress import moves
from ivr.leads.progress.moves import Cause, Move


class Mover(StrEnum):
    """Whose move it is; what is legal depends on it."""

    SYSTEM = "system"  # values, timers, rules, targets
    STAFF = "staff"
    MERGE = "merge"  # two leads become one, or two again


GIVEN_BACK = "given back to the assistant"  # the reason: it goes on where it was

Moves = Mapping[Lifecycle, tuple[Lifecycle, ...]]

_NEW, _QUALIFYING, _NURTURING = Lifecycle.NEW, Lifecycle.QUALIFYING, Lifecycle.NURTURING
_QUALIFIED, _DISQUALIFIED = Lifecycle.QUALIFIED, Lifecycle.DISQUALIFIED
_BOOKED, _HANDED_OFF = Lifecycle.APPOINTMENT_BOOKED, Lifecycle.HANDED_OFF
_SUBMITTED, _MERGED = Lifecycle.SUBMITTED, Lifecycle.MERGED

# Forward only, but for two ways back: a silent person writes again (NURTURING), and what a rule
# said of values that were corrected since (DISQUALIFIED) is taken back by the rules.
_BY_SYSTEM: Moves = {
    _NEW: (
        _QUALIFYING,
        _NURTURING,
        _QUALIFIED,
        _BOOKED,
        _HANDED_OFF,
        _SUBMITTED,
        _DISQUALIFIED,
    ),
    _QUALIFYING: (_NURTURING, _QUALIFIED, _BOOKED, _HANDED_OFF, _SUBMITTED, _DISQUALIFIED),
    _NURTURING: (_QUALIFYING, _QUALIFIED, _BOOKED, _HANDED_OFF, _SUBMITTED, _DISQUALIFIED),
    _QUALIFIED: (_BOOKED, _HANDED_OFF, _SUBMITTED, _DISQUALIFIED),
    _BOOKED: (_HANDED_OFF,),
    _HANDED_OFF: (),
    _DISQUALIFIED: (_QUALIFYING,),
    _SUBMITTED: (),
    _MERGED: (),
}
# Nobody makes a lead NEW again, or says for a target or a merge that it has happened.
_OWN_WORDS = (_QUALIFYING, _NURTURING, _QUALIFIED, _BOOKED, _HANDED_OFF, _DISQUALIFIED)
_BY_STAFF: Moves = {
    **{
        old: tuple(new for new in _OWN_WORDS if new != old)
        for old in (_NEW, _QUALIFYING, _NURTURING, _QUALIFIED, _BOOKED, _HANDED_OFF)
    },
    _DISQUALIFIED: (_QUALIFYING, _NURTURING, _QUALIFIED, _HANDED_OFF),
    _SUBMITTED: (_BOOKED, _HANDED_OFF, _DISQUALIFIED),  # the buyer has it: it is asked no more
    _MERGED: (),
}
_BY_MERGE: Moves = {
    **{old: (_MERGED,) for old in Lifecycle if old != _MERGED},
    _MERGED: tuple(new for new in Lifecycle if new != _MERGED),  # undone: where it was
}
LEGAL: Mapping[Mover, Moves] = {
    Mover.SYSTEM: _BY_SYSTEM,
    Mover.STAFF: _BY_STAFF,
    Mover.MERGE: _BY_MERGE,
}


def legal(by: Mover, old: str) -> tuple[Lifecycle, ...]:
    """Return where a lead that is `old` may go."""
    return LEGAL[by][Lifecycle(old)]


def may(by: Mover, old: str, to: str) -> bool:
    """Return whether the move is in the table."""
    return to in legal(by, old)


def turn(lead: Lead, to: str, cause: Cause, *, by: Mover) -> Move | None:
    """Move the lead's lifecycle; None when it is there already.

    Raises `Conflict`, which names the legal moves, and `Unprocessable` for a word that is none.
    """
    if to not in set(Lifecycle):
        names = ", ".join(Lifecycle)
        raise Unprocessable(f"lifecycle: {to!r} is none; it is one of {names}")
    if lead.lifecycle != to and not may(by, lead.lifecycle, to):
        names = ", ".join(legal(by, lead.lifecycle)) or "nothing"
        raise Conflict(
            f"lifecycle: a lead that is {lead.lifecycle} cannot become {to}; it can become {names}"
        )
    return moves.moved(lead, Axis.LIFECYCLE, to, cause)


def turn_if_legal(lead: Lead, to: Lifecycle, cause: Cause) -> Move | None:
    """Move the lead's lifecycle by the system; None when it is there, or beyond."""
    if not may(Mover.SYSTEM, lead.lifecycle, to):
        return None
    return turn(lead, to, cause, by=Mover.SYSTEM)
