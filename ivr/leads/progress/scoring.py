"""How good a lead is: a number from 0 to 100, and its label. One setter for people and programs.

What a person has set is an override: a program's score does not touch it until a person clears it.
A label that a person sets has no number; a number has the label that follows from it.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Axis, Lead
from ivr.errors import Unprocessable
from ivr.leads.progress import moves
from ivr.leads.progress.moves import Cause, Move

HOT_FROM, WARM_FROM = 70, 40
MOST = 100
_UNSCORED = "unscored"


class Label(StrEnum):
    """What a score amounts to; a lead without one is unscored."""

    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


@dataclass(frozen=True, slots=True)
class Score:
    """A score; without a label it is none, without a number a person has only said the label."""

    number: int | None = None
    label: Label | None = None

    def __str__(self) -> str:
        """Return it as transitions have it: "85", "hot" or "unscored"."""
        return str(self.number) if self.number is not None else self.label or _UNSCORED


NONE = Score()
_NAMES = ", ".join([*(label.upper() for label in Label), _UNSCORED.upper()])
_EXPECTED = f"score: expected 0 to {MOST}, or one of {_NAMES}"


def of_number(number: int, *, hot_from: int = HOT_FROM) -> Score:
    """Return the score of this number; `hot_from` is the tenant's threshold.

    Raises `Unprocessable` for a number that is none.
    """
    if not 0 <= number <= MOST:
        raise Unprocessable(_EXPECTED)
    return Score(number, label_of(number, hot_from=hot_from))


def label_of(number: int, *, hot_from: int = HOT_FROM) -> Label:
    """Return what a number amounts to."""
    if number >= hot_from:
        return Label.HOT
    return Label.WARM if number >= WARM_FROM else Label.COLD


def read_label(word: str) -> Label | None:
    """Return the label in any case, None for "unscored"; raise `Unprocessable` for another word."""
    plain = word.strip().casefold()
    if plain == _UNSCORED:
        return None
    if plain not in set(Label):
        raise Unprocessable(_EXPECTED)
    return Label(plain)


def shown_label(category: str | None) -> str:
    """Return the label as the wire has it: HOT, WARM, COLD or UNSCORED."""
    return (category or _UNSCORED).upper()


def of_lead(lead: Lead) -> Score:
    """Return the score that a lead has."""
    return Score(lead.score, Label(lead.category) if lead.category else None)


async def write(
    session: AsyncSession, lead: Lead, score: Score, cause: Cause, *, automatic: bool
) -> bool:
    """Give a locked lead a score; return whether it changed anything.

    `automatic`: a program's, which never replaces a person's. A person who clears the score hands
    it back to the programs.
    """
    if automatic and lead.score_by is not None:
        return False
    before = of_lead(lead)
    lead.score, lead.category = score.number, score.label
    lead.score_by = None if automatic or score == NONE else cause.actor
    session.add(lead)
    if score == before:
        return False
    lead.updated_at = cause.now
    await moves.write(session, lead, [Move(Axis.SCORE, str(before), str(score), cause)])
    return True
