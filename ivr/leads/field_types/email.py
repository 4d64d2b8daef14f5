"""An e-mail address, typed or said: "john dot doe at gmail dot com"."""

import re
from datetime import date

from ivr.leads.field_types.base import Accepted, Checked, Doubtful, Field, FieldType, Refused
from ivr.leads.field_types.speech import strip_fillers
from ivr.leads.field_types.spoken_numbers import DIGIT_WORDS, UNITS

_ADDRESS = re.compile(
    r"[a-z0-9][a-z0-9._%+'-]{0,63}@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,24}"
)
_NUMBER = re.compile(rf"\b(?:{'|'.join(UNITS)})\b")
_SIGNS = {
    r"\s+at\s+": "@",
    r"\s*\b(?:dot|period|point)\b\s*": ".",
    r"\s*\bunderscore\b\s*": "_",
    r"\s*\b(?:dash|hyphen|minus)\b\s*": "-",
    r"\s*\bplus\b\s*": "+",
}
_LEAD_IN = re.compile(r"^(?:(?:my|the|an?) )?(?:e-?mail )?(?:address )?(?:is |it'?s |that'?s )*")
_MISSPELT = {
    "gmial.com": "gmail.com", "gmai.com": "gmail.com", "gnail.com": "gmail.com",
    "gmail.co": "gmail.com", "yaho.com": "yahoo.com", "yahoo.co": "yahoo.com",
    "hotmial.com": "hotmail.com", "outlok.com": "outlook.com", "iclod.com": "icloud.com",
}  # fmt: skip


def _written(raw: str) -> str:
    """Return what was said in the signs of an address, without blanks in it."""
    text = _LEAD_IN.sub("", strip_fillers(raw).casefold()).rstrip(".!?, ")
    text = _NUMBER.sub(lambda match: DIGIT_WORDS[match.group()], text)
    for said, sign in _SIGNS.items():
        text = re.sub(said, sign, text)
    return "".join(text.split())


class Email(FieldType):
    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        written = _written(raw)
        found = _ADDRESS.search(raw.casefold()) or _ADDRESS.fullmatch(written)
        if found is None or ".." in found.group():
            missing = "an at sign" if "@" not in written else "a name, an at sign and a domain"
            return Refused(f"that does not look like an e-mail address; it needs {missing}")
        return self._verdict(field, found.group(), insisted=insisted)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        found = _ADDRESS.search(text.casefold())
        return Accepted(found.group(), self.spoken(field, found.group())) if found else None

    def spoken(self, field: Field, value: str) -> str:
        signs = {"@": " at ", ".": " dot ", "_": " underscore ", "-": " dash ", "+": " plus "}
        return "".join(signs.get(sign, sign) for sign in value)

    def rule(self, field: Field, *, today: date | None) -> str:
        return "an e-mail address; read it back letter by letter where it is not an ordinary word"

    def _verdict(self, field: Field, address: str, *, insisted: bool) -> Checked:
        name, _, domain = address.partition("@")
        if domain in _MISSPELT and not insisted:
            better = f"{name}@{_MISSPELT[domain]}"
            said = self.spoken(field, better)
            return Doubtful(better, said, f"Did you mean {said}?")
        return Accepted(address, self.spoken(field, address))
