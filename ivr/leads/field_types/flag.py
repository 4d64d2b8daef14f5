"""Something that happened or not ("the demo was sent"); tools and staff set it, nobody is asked."""

from datetime import date

from ivr.leads.field_types.base import Accepted, Checked, Field, FieldType, Refused, Vocabulary
from ivr.leads.field_types.yes_no import is_yes


class Flag(FieldType):
    """The canonical values are "true" and "false"; only a true one is known."""

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        answer = is_yes(raw)
        if answer is None:
            return Refused("it must be true or false")
        value = "true" if answer else "false"
        return Accepted(value, value)

    def known(self, value: str) -> bool:
        return value == "true"

    def rule(self, field: Field, *, today: date | None) -> str:
        return "exactly true or false"

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="yes_no")
