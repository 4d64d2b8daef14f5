"""One of the answers that the profile lists."""

import re
from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches

from ivr.leads.field_types.base import (
    Accepted,
    Checked,
    Doubtful,
    Field,
    FieldType,
    Refused,
    Vocabulary,
)
from ivr.leads.field_types.speech import strip_fillers, without_arabic_signs

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


_COMPOUND = re.compile(r"\b\w+-(?:like|style|ish)\b", re.IGNORECASE)
_DENIED = re.compile(
    r"\b(?:not|no|never|instead of|rather than|don t (?:want|like|need)|do not (?:want|like|need)"
    r"|لا أريد|لا اريد|ليس|بدل)(?: (?:to|the|an?|study|learn|do|دراسة|دورة))* $"
)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", without_arabic_signs(text.casefold())))


class Choice(FieldType):
    # find: the words mean this wherever they are said. aliases: as people say it = the choice.
    options = {"find": bool, "aliases": dict}

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        said = _plain(strip_fillers(raw))
        named = self._named(field, said)
        if len(named) == 1:
            return Accepted(named[0], named[0])
        if len(named) > 1:
            return Refused(f"I heard more than one: {either(named)}")
        near = get_close_matches(said, [_plain(choice) for choice in field.choices], 1, cutoff=0.7)
        for choice in field.choices:
            if near and _plain(choice) == near[0]:
                return Doubtful(choice, choice, f"Did you mean {choice}?")
        return Refused(f"it can be {either(field.choices)}")

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        """Only where the profile says so: "new" means too many things outside its question."""
        named = self._within(field, _plain(_COMPOUND.sub(" ", text)))
        if not field.options.get("find") or len(named) != 1:
            return None
        return Accepted(named[0], named[0])

    def rule(self, field: Field, *, today: date | None) -> str:
        return f"exactly one of: {', '.join(field.choices)}"

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="words", words=tuple(_plain(choice) for choice in field.choices))

    def keyed(self, field: Field, keys: str) -> str:
        number = int(keys) if keys.isdigit() else 0
        return field.choices[number - 1] if 0 < number <= len(field.choices) else ""

    def problem(self, field: Field) -> str:
        for said, choice in field.options.get("aliases", {}).items():
            if choice not in field.choices:
                return f"aliases.{said}: {choice!r} is not one of the choices"
        ways = [*field.choices, *field.options.get("aliases", {})]
        return "" if len(set(map(_plain, ways))) == len(ways) else "two choices sound the same"

    def _named(self, field: Field, said: str) -> list[str]:
        """Return the choices that `said` names: exactly, within a sentence, or "the second one"."""
        exact = [choice for way, choice in _ways(field).items() if way == said]
        ordinal = [
            choice
            for choice, word in zip(field.choices, _ORDINALS, strict=False)
            if re.fullmatch(rf"(?:the )?{word}(?: one)?", said)
        ]
        return exact or self._within(field, said) or ordinal

    def _within(self, field: Field, said: str) -> list[str]:
        """Return the choices named in a sentence, the longest names only, none denied."""
        ways = _ways(field)
        found = [way for way in ways if f" {way} " in f" {said} "]
        longest = [way for way in found if not any(way in other != way for other in found)]
        meant = [way for way in longest if not _DENIED.search(said[: said.index(way)])]
        return list(dict.fromkeys(ways[way] for way in meant or longest))


def _ways(field: Field) -> dict[str, str]:
    """Return the choices by the ways to say them."""
    ways = {_plain(choice): choice for choice in field.choices}
    return ways | {_plain(said): name for said, name in field.options.get("aliases", {}).items()}


def either(choices: Iterable[str]) -> str:
    """Return a list as it is said: "new, used or salvage"."""
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last
