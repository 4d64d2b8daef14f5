"""A year: "2020", "twenty twenty", "two thousand and eight", "'08"; canonical is four digits."""

import re
from datetime import date

from ivr.leads.field_types.base import Accepted, Checked, Field, FieldType, Refused, Vocabulary
from ivr.leads.field_types.spoken_numbers import (
    TEENS,
    TENS,
    UNITS,
    below_hundred,
    runs,
)

OLDEST = 1950
AHEAD = 1  # makers sell next year's models this year
_FOUR_DIGITS = re.compile(r"(?<![\d,.$])\d{4}(?![\d,])")
_RELATIVE = {"this year": 0, "last year": -1, "next year": 1}


def _full(run: str, today: date) -> int | None:
    """Return the year that a digit run means; two digits are at most one year ahead of today."""
    if len(run) == 4:
        return int(run)
    if len(run) != 2:
        return None
    this_century = today.year // 100 * 100 + int(run)
    return this_century if this_century <= today.year + AHEAD else this_century - 100


class Year(FieldType):
    options = {"min": int, "ahead": int}

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        said = [*_FOUR_DIGITS.findall(raw), *runs(raw)]
        years = [year for run in said if (year := _full(run, today)) is not None]
        years += [today.year + step for words, step in _RELATIVE.items() if words in raw.casefold()]
        oldest, newest = self._range(field, today)
        for year in years:
            if oldest <= year <= newest:
                return Accepted(str(year), self.spoken(field, str(year)))
        if not years:
            return Refused("I did not catch a year")
        return Refused(f"I heard {years[0]}; it has to be between {oldest} and {newest}")

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        oldest, newest = self._range(field, today)
        said = [*_FOUR_DIGITS.findall(text), *(run for run in runs(text) if len(run) == 4)]
        years = {run for run in said if oldest <= int(run) <= newest}
        if len(years) != 1:
            return None
        year = years.pop()
        return Accepted(year, self.spoken(field, year))

    def spoken(self, field: Field, value: str) -> str:
        century, rest = divmod(int(value), 100)
        if century == 20 and rest < 10:
            return "two thousand" + (f" {UNITS[rest]}" if rest else "")
        if rest < 10:
            return f"{below_hundred(century)} {'oh ' + UNITS[rest] if rest else 'hundred'}"
        return f"{below_hundred(century)} {below_hundred(rest)}"

    def rule(self, field: Field, *, today: date | None) -> str:
        oldest, ahead = field.options.get("min", OLDEST), field.options.get("ahead", AHEAD)
        newest = {0: "this year", 1: "next year"}.get(ahead, f"{ahead} years from now")
        return f"four digits, from {oldest} to {today.year + int(ahead) if today else newest}"

    def vocabulary(self, field: Field) -> Vocabulary:
        words = (*UNITS, "oh", *TEENS, *TENS, "hundred", "thousand", "and")
        return Vocabulary(kind="year", words=words, length=4)

    def keyed(self, field: Field, keys: str) -> str:
        return keys if keys.isdigit() else ""

    def problem(self, field: Field) -> str:
        return "" if 1000 <= field.options.get("min", OLDEST) <= 9998 else "min must be a year"

    def _range(self, field: Field, today: date) -> tuple[int, int]:
        oldest, ahead = field.options.get("min", OLDEST), field.options.get("ahead", AHEAD)
        return int(oldest), today.year + int(ahead)
