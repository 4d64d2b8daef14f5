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

LONGEST = 500  # characters, unless the profile says otherwise


class FreeText(FieldType):
    options = {"max_length": int}

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        text = tidy(raw)
        if not any(letter.isalnum() for letter in text):
            return Refused("I did not catch that")
        longest = int(field.options.get("max_length", LONGEST))
        if len(text) > longest:
            return Refused(f"that is more than I can note; please use fewer than {longest} letters")
        return Accepted(text, text)

    def problem(self, field: Field) -> str:
        fits = 0 < field.options.get("max_length", LONGEST) <= LONGEST_ANSWER
        return "" if fits else f"max_length must be from 1 to {LONGEST_ANSWER}"
