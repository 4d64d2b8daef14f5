"""A person's name, typed, said or spelled; canonical is "First Last" in its usual case."""

import re
from datetime import date
from difflib import SequenceMatcher
from functools import lru_cache
from importlib.resources import files

from ivr.leads.field_types.base import Accepted, Checked, Field, FieldType, Refused, Vocabulary
from ivr.leads.field_types.name_words import (
    ARABIC_LEAD_IN,
    COMMON_ABROAD,
    is_no_arabic_name,
    said_in_arabic,
    said_in_english,
    words_of,
)
from ivr.leads.field_types.speech import is_unknowing, strip_fillers, tidy
from ivr.leads.field_types.spoken_numbers import is_number_word
from ivr.leads.field_types.us_zip import STATES

LONGEST = 6  # words
PARTICLES = frozenset(
    "van von der den de da di del della dos das du la le los bin ibn al el y ter ten".split()
)
_LEAD_IN = re.compile(
    r"^(?:(?:(?:my|the|our) )?(?:full |first |last )?name(?:'s| is| would be)|this is|it'?s"
    r"|(?:ana )?[ie]smi"
    r"|it is|that'?s|that is|that would be|i'?m|i am|(?:you can |they )?call me"
    r"|(?:you'?re )?speaking (?:with|to))\b[\s,:]*",
    re.IGNORECASE,
)
_SPELLING = re.compile(
    r"\b(?:that(?:'s| is)|it'?s|is)? ?(?:spelled|spelt|spelling(?: is)?)\b", re.I
)
_AS_IN = re.compile(r"\b([A-Za-z]) (?:as in|like|for) [A-Za-z]+\b", re.IGNORECASE)
_TITLE = re.compile(r"^(?:mr|mrs|ms|miss|mister|doctor|dr)\b\.?\s+", re.IGNORECASE)
_NOT_NAMES = frozenset(
    "no nope yes yeah not why what who where when how hello help sorry stop wait nothing none is "
    "are the my you your it this that want need sell selling have got calling call phone number "
    "zip code year motorcycle bike goodbye bye repeat again please don't can't won't didn't and or "
    "in from looking interested for learn study course apartment there morning "
    "afternoon evening".split()
)

_PLACES = frozenset(
    word.casefold() for code, state in STATES.items() for word in (code, *state.split())
)


@lru_cache(maxsize=1)
def common_names() -> tuple[str, ...]:
    """Return common US first and last names, lower case: all that a closed recogniser can hear."""
    text = (files("ivr.leads") / "profiles" / "names.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return tuple(dict.fromkeys(word for line in lines for word in line.split()))


@lru_cache(maxsize=1)
def _known_names() -> frozenset[str]:
    return frozenset((*common_names(), *COMMON_ABROAD))


def standing_alone(clause: str, *, is_first: bool, single: bool) -> str:
    """Return the name that a clause beside other answers consists of, "" when it may be no name.

    `is_first`: it begins the message, where people put theirs. "Clean title" and "Virginia Beach"
    stand beside answers, too.
    """
    words = strip_fillers(clause).split()
    plain = [word.casefold().rstrip(".") for word in words]
    fewest = 1 if single and is_first else 2
    if not fewest <= len(words) <= 3 or not words_of(clause) or _PLACES.intersection(plain):
        return ""
    known = [word in _known_names() for word in plain]
    written = is_first and all(word[:1].isupper() for word in words)
    is_name = any(known) and (written or (all(known) and len(words) > 1))
    return " ".join(words) if is_name else ""


def _sentence_with_name(text: str) -> str:
    """Return the one sentence that has a name: of "Whatever. Karen Miller" the second."""
    sentences = [part for part in re.split(r"(?<=[^\W\d_]{3}[.!])\s+", text) if part]
    named = [part for part in sentences if _known_names().intersection(_plain(part))]
    if len(sentences) < 2 or len(named) != 1 or len(_plain(named[0])) < 2:
        return text
    return text if _TITLE.match(text) else named[0]


def _plain(text: str) -> list[str]:
    return [word.casefold() for word in words_of(text)]


def _words(raw: str) -> list[str]:
    """Return the words of the name in `raw`, lead-ins and titles removed."""
    said = _sentence_with_name(tidy(raw))
    text = ARABIC_LEAD_IN.sub("", strip_fillers(_AS_IN.sub(r"\1", said)))
    while (shorter := strip_fillers(_LEAD_IN.sub("", text, count=1))) != text:
        text = shorter
    text = _SPELLING.sub(" ", _TITLE.sub("", text))
    text = _restarted(text)
    return words_of(text)


def _restarted(text: str) -> str:
    """Return the last start of "John, John Doe", and "Doe, John" the right way round."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) == 2 and parts[1].casefold().startswith(parts[0].casefold()):
        return parts[1]
    return " ".join(parts)


def _unspelled(words: list[str]) -> list[str]:
    """Return the words with letters said one by one joined: John D O E -> John Doe."""
    expanded = [part for word in words for part in _letters(word)]
    out: list[str] = []
    at = 0
    while at < len(expanded):
        run = _letter_run(expanded, at)
        if len(run) >= 3 or (len(run) == 2 and at + 2 == len(expanded)):
            _add_spelled(out, "".join(run).casefold())
            at += len(run)
        else:
            out.append(expanded[at])
            at += 1
    return out


def _letters(word: str) -> list[str]:
    """Return "D-O-E" and "D.O.E" as letters, any other word as it is."""
    parts = re.split(r"[-.]", word)
    return parts if len(parts) > 1 and all(len(part) == 1 for part in parts) else [word]


def _letter_run(words: list[str], at: int) -> list[str]:
    end = at
    while end < len(words) and len(words[end]) == 1:
        end += 1
    return words[at:end]


def _add_spelled(out: list[str], spelled: str) -> None:
    """Add a spelled word; it replaces the word before when it is the spelling of that word."""
    before = out[-1].casefold() if out else ""
    alike = before[:1] == spelled[:1] and SequenceMatcher(None, before, spelled).ratio() >= 0.5
    if alike:
        out.pop()
    out.append(spelled)


def _cased(words: list[str]) -> str:
    """Return the words in the usual case; a word that came in mixed case is left as it is."""
    return " ".join(
        _capitalised(word, first=at == 0) if word.islower() or word.isupper() else word
        for at, word in enumerate(words)
    )


def _capitalised(word: str, *, first: bool) -> str:
    low = word.casefold()
    if low in PARTICLES and not first:
        return low
    cased = "".join(part.capitalize() for part in re.split(r"(['-])", low))
    cased = re.sub(r"^Mc([a-z])(?=[a-z]{2})", lambda match: f"Mc{match.group(1).upper()}", cased)
    return re.sub(r"'S$", "'s", cased)


class PersonName(FieldType):
    options = {"single": bool}  # a first name alone is enough

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        if re.search(r"\d", raw):
            return Refused("a name has no digits in it")
        words = _unspelled(_words(raw))
        plain = [word.casefold() for word in words]
        if sum(map(is_number_word, plain)) > 1:  # "Oh" and "One" alone may be names
            return Refused("a name has no digits in it")
        denied = _NOT_NAMES.intersection(plain) or any(map(is_no_arabic_name, plain))
        if not words or is_unknowing(raw) or denied:
            return Refused("I did not catch the name")
        if len(words) > LONGEST or max(map(len, words)) > 30 or sum(map(len, words)) < 2:
            return Refused("I need just the first and last name")
        return self._accepted(field, words, insisted=insisted)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        """Only after "my name is" and the like, up to the next clause."""
        single = bool(field.options.get("single"))
        plain = tidy(text)
        clause = said_in_arabic(plain) or said_in_english(plain, common_names(), single=single)
        verdict = self.check(field, clause, today=today, insisted=True)
        fewest = 1 if single else 2
        if isinstance(verdict, Accepted) and fewest <= len(verdict.value.split()) <= 4:
            return verdict
        return None

    def rule(self, field: Field, *, today: date | None) -> str:
        return "first and last name as the caller spells it, without titles"

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="names", words=common_names())

    def _accepted(self, field: Field, words: list[str], *, insisted: bool) -> Accepted:
        name = _cased(words)
        single = len(words) == 1 and not insisted and not field.options.get("single")
        return Accepted(name, name, ask_more="And your last name?" if single else "")
