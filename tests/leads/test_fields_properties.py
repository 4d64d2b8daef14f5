"""What must hold for any number, any year, any noise."""

from datetime import date

import phonenumbers
import pytest
import zipcodes
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ivr.leads.field_types import TYPES
from ivr.leads.field_types.catalogue import catalogue, said_form, squeezed
from ivr.leads.fields import (
    Accepted,
    Doubtful,
    Field,
    Refused,
    check,
    find,
    rule,
    spoken,
    vocabulary,
)

TODAY = date(2026, 11, 20)
UNHURRIED = settings(deadline=None, max_examples=60)  # a busy machine is no failure
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CODES = sorted(row["zip_code"] for row in zipcodes.list_all())


def field(kind: str) -> Field:
    return Field(
        "asked",
        kind,
        "label",
        "Ask?",
        choices=("new", "used") if kind == "choice" else (),
        options={"catalogue": "powersports"} if kind.startswith("vehicle") else {},
    )


def in_words(digits: str, zero: str) -> str:
    return " ".join(zero if digit == "0" else WORDS[int(digit)] for digit in digits)


def is_us(national: str) -> bool:
    number = phonenumbers.parse(f"+1{national}")
    return phonenumbers.is_valid_number_for_region(number, "US")


us_numbers = st.from_regex(r"[2-9][0-9]{2}[2-9][0-9]{6}", fullmatch=True).filter(is_us)
zeros = st.sampled_from(["zero", "oh", "o"])


@UNHURRIED
@given(us_numbers, zeros)
def test_any_phone_number_said_digit_by_digit_is_understood(national, zero):
    verdict = check(field("us_phone"), in_words(national, zero), today=TODAY)
    assert isinstance(verdict, Accepted)
    assert verdict.value == f"+1{national}"


@UNHURRIED
@given(us_numbers)
def test_a_phone_number_read_back_is_understood_as_itself(national):
    said = spoken(field("us_phone"), f"+1{national}")
    verdict = check(field("us_phone"), said, today=TODAY)
    assert isinstance(verdict, Accepted)
    assert verdict.value == f"+1{national}"


@UNHURRIED
@given(st.sampled_from(CODES), zeros)
def test_any_zip_said_digit_by_digit_is_understood(code, zero):
    verdict = check(field("us_zip"), in_words(code, zero), today=TODAY)
    assert isinstance(verdict, Accepted)
    assert verdict.value == code


@UNHURRIED
@given(st.integers(1950, 2027))
def test_any_year_typed_and_as_it_is_spoken_is_understood(year):
    for said in (str(year), spoken(field("year"), str(year))):
        verdict = check(field("year"), said, today=TODAY)
        assert isinstance(verdict, Accepted)
        assert verdict.value == str(year)


@UNHURRIED
@given(st.integers(0, 99_999_999))
def test_any_amount_read_back_is_understood_as_itself(dollars):
    said = spoken(field("money"), f"{dollars * 100} cents")
    verdict = check(field("money"), said, today=TODAY)
    assert isinstance(verdict, Accepted)
    assert verdict.value == f"{dollars * 100} cents"


@pytest.mark.parametrize("kind", TYPES)
@UNHURRIED
@given(text=st.text(max_size=60) | st.from_regex(r"[a-z0-9 ,.'$@-]{0,60}", fullmatch=True))
def test_no_answer_raises_and_what_is_accepted_is_stable(kind, text):
    asked = field(kind)
    verdict = check(asked, text, today=TODAY)
    find(asked, text, today=TODAY)
    match verdict:
        case Accepted(value=value, spoken=said):
            assert value and said
            assert said == spoken(asked, value)
            again = check(asked, value, today=TODAY, insisted=True)
            assert isinstance(again, Accepted)
            assert again.value == value
        case Doubtful(suggestion=suggestion, question=question):
            assert suggestion
            assert question.endswith("?")
        case Refused(reason=reason):
            assert reason


def test_every_model_of_the_list_is_recognised_as_it_is_said():
    known = catalogue("powersports")
    assert known is not None
    for said, model in known.models.items():
        assert squeezed(said_form(model.name)) == said


def test_every_make_of_the_list_is_recognised_by_each_alias():
    known = catalogue("powersports")
    assert known is not None
    for said, make in known.makes.items():
        verdict = check(field("vehicle_make"), said, today=TODAY)
        assert isinstance(verdict, Accepted)
        assert verdict.value == make


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("us_zip", ("digits", 5)),
        ("us_phone", ("digits", 10)),
        ("year", ("year", 4)),
        ("yes_no", ("yes_no", 0)),
        ("person_name", ("names", 0)),
        ("vehicle_make", ("words", 0)),
        ("vehicle_model", ("words", 0)),
        ("choice", ("words", 0)),
        ("free_text", ("open", 0)),
    ],
)
def test_a_type_tells_the_words_it_is_answered_with(kind, expected):
    words = vocabulary(field(kind))
    assert (words.kind, words.length) == expected


@pytest.mark.parametrize("kind", ["vehicle_make", "vehicle_model", "choice", "yes_no"])
def test_every_phrase_of_a_vocabulary_is_an_answer(kind):
    for phrase in vocabulary(field(kind)).words:
        assert isinstance(check(field(kind), phrase, today=TODAY), Accepted), phrase


def test_any_two_names_of_the_vocabulary_are_a_name():
    names = vocabulary(field("person_name")).words
    assert len(names) > 300
    for first, last in zip(names, reversed(names), strict=True):
        verdict = check(field("person_name"), f"{first} {last}", today=TODAY)
        assert isinstance(verdict, Accepted), (first, last)


def test_a_type_that_has_a_rule_says_it_in_one_clause():
    for kind in TYPES:
        assert "\n" not in rule(field(kind))


@UNHURRIED
@given(st.text("AaBb '-´¨ßıİé\u0301\u0308", max_size=8))
@example("\u0130A")
@example("\u00df\u0301 Doe")
@example("A\u00b4")
def test_a_name_that_was_taken_is_taken_again_as_it_is(raw):
    verdict = check(field("person_name"), raw, today=TODAY)
    if isinstance(verdict, Accepted):
        again = check(field("person_name"), verdict.value, today=TODAY, insisted=True)
        assert isinstance(again, Accepted)
        assert again.value == verdict.value
