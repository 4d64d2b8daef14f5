"""A phone number of any country, typed or said; canonical is E.164: "+966501234567"."""

import re
from datetime import date

import phonenumbers

from ivr.leads.field_types.base import Accepted, Checked, Field, FieldType, Refused, Vocabulary
from ivr.leads.field_types.spoken_numbers import read_aloud, runs

SHORTEST = 7  # digits that may be a number
SHORTEST_IN_TALK = 9  # and where it may as well be a price or a date
LONGEST = 15  # E.164
_EXTENSION = re.compile(r"\b(?:extension|ext\.?|x)\s*\d.*$", re.IGNORECASE)
_INTERNATIONAL = re.compile(r"\bplus\b|(?<!\d)00(?=[1-9])", re.IGNORECASE)
_PLUS = re.compile(r"\+[\s(]*\d")
_GROUPED = re.compile(r"\+?\(?\d[\d\s().-]*\d")


class Phone(FieldType):
    options = {"region": str}  # the country whose numbers may come without its code

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        said = _INTERNATIONAL.sub("+", _EXTENSION.sub("", raw))
        found = _numbers(field, said)
        if found:
            return self._accepted(found[0])
        heard = "".join(runs(said))
        if not heard:
            return Refused("I did not catch the phone number")
        if len(heard) < SHORTEST_IN_TALK:
            plus = "+" if _PLUS.search(said) else ""
            return Refused("that is too short for a phone number", partial=plus + heard)
        if len(heard) > LONGEST:
            return Refused("that is too long for a phone number")
        if not field.options.get("region") and not _PLUS.search(said):
            return Refused("I need the country code too, beginning with plus")
        return Refused(f"{read_aloud(heard, groups=(3, 3))} is not a working phone number")

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        said = _INTERNATIONAL.sub("+", _EXTENSION.sub("", text))
        found = set(_numbers(field, said, shortest=SHORTEST_IN_TALK))
        return self._accepted(found.pop()) if len(found) == 1 else None

    def spoken(self, field: Field, value: str) -> str:
        """Digit by digit, in the groups of the number's country."""
        number = phonenumbers.parse(value)
        written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
        groups = re.findall(r"\d+", written)
        return f"plus {', '.join(' '.join(group) for group in groups)}"

    def rule(self, field: Field, *, today: date | None) -> str:
        region = field.options.get("region")
        national = f"; without a country code it is one of {region}" if region else ""
        return f"a phone number with its country code, such as +966501234567{national}"

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="digits")

    def keyed(self, field: Field, keys: str) -> str:
        return keys if keys.isdigit() else ""

    def join(self, partial: str, raw: str) -> str:
        return partial + "".join(runs(raw))

    def problem(self, field: Field) -> str:
        region = field.options.get("region")
        if region and region not in phonenumbers.SUPPORTED_REGIONS:
            return f"region: {region!r} is no country code such as SA"
        return ""

    def _accepted(self, value: str) -> Accepted:
        region = phonenumbers.region_code_for_number(phonenumbers.parse(value))
        details = {"country": region} if region else {}
        return Accepted(value, self.spoken(Field("", "phone", "", ""), value), details)


def _numbers(field: Field, text: str, *, shortest: int = SHORTEST) -> list[str]:
    """Return the valid numbers in `text`, those typed as one before those that are said."""
    typed = [_bare(found) for found in _GROUPED.findall(text)]
    said = runs(text)
    plus = "+" if _PLUS.search(text) or re.search(r"\+\s*[a-z]", text) else ""
    runs_said = [plus + run for run in [*said, "".join(said)]]
    wanted = [run for run in [*typed, *runs_said] if shortest <= len(run.strip("+")) <= LONGEST]
    found = [number for run in wanted if (number := _e164(run, field.options.get("region")))]
    return list(dict.fromkeys(found))


def _bare(written: str) -> str:
    return ("+" if written.startswith("+") else "") + "".join(re.findall(r"\d", written))


def _e164(digits: str, region: str | None) -> str | None:
    """Return a valid number in E.164; one without a country code is of `region`."""
    if digits.startswith("00"):
        digits = f"+{digits[2:]}"
    ways = [(digits, region)]
    if not digits.startswith(("+", "0")):
        ways.append((f"+{digits}", None))  # the plus is often left out
    for written, country in ways:
        if country is None and not written.startswith("+"):
            continue
        try:
            number = phonenumbers.parse(written, country)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None
