"""Every ZIP of the public list against the rule "five digits, not Alaska or Hawaii"."""

from datetime import date

import zipcodes

from ivr.leads.fields import Accepted, Field, Refused, check

TODAY = date(2026, 11, 20)
ZIP = Field("zip_code", "us_zip", "ZIP", "ZIP?", options={"refuse_states": ["AK", "HI"]})
ROWS = zipcodes.list_all()
NOT_SERVED = {"967", "968", "995", "996", "997", "998", "999"}


def test_all_413_alaska_and_hawaii_zips_are_refused():
    codes = [row["zip_code"] for row in ROWS if row["state"] in ("AK", "HI")]
    assert len(codes) == 413
    taken = [code for code in codes if not isinstance(check(ZIP, code, today=TODAY), Refused)]
    assert taken == []


def test_every_other_zip_is_accepted_with_its_state():
    others = [row for row in ROWS if row["zip_code"][:3] not in NOT_SERVED]
    assert len(others) == len(ROWS) - 413 - 1  # 96799, American Samoa, has Hawaii's beginning
    wrong = []
    for row in others:
        verdict = check(ZIP, row["zip_code"], today=TODAY)
        if verdict != Accepted(row["zip_code"], " ".join(row["zip_code"]), {"state": row["state"]}):
            wrong.append(row["zip_code"])
    assert wrong == []


def test_every_number_with_their_beginnings_is_refused_listed_or_not():
    codes = [f"{prefix}{rest:02}" for prefix in NOT_SERVED for rest in range(100)]
    taken = [code for code in codes if not isinstance(check(ZIP, code, today=TODAY), Refused)]
    assert taken == []


def test_without_refused_states_alaska_is_served():
    everywhere = Field("zip_code", "us_zip", "ZIP", "ZIP?")
    assert isinstance(check(everywhere, "99501", today=TODAY), Accepted)
