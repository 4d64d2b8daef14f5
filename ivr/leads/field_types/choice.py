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
from ivr.leads.field_types.speech import strip_fillers

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


class Choice(FieldType):
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
        return None  # words like "new" mean too many things outside their own question

    def rule(self, field: Field, *, today: date | None) -> str:
        return f"exactly one of: {', '.join(field.choices)}"

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="words", words=tuple(_plain(choice) for choice in field.choices))

    def keyed(self, field: Field, keys: str) -> str:
        number = int(keys) if keys.isdigit() else 0
        return field.choices[number - 1] if 0 < number <= len(field.choices) else ""

    def problem(self, field: Field) -> str:
        plain = [_plain(choice) for choice in field.choices]
        return "" if len(set(plain)) == len(plain) else "two choices sound the same"

    def _named(self, field: Field, said: str) -> list[str]:
        """Return the choices that `said` names: exactly, within a sentence, or "the second one"."""
        exact = [choice for choice in field.choices if _plain(choice) == said]
        within = [choice for choice in field.choices if f" {_plain(choice)} " in f" {said} "]
        longest = [c for c in within if not any(_plain(c) in _plain(o) and o != c for o in within)]
        ordinal = [
            choice
            for choice, word in zip(field.choices, _ORDINALS, strict=False)
            if re.fullmatch(rf"(?:the )?{word}(?: one)?", said)
        ]
        return exact or longest or ordinal


def either(choices: Iterable[str]) -> str:
    """Return a list as it is said: "new, used or salvage"."""
    *most, last = choices
    return f"{', '.join(most)} or {last}" if most else last
