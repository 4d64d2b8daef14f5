"""When two names may be one person's."""

import pytest

from ivr.leads.people.same_name import Verdict, compare, compare_with_all, shares_a_word

FIT, CLASH, UNCLEAR = Verdict.FIT, Verdict.CLASH, Verdict.UNCLEAR


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ("John", "John Doe", FIT),
        ("john DOE", "John Doe", FIT),
        ("Doe John", "John Doe", FIT),
        ("José", "Jose", FIT),
        ("Sean O'Neil", "Sean Oneil", FIT),
        ("Ahmed Al-Rashid", "Ahmed Rashid", FIT),
        (None, "John Doe", FIT),
        ("John Doe", "", FIT),
        ("Jane Doe", "John Doe", CLASH),
        ("Mary", "John", CLASH),
        ("Bob", "Ahmed Ali", CLASH),
        ("Jon Doe", "John Doe", UNCLEAR),
        ("John Smith", "John Doe", UNCLEAR),
        ("Doe", "John Doe", UNCLEAR),
        ("أحمد", "Ahmed", UNCLEAR),
    ],
)
def test_names_fit_clash_or_leave_it_open(one: str, other: str, verdict: Verdict) -> None:
    assert compare(one, other) is compare(other, one) is verdict


def test_a_name_that_fits_one_of_several_fits() -> None:
    assert compare_with_all("Ahmed", ("أحمد", "Ahmed Ali")) is FIT
    assert compare_with_all("Bob", ("أحمد", "Ahmed Ali")) is UNCLEAR
    assert compare_with_all("Bob", ()) is FIT


def test_a_missing_name_shares_no_word() -> None:
    assert shares_a_word("ahmed here", "Ahmed Ali")
    assert not shares_a_word("Ahmed", None) and not shares_a_word("", "")
