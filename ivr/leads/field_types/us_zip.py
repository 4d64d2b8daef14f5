"""A US ZIP code: exactly five digits; canonical is the five digits, the state is a detail.

Real ZIPs are taken, those of refused states are not. A ZIP that is not in the list but whose
first three digits are in use is asked back once, as a person would: new ZIPs appear before
lists know them. One whose beginning no post office uses is refused.
"""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

import zipcodes

from ivr.leads.field_types.base import (
    Accepted,
    Checked,
    Doubtful,
    Field,
    FieldType,
    Refused,
    Vocabulary,
)
from ivr.leads.field_types.spoken_numbers import count_word, read_aloud, runs

_TYPED = re.compile(r"(?<![\d$.,-])(\d{5})(?:-\d{4})?(?![\d-])")
# USPS gives these beginnings to two states whole, whether a single ZIP is in the list or not.
# 96799 alone (American Samoa) lies among Hawaii's; the post reaches it through Honolulu.
_WHOLE = {"967": "HI", "968": "HI"} | {str(prefix): "AK" for prefix in range(995, 1000)}
STATES: Mapping[str, str] = {
    "AL": "Alabama", "AK": "Alaska", "AZ": "Arizona", "AR": "Arkansas", "CA": "California",
    "CO": "Colorado", "CT": "Connecticut", "DE": "Delaware", "DC": "Washington, D.C.",
    "FL": "Florida", "GA": "Georgia", "HI": "Hawaii", "ID": "Idaho", "IL": "Illinois",
    "IN": "Indiana", "IA": "Iowa", "KS": "Kansas", "KY": "Kentucky", "LA": "Louisiana",
    "ME": "Maine", "MD": "Maryland", "MA": "Massachusetts", "MI": "Michigan", "MN": "Minnesota",
    "MS": "Mississippi", "MO": "Missouri", "MT": "Montana", "NE": "Nebraska", "NV": "Nevada",
    "NH": "New Hampshire", "NJ": "New Jersey", "NM": "New Mexico", "NY": "New York",
    "NC": "North Carolina", "ND": "North Dakota", "OH": "Ohio", "OK": "Oklahoma", "OR": "Oregon",
    "PA": "Pennsylvania", "RI": "Rhode Island", "SC": "South Carolina", "SD": "South Dakota",
    "TN": "Tennessee", "TX": "Texas", "UT": "Utah", "VT": "Vermont", "VA": "Virginia",
    "WA": "Washington", "WV": "West Virginia", "WI": "Wisconsin", "WY": "Wyoming",
    "AS": "American Samoa", "GU": "Guam", "MP": "the Northern Marianas", "PR": "Puerto Rico",
    "VI": "the Virgin Islands", "FM": "Micronesia", "MH": "the Marshall Islands", "PW": "Palau",
    "AA": "a military address in the Americas", "AE": "a military address in Europe",
    "AP": "a military address in the Pacific",
}  # fmt: skip


def state_of(zip_code: str) -> tuple[str, bool]:
    """Return the state ("" when nobody uses the first three digits), and if the ZIP is listed."""
    prefix = zip_code[:3]
    listed = _listed(prefix)
    if zip_code in listed:
        return listed[zip_code], True
    [(usual, _)] = Counter(listed.values()).most_common(1) or [("", 0)]
    return _WHOLE.get(prefix, usual), False


@lru_cache(maxsize=1000)
def _listed(prefix: str) -> dict[str, str]:
    """Return the listed ZIPs that begin so, with their states; the whole list takes a second."""
    # zipcodes comes without types
    rows: list[dict[str, Any]] = zipcodes.similar_to(prefix)  # type: ignore[no-untyped-call]  # no types
    return {row["zip_code"]: row["state"] for row in rows}


def _candidates(raw: str) -> list[str]:
    """Return the five-digit codes in `raw`; ZIP+4 counts by its first five."""
    said = runs(raw)
    whole = [run for run in [*said, "".join(said)] if len(run) in (5, 9)]
    return [*_TYPED.findall(raw), *(run[:5] for run in whole)]


class UsZip(FieldType):
    options = {"refuse_states": list}

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        found = _candidates(raw)
        if found:
            return self._verdict(field, found[0], insisted=insisted)
        heard = "".join(runs(raw))
        if not heard:
            return Refused("I did not catch the ZIP code")
        count = f"{count_word(len(heard))} digit{'' if len(heard) == 1 else 's'}"
        partial = heard if len(heard) < 5 else ""
        return Refused(f"I heard {count}; a ZIP code has five", partial=partial)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        found = {code for code in _candidates(text) if state_of(code)[1]}
        if len(found) != 1 or re.search(r"[$]|\b(?:dollars|miles|hours)\b", text, re.I):
            return None
        verdict = self._verdict(field, found.pop(), insisted=False)
        return verdict if isinstance(verdict, Accepted) else None

    def spoken(self, field: Field, value: str) -> str:
        return read_aloud(value)

    def rule(self, field: Field, *, today: date | None) -> str:
        names = [STATES[state] for state in field.options.get("refuse_states", [])]
        served = f"; not in {' or '.join(names)}, which we do not serve" if names else ""
        return f"exactly five digits{served}"

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="digits", length=5)

    def keyed(self, field: Field, keys: str) -> str:
        return keys if keys.isdigit() else ""

    def join(self, partial: str, raw: str) -> str:
        return partial + "".join(runs(raw))

    def problem(self, field: Field) -> str:
        unknown = [s for s in field.options.get("refuse_states", []) if s not in STATES]
        return f"refuse_states: {unknown[0]!r} is not a state; write AK, HI, ..." if unknown else ""

    def _verdict(self, field: Field, zip_code: str, *, insisted: bool) -> Checked:
        state, listed = state_of(zip_code)
        said = read_aloud(zip_code)
        refused = field.options.get("refuse_states", [])
        if state in refused or _WHOLE.get(zip_code[:3]) in refused:
            return Refused(f"the ZIP code {said} is in {STATES[state]}, which we do not serve")
        if not state:
            return Refused(f"I know no ZIP code that begins with {read_aloud(zip_code[:3])}")
        if not listed and not insisted:
            return Doubtful(zip_code, said, f"I cannot find the ZIP code {said}. Is that right?")
        return Accepted(zip_code, said, {"state": state})
