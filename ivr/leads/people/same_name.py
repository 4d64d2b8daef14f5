"""Whether two names can be one person's. Pure; what follows from it is `identity`'s decision.

Names in different scripts are not compared: nobody here transliterates.
"""

import re
import unicodedata
from collections.abc import Sequence
from difflib import SequenceMatcher
from enum import StrEnum

_ALIKE = 0.75  # of one word heard twice: John and Jon, Doe and Dow are, Mary and John are not
_ARTICLES = frozenset(("al", "el"))


class Verdict(StrEnum):
    """What two names say about each other."""

    FIT = "fit"
    CLASH = "clash"
    UNCLEAR = "unclear"


def compare(one: str | None, other: str | None) -> Verdict:
    """Return whether the names may be one person's; a name that is missing fits every other."""
    first, second = _words(one), _words(other)
    if not first or not second or set(first) == set(second):
        return Verdict.FIT
    if _script(first) != _script(second):
        return Verdict.UNCLEAR
    if first[0] == second[0]:
        return _with_last_names(first[1:], second[1:])
    if len(first) == 1 or len(second) == 1:
        return _with_one_word(first, second)
    return Verdict.UNCLEAR if _are_alike(first[0], second[0]) else Verdict.CLASH


def compare_with_all(name: str | None, known: Sequence[str]) -> Verdict:
    """Return whether a name fits one of those that a person gave; if none, what the first says."""
    if any(compare(name, one) is Verdict.FIT for one in known):
        return Verdict.FIT
    return compare(name, known[0] if known else None)


def shares_a_word(one: str | None, other: str | None) -> bool:
    """Whether a word of one name stands in the other; not so where a name is missing."""
    return bool(set(_words(one)) & set(_words(other)))


def _with_last_names(one: list[str], other: list[str]) -> Verdict:
    """Two last names that have nothing of each other may be one that was misheard, or a second."""
    if not one or not other or _are_alike(one[-1], other[-1]) or set(one) & set(other):
        return Verdict.FIT
    return Verdict.UNCLEAR


def _with_one_word(one: list[str], other: list[str]) -> Verdict:
    """A single word may be a last name, or a first name written otherwise."""
    single, words = (one[0], other) if len(one) == 1 else (other[0], one)
    return Verdict.UNCLEAR if any(_are_alike(single, word) for word in words) else Verdict.CLASH


def _words(name: str | None) -> list[str]:
    """Return the words of a name without case, accents and points; "Al-Rashid" as "rashid"."""
    plain = unicodedata.normalize("NFKD", name or "").casefold()
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    words = re.findall(r"[^\W\d_]+", re.sub(r"['’.]", "", plain))
    return [word for word in words if word not in _ARTICLES] or words


def _script(words: list[str]) -> str:
    """Return the name of the script, e.g. LATIN or ARABIC."""
    return unicodedata.name(words[0][0], "").partition(" ")[0]


def _are_alike(one: str, other: str) -> bool:
    return SequenceMatcher(None, one, other).ratio() >= _ALIKE
