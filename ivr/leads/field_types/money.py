"""An amount of money. In US dollars the canonical value is whole cents, "150000 cents"; in a
profile's own `currency`, whole units: "800000 SAR", a range "500000-600000 SAR".

The unit is there because values are checked again on their way: a bare 150000 would be dollars.
Both have whole minor units in their details.
"""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

from ivr.leads.field_types.amounts import (
    CURRENCIES,
    Amount,
    amounts,
    is_about_spending,
    minor_units,
    sentences,
)
from ivr.leads.field_types.base import (
    LONGEST_ANSWER,
    Accepted,
    Checked,
    Field,
    FieldType,
    Refused,
)
from ivr.leads.field_types.speech import as_ascii_digits
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


def amount_in(field: Field, text: str) -> Amount | None:
    """Return the one amount in `text`, also in a canonical value, None for none or several."""
    if currency := field.options.get("currency"):
        found = amounts(as_ascii_digits(text[:LONGEST_ANSWER]), currency)
        return found[0] if len(found) == 1 else None
    amount = cents(as_ascii_digits(text[:LONGEST_ANSWER]))
    return None if amount is None else Amount(amount, amount, "USD", is_clear=True)


def canonical(field: Field, amount: Amount) -> str:
    """Return an amount as the field's values are written."""
    is_own = field.options.get("currency") is not None
    return _accepted(amount).value if is_own else f"{amount.high} cents"


class Money(FieldType):
    options = {"min": int, "max": int, "currency": str}  # min and max in minor units

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        if currency := field.options.get("currency"):
            return self._check_in(currency, field, raw)
        amount = cents(raw)
        if amount is None or re.search(r"-\s*\$?\s*\d", raw) or len(str(amount)) > 12:
            return Refused("I need an amount in dollars")
        if beyond := _beyond(field, Amount(amount, amount, "USD", is_clear=True), _dollars):
            return Refused(beyond)
        details = {"minor_units": str(amount), "currency": "USD"}
        return Accepted(f"{amount} cents", _dollars(amount), details)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        """Only in a profile's own currency, within its limits, where only money can be meant."""
        if not (currency := field.options.get("currency")):
            return None
        clear = [it for words in sentences(text) for it in _told(words, currency)]
        if len(set(clear)) != 1 or _beyond(field, clear[0], str):
            return None
        return _accepted(clear[0])

    def spoken(self, field: Field, value: str) -> str:
        if value.endswith(" cents"):
            return _dollars(int(value.removesuffix(" cents")))
        number, _, currency = value.partition(" ")
        ends = [f"{Decimal(end):,}" for end in number.split("-")]
        return f"{' to '.join(ends)} {currency}"

    def rule(self, field: Field, *, today: date | None) -> str:
        if currency := field.options.get("currency"):
            usual = f"in {currency} if no other currency is named"
            return f'an amount or a range, {usual}: "800000 {currency}"'
        return 'an amount in US dollars, such as "$1,500"'

    def keyed(self, field: Field, keys: str) -> str:
        return keys if keys.isdigit() else ""

    def problem(self, field: Field) -> str:
        currency = field.options.get("currency")
        if currency and currency not in CURRENCIES:
            return f"currency: {currency!r} is unknown; known are {', '.join(CURRENCIES)}"
        wrong = field.options.get("min", 0) > field.options.get("max", float("inf"))
        return "min is above max" if wrong else ""

    def _check_in(self, currency: str, field: Field, raw: str) -> Checked:
        found = amounts(raw, currency)
        if not found:
            return Refused("I need an amount of money")
        amount = max(found, key=_likelihood)  # the first of those that are as likely
        if beyond := _beyond(field, amount, lambda limit: _written(limit, currency)):
            return Refused(beyond)
        return _accepted(amount)


def _told(sentence: str, currency: str) -> list[Amount]:
    """Return the amounts of a sentence; a bare number only where somebody tells what they spend."""
    spends = is_about_spending(sentence)
    return [
        it
        for it in amounts(sentence, currency)
        if it.is_clear or (spends and _is_a_price(it) and not it.may_be_year)
    ]


def _likelihood(amount: Amount) -> tuple[bool, bool, bool]:
    """Return what tells which of the numbers in an answer is the amount."""
    return amount.is_clear, _is_a_price(amount), not amount.may_be_year


def _is_a_price(amount: Amount) -> bool:
    """Whether a bare number is large enough that it counts no bedrooms."""
    return amount.high >= 1000 * minor_units(amount.currency)


def _accepted(amount: Amount) -> Accepted:
    ends = sorted({amount.low, amount.high})
    value = f"{'-'.join(_plain(end, amount.currency) for end in ends)} {amount.currency}"
    details = {"minor_units": str(amount.high), "currency": amount.currency}
    if amount.low != amount.high:
        details["minor_units_low"] = str(amount.low)
    return Accepted(value, Money().spoken(Field("", "money", "", ""), value), details)


def _plain(minor: int, currency: str) -> str:
    """Return minor units as a plain decimal number: 80000000 halalas are "800000"."""
    whole, rest = divmod(minor, minor_units(currency))
    digits = len(str(minor_units(currency))) - 1
    return f"{whole}.{rest:0{digits}}" if rest else str(whole)


def _written(minor: int, currency: str) -> str:
    return f"{Decimal(_plain(minor, currency)):,} {currency}"


def _beyond(field: Field, amount: Amount, written: Callable[[int], str]) -> str:
    """Return why an amount is outside the profile's limits, "" when it is not."""
    least, most = field.options.get("min"), field.options.get("max")
    if least is not None and amount.low < least:
        return f"it must be at least {written(least)}"
    if most is not None and amount.high > most:
        return f"it can be at most {written(most)}"
    return ""


def _dollars(amount: int) -> str:
    dollars, rest = divmod(amount, 100)
    said = f"{dollars:,} dollar{'' if dollars == 1 else 's'}"
    return f"{said} and {rest} cents" if rest else said
