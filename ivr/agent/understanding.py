"""What a caller means besides a plain answer: requests, corrections, answers to other questions.

Pure text in, findings out; what follows from them is for the collector.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum

from ivr.agent.goodbye import caller_says_goodbye
from ivr.leads.field_types.speech import after_correction, tidy
from ivr.leads.field_types.spoken_numbers import FILLERS, is_number_word, tokens
from ivr.leads.field_types.yes_no import is_yes, split_answer
from ivr.leads.fields import (
    Accepted,
    Checked,
    Doubtful,
    Field,
    Refused,
    check,
    find,
    vocabulary,
)

_PERSON = re.compile(
    r"\b(?:speak|talk)(?:ing)? (?:to|with) (?:an? |the |some)?(?:\w+ )?"
    r"(?:person|human|agent|one|body|representative|operator|manager|salesman|someone|somebody)\b"
    r"|\b(?:real (?:person|human)|live (?:person|agent)|transfer me|connect me|put me through"
    r"|customer service)\b"
    r"|^(?:an? |the )?(?:agent|representative|operator|human|person|someone)(?:,? please)?[.!]?$",
    re.IGNORECASE,
)
_REPEAT = re.compile(
    r"\b(?:repeat|say (?:that|it) again|one more time|come again|what (?:did you say|was that)"
    r"|(?:didn't|did not|couldn't|can't) (?:hear|catch|understand))\b"
    r"|^(?:sorry|pardon(?: me)?|excuse me|huh|what|again)[?.!, ]*$",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\b(?:are you|is this|am i (?:talking|speaking) (?:to|with)) (?:an? |the )?"
    r"(?:real |live |actual )?(?:robot|bot|machine|computer|ai|human|person|recording)\b",
    re.IGNORECASE,
)
_CORRECTING = re.compile(
    r"^(?:no|nope|wait|sorry)\b|\b(?:actually|i meant?|correct(?:ion)?|change|wrong|not right"
    r"|instead|mistake|should be)\b",
    re.IGNORECASE,
)
_COMMON_WORDS = frozenset("of the a an your full code number vehicle".split())


class Request(StrEnum):
    """What a caller may want instead of answering."""

    GOODBYE = "goodbye"
    PERSON = "person"
    REPEAT = "repeat"
    MACHINE = "machine"  # "are you a robot?"


def request(text: str) -> Request | None:
    """Return what the caller asks for, None when it is nothing of that kind."""
    plain = tidy(text)
    if _MACHINE.search(plain):
        return Request.MACHINE
    if _PERSON.search(plain):
        return Request.PERSON
    if caller_says_goodbye(plain):
        return Request.GOODBYE
    return Request.REPEAT if _REPEAT.search(plain) else None


def volunteered(
    asked: Field, fields: Iterable[Field], values: Mapping[str, str], text: str, *, today: date
) -> dict[str, Accepted]:
    """Return clear answers within `text` to others than `asked`: missing ones, and corrections."""
    found = {}
    for field in fields:
        answer = None if field.key == asked.key else find(field, text, today=today)
        if answer is None or answer.value == values.get(field.key):
            continue
        if _may_be_part(asked, field, text):
            continue
        if field.key not in values or _is_correction(field, text):
            found[field.key] = answer
    return found


def best(field: Field, text: str, others: Iterable[Field], *, today: date) -> Checked:
    """Return the verdict on an answer to `field`, looking past corrections and other clauses.

    `others` are the fields answered in the same text; their clauses are not taken for this one.
    """
    others = list(others)
    readings = [after_correction(text), text, *_clauses(text)]
    verdicts = []
    for reading in filter(None, readings):
        if not any(find(other, reading, today=today) for other in others):
            verdicts.append(check(field, reading, today=today))
        elif answer := find(field, reading, today=today):
            verdicts.append(answer)
    return _first_usable(verdicts) or check(field, "", today=today)


def value_in_reply(field: Field, text: str, *, today: date) -> Accepted | None:
    """Return the value of `field` in a reply to a yes-or-no question about it, None without one."""
    if not text or is_yes(text) is True:
        return None
    verdict = best(field, text, [], today=today)
    is_number = vocabulary(field).kind in ("digits", "year")
    if isinstance(verdict, Accepted) and (is_number or is_yes(text) is None):
        return verdict
    return None  # a "no" is no name


def without_no(field: Field, text: str) -> str:
    """Return `text` without a "no," in front, where the field itself cannot be answered by no."""
    answer, rest = split_answer(text)
    takes_no = field.type in ("yes_no", "choice", "free_text")
    return rest if answer is False and rest and not takes_no else text


def _first_usable(verdicts: list[Checked]) -> Checked | None:
    """Accepted before doubtful before refused; among equals, the first reading."""
    for kind in (Accepted, Doubtful, Refused):
        for verdict in verdicts:
            if isinstance(verdict, kind):
                return verdict
    return None


def _clauses(text: str) -> list[str]:
    parts = re.split(r"[,;!?]\s*|\.\s+|\band\b", text)
    clauses = [part.strip() for part in parts if part.strip()]
    return clauses if len(clauses) > 1 else []


def _may_be_part(asked: Field, other: Field, text: str) -> bool:
    """Whether a bare number, clear for `other`, may be a part of the longer one asked for."""
    longer = vocabulary(asked).length > vocabulary(other).length > 0
    return longer and not any(
        word not in FILLERS and word not in ("hundred", "thousand") and not is_number_word(word)
        for word in tokens(text)
    )


def _is_correction(field: Field, text: str) -> bool:
    """Whether `text` corrects: it says so, or names the field ("my zip is ...")."""
    words = set(re.findall(r"\w+", text.casefold()))
    named = set(re.findall(r"[a-z]+", f"{field.label} {field.key}".casefold())) - _COMMON_WORDS
    return bool(_CORRECTING.search(tidy(text)) or words & named)
