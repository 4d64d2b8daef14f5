"""Check an answer against its field, say a value aloud, tell the words a field is answered with.

The one door to the field types; what a type accepts stands in `field_types/`.
"""

from datetime import date

from ivr.leads.field_types import TYPES
from ivr.leads.field_types.base import (
    LONGEST_ANSWER,
    Accepted,
    Checked,
    Doubtful,
    Field,
    Refused,
    Vocabulary,
)
from ivr.leads.field_types.speech import as_ascii_digits

__all__ = [
    "LONGEST_ANSWER",
    "Accepted",
    "Checked",
    "Doubtful",
    "Field",
    "Refused",
    "Vocabulary",
    "check",
    "find",
    "is_known",
    "join",
    "keyed_answer",
    "rule",
    "spoken",
    "vocabulary",
    "warm",
]


def check(field: Field, raw: str, *, today: date, insisted: bool = False) -> Checked:
    """Return the verdict on what a caller said or typed; never raises for it.

    `insisted` takes a doubtful value as it is: the caller stood by it when asked back.
    """
    kind = TYPES[field.type]
    verdict = kind.check(field, _plain(raw), today=today, insisted=insisted)
    # Values are checked again on their way to the target: one that would not come out the same
    # ("Hi Hi John") is worked off until it does, or refused.
    for _ in range(3):
        if not isinstance(verdict, Accepted):
            return verdict
        again = kind.check(field, _plain(verdict.value), today=today, insisted=True)
        if isinstance(again, Accepted) and again.value == verdict.value:
            return verdict
        verdict = again
    return Refused("I did not catch that")


def _plain(text: str) -> str:
    return as_ascii_digits(text[:LONGEST_ANSWER]).strip()


def find(field: Field, text: str, *, today: date) -> Accepted | None:
    """Return the field's value inside a longer sentence, when there is no doubt about it."""
    return TYPES[field.type].find(field, as_ascii_digits(text[:LONGEST_ANSWER]), today=today)


def spoken(field: Field, value: str) -> str:
    """Return a canonical value as it is said: "3 0 0 9 3", "twenty twenty"."""
    return TYPES[field.type].spoken(field, value)


def is_known(field: Field, value: str | None) -> bool:
    """Return whether a canonical value tells anything: a flag only when it is true."""
    return value is not None and TYPES[field.type].known(value)


def rule(field: Field, *, today: date | None = None) -> str:
    """Return what a good value is, as one clause for a model; "" when anything goes.

    Without `today` the words never age, so that a prompt made of them stays cached.
    """
    return TYPES[field.type].rule(field, today=today)


def vocabulary(field: Field) -> Vocabulary:
    """Return the words with which people answer, for recognisers with closed grammars."""
    return TYPES[field.type].vocabulary(field)


def keyed_answer(field: Field, keys: str) -> str:
    """Return the answer that keypad digits stand for, "" when a keypad cannot give one."""
    return TYPES[field.type].keyed(field, keys)


def join(field: Field, partial: str, raw: str) -> str:
    """Return one answer out of `Refused.partial` and what the caller said next."""
    return TYPES[field.type].join(partial, as_ascii_digits(raw[:LONGEST_ANSWER]))


def warm() -> None:
    """Load the ZIP list and the phone metadata (about a second) before a call needs them."""
    TYPES["us_zip"].check(Field("zip", "us_zip", "", ""), "30093", today=date.min, insisted=False)
    TYPES["us_phone"].check(
        Field("phone", "us_phone", "", ""), "7705550123", today=date.min, insisted=False
    )
