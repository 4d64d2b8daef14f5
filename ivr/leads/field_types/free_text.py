"""Anything the caller says, kept as it was said."""

from datetime import date

from ivr.leads.field_types.base import (
    LONGEST_ANSWER,
    Accepted,
    Checked,
    Field,
    FieldType,
    Refused,
)
from ivr.leads.field_types.speech import tidy
from ivr.leads.field_types.time_phrases import time_phrase

TIME = "time"
LONGEST = 500  # characters, unless the profile says otherwise


class FreeText(FieldType):
    options = {"max_length": int, "find": str}  # find "time": "next month" means it wherever said

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        text = tidy(raw)
        if not any(letter.isalnum() for letter in text):
            return Refused("I did not catch that")
        longest = int(field.options.get("max_length", LONGEST))
        if len(text) > longest:
            return Refused(f"that is more than I can note; please use fewer than {longest} letters")
        return Accepted(text, text)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        found = time_phrase(tidy(text)) if field.options.get("find") == TIME else None
        return Accepted(found, found) if found else None

    def problem(self, field: Field) -> str:
        if field.options.get("find", TIME) != TIME:
            return f"find: must be {TIME!r}, or left out"
        fits = 0 < field.options.get("max_length", LONGEST) <= LONGEST_ANSWER
        return "" if fits else f"max_length must be from 1 to {LONGEST_ANSWER}"
