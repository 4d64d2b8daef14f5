"""A US phone number, typed or said; canonical is E.164: "+17705550123"."""

import re
from datetime import date

import phonenumbers

from ivr.leads.field_types.base import Accepted, Checked, Field, FieldType, Refused, Vocabulary
from ivr.leads.field_types.spoken_numbers import TENS, UNITS, count_word, read_aloud, runs

UNITED_STATES = frozenset({"US", "PR", "VI", "GU", "AS", "MP"})  # and the territories
_TYPED = re.compile(r"(?<![\d+])(?:\+?1[\s.-]*)?\(?\d{3}\)?[\s.-]*\d{3}[\s.-]*\d{4}(?!\d)")
_FOREIGN = re.compile(r"(?:\+|\b(?:011|00))[\s-]*([2-9]\d[\d\s-]{6,})")
_EXTENSION = re.compile(r"\b(?:extension|ext\.?|x)\s*\d.*$", re.IGNORECASE)
_SPOKEN_AREA = re.compile(rf"\b(?:{'|'.join(UNITS)}) (?:{'|'.join(TENS)})\b", re.IGNORECASE)
_TOLL_FREE = phonenumbers.PhoneNumberType.TOLL_FREE


def _candidates(raw: str) -> list[str]:
    """Return the digit strings in `raw` that have the length of a phone number."""
    typed = ["".join(re.findall(r"\d", found)) for found in _TYPED.findall(raw)]
    said = runs(raw)
    return [run for run in [*typed, *said, "".join(said)] if _national(run)]


def _national(run: str) -> str:
    """Return the ten digits of a run with or without the country code 1, else ""."""
    if len(run) == 11 and run.startswith("1"):
        return run[1:]
    return run if len(run) == 10 else ""


class UsPhone(FieldType):
    options = {"countries": list}

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        said = _EXTENSION.sub("", raw)
        if _FOREIGN.search(said):
            return Refused("that is not a number in the United States")
        found = _candidates(said)
        if found:
            return self._verdict(field, _national(found[0]))
        heard = "".join(runs(said))
        if not heard:
            return Refused("I did not catch the phone number")
        if area := _SPOKEN_AREA.search(said):  # "seven seventy five ..." is 770 5, not 7 75
            apart = f"{said[: area.end()]} and {said[area.end() :]}"
            if len("".join(runs(apart))) == 10:
                return self._verdict(field, "".join(runs(apart)))
        return self._wrong_length(heard)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        found = {_national(run) for run in _candidates(_EXTENSION.sub("", text))}
        if len(found) != 1 or _FOREIGN.search(text):
            return None
        verdict = self._verdict(field, found.pop())
        return verdict if isinstance(verdict, Accepted) else None

    def spoken(self, field: Field, value: str) -> str:
        return read_aloud(value.removeprefix("+1").removeprefix("+"), groups=(3, 3))

    def rule(self, field: Field, *, today: date | None) -> str:
        return "a US phone number with area code, ten digits"

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="digits", length=10)

    def keyed(self, field: Field, keys: str) -> str:
        return keys if keys.isdigit() else ""

    def join(self, partial: str, raw: str) -> str:
        """Digits in the order said, but an area code given afterwards goes to the front."""
        more = "".join(runs(raw))
        return more + partial if len(partial) == 7 and len(more) == 3 else partial + more

    def problem(self, field: Field) -> str:
        known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1]
        unknown = [code for code in field.options.get("countries", []) if code not in known]
        return f"countries: {unknown[0]!r} does not dial with 1" if unknown else ""

    def _verdict(self, field: Field, national: str) -> Checked:
        number = phonenumbers.parse(f"+1{national}")
        if not phonenumbers.is_valid_number(number):
            return Refused(f"{read_aloud(national, groups=(3, 3))} is not a working phone number")
        region = phonenumbers.region_code_for_number(number) or ""
        everywhere = phonenumbers.number_type(number) == _TOLL_FREE
        if region not in field.options.get("countries", UNITED_STATES) and not everywhere:
            return Refused("that is not a number in the United States")
        value = f"+1{national}"
        return Accepted(value, self.spoken(field, value))

    def _wrong_length(self, heard: str) -> Refused:
        count = f"{count_word(len(heard))} digit{'' if len(heard) == 1 else 's'}"
        if len(heard) == 7:
            return Refused(f"I heard {count}; I need the area code too", partial=heard)
        partial = heard if len(heard) < 10 else ""
        return Refused(f"I heard {count}; a phone number has ten", partial=partial)
