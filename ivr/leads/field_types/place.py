"""A place, as people name it: "in Dammam", "somewhere near Al Khobar", "في الدمام"."""

import re
from collections.abc import Mapping
from datetime import date

from ivr.leads.field_types.base import (
    Accepted,
    Checked,
    Field,
    FieldType,
    Refused,
    Vocabulary,
)
from ivr.leads.field_types.speech import is_unknowing, strip_fillers, tidy
from ivr.leads.field_types.yes_no import NO, YES

LONGEST = 80  # characters
_CAPITAL = r"[A-ZÀ-Þ][\w'’-]*"
_NAMED = re.compile(rf"\b(?:in|near|around|at)\s+((?:the )?{_CAPITAL}(?:[ -]{_CAPITAL}){{0,3}})")
_NAMED_ARABIC = re.compile(r"(?<!\w)(?:في|بمدينة|قرب)\s+(?:مدينة\s+|حي\s+)?([^\W\d_]{3,})(?!\w)")
_NO_PLACE = re.compile(
    r"(?:the )?(?:january|february|march|april|may|june|july|august|september|october|november"
    r"|december|monday|tuesday|wednesday|thursday|friday|saturday|sunday|spring|summer|autumn"
    r"|winter|ramadan|english|arabic|french|spanish|urdu|hindi|sar|usd|aed|riyals?|dollars?|i|cash)"
    r"\b",
    re.IGNORECASE,
)
_NO_ARABIC_PLACE = frozenset(
    "أقرب اقرب أسرع اسرع حدود خلال الحقيقة الواقع الوقت الحال شراء بيع الشراء البيع شهر يناير "
    "فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر".split()
)
_LEAD_IN = re.compile(
    r"^(?:(?:i am|i'm|it is|it's|we are|we're|i live|i want|i would like|i'd like|looking|one"
    r"|somewhere|anywhere|preferably|mainly|only|just|for|to be|in|near|around|at"
    r"|the city of)\b\s*)+",
    re.IGNORECASE,
)
_LEAD_IN_ARABIC = re.compile(r"^(?:أريد|اريد|أفضل|في|بمدينة|مدينة|قرب)\s+(?:مدينة\s+)?")


class Place(FieldType):
    options = {"known": list, "aliases": dict}  # aliases: as people say it = as it is kept

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        if known := _known(field, raw):
            return Accepted(known, known)
        said = _LEAD_IN_ARABIC.sub("", _LEAD_IN.sub("", strip_fillers(raw))).strip(" .,!?؟،")
        unusable = is_unknowing(raw) or said.casefold() in (*YES, *NO)
        if unusable or not re.search(r"[^\W\d_]{2}", said):
            return Refused("I did not catch the place")
        if len(said) > LONGEST or len(said.split()) > 10:
            return Refused("I need just the place")
        name = said if re.search(r"[A-ZÀ-Þ]", said) else said.title()
        return Accepted(name, name)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        named = _known(field, text) or _named(tidy(text))
        verdict = self.check(field, named or "", today=today, insisted=True)
        return verdict if isinstance(verdict, Accepted) and verdict.value == named else None

    def rule(self, field: Field, *, today: date | None) -> str:
        return "the name of the place alone, such as Dammam"

    def vocabulary(self, field: Field) -> Vocabulary:
        known = tuple(field.options.get("known", ()))
        return Vocabulary(kind="words", words=known) if known else Vocabulary(kind="open")

    def problem(self, field: Field) -> str:
        aliases = field.options.get("aliases", {})
        wrong = [word for word, name in aliases.items() if not isinstance(name, str) or not name]
        return f"aliases.{wrong[0]} must be text" if wrong else ""


def _known(field: Field, text: str) -> str | None:
    """Return the one place of the profile that `text` names; of two, the longer name wins."""
    ways: Mapping[str, str] = {name: name for name in field.options.get("known", [])}
    ways = {**ways, **field.options.get("aliases", {})}
    said = [way for way in ways if re.search(rf"(?<!\w)(?:ب|ل)?{re.escape(way)}(?!\w)", text, re.I)]
    longest = [way for way in said if not any(way != o and way in o for o in said)]
    named = {ways[way] for way in longest}
    return named.pop() if len(named) == 1 else None


def _named(text: str) -> str | None:
    """Return what follows "in", where it is written like a name."""
    for match in _NAMED.finditer(text):
        if not _NO_PLACE.match(match.group(1)):
            return match.group(1)
    for match in _NAMED_ARABIC.finditer(text):
        if match.group(1) not in _NO_ARABIC_PLACE:
            return match.group(1)
    return None
