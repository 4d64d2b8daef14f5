"""An amount in US dollars; the canonical value is whole cents with their unit: "150000 cents".

The unit is there because values are checked again on their way: a bare 150000 would be dollars.
"""

import re
from datetime import date

from ivr.leads.field_types.base import Accepted, Checked, Field, FieldType, Refused
from ivr.leads.field_types.spoken_numbers import cardinal

_TYPED = re.compile(
    r"(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d{1,2}))?(?!\d)\s*(k|grand|thousand|million)?\b", re.I
)
_CENTS = re.compile(r"(?<![\d.,])(\d+) cents?\b")
_SCALE = {"k": 1000, "grand": 1000, "thousand": 1000, "million": 1_000_000}
_HALF = re.compile(r"\b(\w+) and a half (?:grand|thousand|k)\b")
_NOTHING = re.compile(r"\b(?:nothing|free|zero|zip)\b")


def cents(text: str) -> int | None:
    """Return the amount in `text` in cents, None when it names none."""
    plain = text.casefold()
    if exact := _CENTS.search(plain):
        return (cents(plain[: exact.start()]) or 0) + int(exact.group(1))
    if half := _HALF.search(plain):
        number = cardinal(half.group(1))
        return None if number is None else number * 100_000 + 50_000
    if typed := _TYPED.search(plain):
        return _typed_cents(typed)
    whole = cardinal(re.sub(r"\b(?:grand|k)\b", "thousand", plain))
    if whole is None:
        return 0 if _NOTHING.search(plain) else None
    return whole * 100


def _typed_cents(match: re.Match[str]) -> int:
    whole, fraction, scale = match.groups()
    amount = int(whole.replace(",", "")) * 100 + int((fraction or "0").ljust(2, "0"))
    return amount * _SCALE.get((scale or "").casefold(), 1)


class Money(FieldType):
    options = {"min": int, "max": int}  # in cents

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        amount = cents(raw)
        if amount is None or re.search(r"-\s*\$?\s*\d", raw) or len(str(amount)) > 12:
            return Refused("I need an amount in dollars")
        least, most = field.options.get("min"), field.options.get("max")
        if least is not None and amount < least:
            return Refused(f"it must be at least {_dollars(least)}")
        if most is not None and amount > most:
            return Refused(f"it can be at most {_dollars(most)}")
        return Accepted(f"{amount} cents", _dollars(amount))

    def spoken(self, field: Field, value: str) -> str:
        return _dollars(int(value.removesuffix(" cents")))

    def rule(self, field: Field, *, today: date | None) -> str:
        return 'an amount in US dollars, such as "$1,500"'

    def keyed(self, field: Field, keys: str) -> str:
        return keys if keys.isdigit() else ""

    def problem(self, field: Field) -> str:
        wrong = field.options.get("min", 0) > field.options.get("max", float("inf"))
        return "min is above max" if wrong else ""


def _dollars(amount: int) -> str:
    dollars, rest = divmod(amount, 100)
    said = f"{dollars:,} dollar{'' if dollars == 1 else 's'}"
    return f"{said} and {rest} cents" if rest else said
