"""The field types for the rest of the world: numbers, money, names and places."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.leads.fields import Accepted, Doubtful, Field, Refused, check, find, is_known, join, spoken
from ivr.leads.profile import load_profile

TODAY = date(2026, 11, 21)
ANYWHERE = Field("phone", "phone", "phone", "?")
PAKISTAN = Field("phone", "phone", "phone", "?", options={"region": "PK"})
SAUDI = Field("phone", "phone", "phone", "?", options={"region": "SA"})
BUDGET = Field("budget", "money", "budget", "?", options={"currency": "SAR"})
NAME = Field("name", "person_name", "name", "?", options={"single": True})
FULL_NAME = Field("name", "person_name", "name", "?")
PLACE = load_profile("real_estate").field("location")
FLAG = Field("demo_shared", "flag", "demo shared", "", asked=False, required=False)


def value(field: Field, raw: str) -> str | None:
    verdict = check(field, raw, today=TODAY)
    return verdict.value if isinstance(verdict, Accepted) else None


def reason(field: Field, raw: str) -> str:
    verdict = check(field, raw, today=TODAY)
    assert isinstance(verdict, Refused)
    return verdict.reason


def found(field: Field, text: str) -> str | None:
    answer = find(field, text, today=TODAY)
    return answer.value if answer else None


# --- phone numbers ---


@pytest.mark.parametrize(
    ("field", "raw", "number"),
    [
        (ANYWHERE, "+92 300 1234567", "+923001234567"),
        (ANYWHERE, "+966501234567", "+966501234567"),
        (ANYWHERE, "00966 50 123 4567", "+966501234567"),
        (ANYWHERE, "966501234567", "+966501234567"),
        (ANYWHERE, "+1 (770) 555-0123 ext. 5", "+17705550123"),
        (ANYWHERE, "plus four four two oh seven nine four six oh nine five eight", "+442079460958"),
        (PAKISTAN, "0300-1234567", "+923001234567"),
        (PAKISTAN, "٠٣٠٠١٢٣٤٥٦٧", "+923001234567"),
        (PAKISTAN, "oh three hundred one two three four five six seven", "+923001234567"),
        (PAKISTAN, "zero zero nine two three zero zero one two three four five six seven",
         "+923001234567"),
        (SAUDI, "my number is 050 123 4567, thanks", "+966501234567"),
        (SAUDI, "+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", "+966501234567"),
        (SAUDI, "+923001234567", "+923001234567"),
    ],
)  # fmt: skip
def test_a_number_of_any_country_becomes_e164(field, raw, number) -> None:
    assert value(field, raw) == number


@pytest.mark.parametrize(
    ("field", "raw", "words"),
    [
        (ANYWHERE, "", "I did not catch the phone number"),
        (ANYWHERE, "call me", "I did not catch the phone number"),
        (ANYWHERE, "30012", "that is too short for a phone number"),
        (ANYWHERE, "0300 1234567", "I need the country code too, beginning with plus"),
        (ANYWHERE, "+92 300 1234567 1234567", "that is too long for a phone number"),
        (SAUDI, "0999999999", "0 9 9, 9 9 9, 9 9 9 9 is not a working phone number"),
    ],
)
def test_what_is_no_working_number_is_refused_with_the_reason(field, raw, words) -> None:
    assert reason(field, raw) == words


def test_the_rest_of_a_number_completes_its_beginning() -> None:
    verdict = check(SAUDI, "+966 50 12", today=TODAY)
    assert isinstance(verdict, Refused) and verdict.partial == "+9665012"
    assert value(SAUDI, join(SAUDI, verdict.partial, "34567")) == "+966501234567"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("I'm Ahmed, +966501234567, call me", "+966501234567"),
        ("رقمي ٠٥٠١٢٣٤٥٦٧", "+966501234567"),
        ("my budget is 800,000", None),
        ("in 2027 or 2028", None),
        ("0501234567 or 0507654321", None),
    ],
)
def test_a_number_is_found_in_a_sentence_when_nothing_else_can_be_meant(text, number) -> None:
    assert found(SAUDI, text) == number


def test_a_number_is_read_back_in_groups_that_are_understood() -> None:
    said = spoken(ANYWHERE, "+966501234567")
    assert said == "plus 9 6 6, 5 0, 1 2 3, 4 5 6 7"
    assert value(ANYWHERE, said) == "+966501234567"


def test_a_numbers_country_is_kept() -> None:
    verdict = check(SAUDI, "0501234567", today=TODAY)
    assert isinstance(verdict, Accepted) and verdict.details == {"country": "SA"}


# --- money ---


@pytest.mark.parametrize(
    ("raw", "amount"),
    [
        ("around 800,000 SAR", "800000 SAR"),
        ("SAR 800000", "800000 SAR"),
        ("800k", "800000 SAR"),
        ("1.2 million", "1200000 SAR"),
        ("1.2m", "1200000 SAR"),
        ("five hundred thousand riyals", "500000 SAR"),
        ("two and a half million", "2500000 SAR"),
        ("half a million", "500000 SAR"),
        ("between 500 and 600 thousand", "500000-600000 SAR"),
        ("500-600k", "500000-600000 SAR"),
        ("from 1 to 1.5 million", "1000000-1500000 SAR"),
        ("٨٠٠ ألف ريال", "800000 SAR"),
        ("٨٠٠٬٠٠٠ ريال", "800000 SAR"),
        ("مليون ونصف", "1500000 SAR"),
        ("حوالي مليون ريال", "1000000 SAR"),
        ("خمسمئة ألف ريال", "500000 SAR"),
        ("من 500 إلى 600 ألف", "500000-600000 SAR"),
        ("$200k", "200000 USD"),
        ("50 lakh rupees", "5000000 PKR"),
        ("1500.50 SAR", "1500.50 SAR"),
        ("2 bedrooms for 80,000 a year", "80000 SAR"),
    ],
)
def test_an_amount_is_kept_in_whole_units_of_its_currency(raw, amount) -> None:
    assert value(BUDGET, raw) == amount
    assert value(BUDGET, amount) == amount, "checked again on the way to the target"
    assert value(BUDGET, spoken(BUDGET, amount)) == amount


def test_an_amount_has_its_minor_units_and_its_currency_beside_it() -> None:
    verdict = check(BUDGET, "between 500 and 600 thousand", today=TODAY)
    assert isinstance(verdict, Accepted)
    assert verdict.details == {
        "minor_units": "60000000",
        "minor_units_low": "50000000",
        "currency": "SAR",
    }
    assert spoken(BUDGET, verdict.value) == "500,000 to 600,000 SAR"


@pytest.mark.parametrize("raw", ["", "cheap", "0501234567", "+966501234567"])
def test_what_names_no_amount_is_refused(raw) -> None:
    assert reason(BUDGET, raw) == "I need an amount of money"


@pytest.mark.parametrize("text", ["0K", "my budget is 0 SAR", "around 5 SAR"])
def test_an_amount_outside_the_limits_is_not_found_either(text: str) -> None:
    limited = replace(BUDGET, options={"currency": "SAR", "min": 100_000})
    assert found(limited, text) is None and found(limited, "around 5k SAR") == "5000 SAR"


def test_an_amount_outside_the_limits_is_refused_with_the_limit() -> None:
    budget = load_profile("real_estate").field("budget")
    assert reason(budget, "a 3 bedroom flat") == "it must be at least 1,000 SAR"


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("buy an apartment in Dammam, budget around 800,000 SAR", "800000 SAR"),
        ("my budget is 750000", "750000 SAR"),
        ("أبحث عن فيلا بميزانية ١٢٠ ألف ريال", "120000 SAR"),
        ("a 3 bedroom flat", None),
        ("call me on +966501234567", None),
        ("a flat of 120 m", None),
        ("it was 500k, now it is 700k", None),
    ],
)
def test_an_amount_is_found_in_a_sentence_when_it_can_be_nothing_else(text, amount) -> None:
    assert found(BUDGET, text) == amount


# --- names ---


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My name is Ahmed and I want to learn CTA", "Ahmed"),
        ("Hi, my name is Test User", "Test User"),
        ("I'm Ahmed", "Ahmed"),
        ("i'm ahmed", "Ahmed"),
        ("I'm Omar, looking to rent", "Omar"),
        ("this is Ahmed from Lahore", "Ahmed"),
        ("أنا أحمد", "أحمد"),
        ("اسمي أحمد", "أحمد"),
        ("مرحبًا، اسمي أحمد علي وأريد دراسة CTA", "أحمد علي"),
        ("أنا أُحْمَد من الرياض", "أحمد"),
        ("mera naam Bilal hai", "Bilal"),
        ("je m'appelle Pierre Dupont et je cherche", "Pierre Dupont"),
        ("I'm interested in CTA", None),
        ("I'm looking for a flat", None),
        ("I am Pakistani", None),
        ("this is great", None),
        ("أنا مهتم بدورة", None),
        ("أنا أريد شقة", None),
        ("I want to study CTA", None),
    ],
)
def test_a_name_is_found_where_people_say_theirs(text, name) -> None:
    assert found(NAME, text) == name


@pytest.mark.parametrize(
    "name", ["أحمد", "محمد العتيبي", "Владимир Путин", "李明", "राम कुमार", "José Núñez", "O'Brien"]
)
def test_names_of_every_script_are_names(name) -> None:
    assert value(NAME, name) == name


@pytest.mark.parametrize("raw", ["hi there", "مرحبا", "السلام عليكم", "صباح الخير", "🙂", "CTA 5"])
def test_greetings_are_no_names(raw) -> None:
    assert value(NAME, raw) is None


def test_a_single_name_is_asked_for_the_rest_only_where_the_profile_wants_it() -> None:
    whole = check(NAME, "Ahmed", today=TODAY)
    half = check(FULL_NAME, "Ahmed", today=TODAY)
    assert isinstance(whole, Accepted) and not whole.ask_more
    assert isinstance(half, Accepted) and half.ask_more == "And your last name?"
    assert found(FULL_NAME, "My name is Ahmed") is None


# --- places ---


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ("Dammam", "Dammam"),
        ("somewhere in dammam please", "Dammam"),
        ("الدمام", "Dammam"),
        ("في الخبر", "Al Khobar"),
        ("in khobar", "Al Khobar"),
        ("north of the city, near the sea", "North Of The City, Near The Sea"),
        ("Al Nakheel", "Al Nakheel"),
    ],
)
def test_a_place_is_kept_by_its_name(raw, place) -> None:
    assert value(PLACE, raw) == place


@pytest.mark.parametrize("raw", ["", "yes", "I don't know", "لا أعرف", "5"])
def test_what_names_no_place_is_refused(raw) -> None:
    assert reason(PLACE, raw) == "I did not catch the place"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("I want to buy an apartment in Dammam, budget", "Dammam"),
        ("a flat near King Fahd Park for us", "King Fahd Park"),
        ("شقة في الدمام", "Dammam"),
        ("فيلا في بريدة", "بريدة"),
        ("in December", None),
        ("I write in English", None),
        ("in cash", None),
        ("في أقرب وقت", None),
        ("في 800", None),
        ("Dammam or Jeddah", None),
    ],
)
def test_a_place_is_found_in_a_sentence(text, place) -> None:
    assert found(PLACE, text) == place


# --- flags and choices ---


def test_a_flag_is_known_only_when_it_is_true() -> None:
    assert [value(FLAG, raw) for raw in ("true", "yes", "false", "no", "perhaps")] == [
        "true",
        "true",
        "false",
        "false",
        None,
    ]
    assert is_known(FLAG, "true")
    assert not is_known(FLAG, "false") and not is_known(FLAG, None)
    assert is_known(NAME, "Ahmed")


def test_a_near_miss_of_a_choice_is_asked_back_and_a_denied_one_left_out() -> None:
    course = load_profile("courses").field("selected_course")
    assert isinstance(check(course, "accaa", today=TODAY), Doubtful)
    assert found(course, "I don't want ACCA, I want CMA") == "CMA"
    assert found(course, "CTA or ACCA?") is None
    assert found(course, "an acca-like course") is None
    assert value(course, "the second one") == "ACCA"


def test_a_longer_way_to_say_it_wins() -> None:
    wish = load_profile("real_estate").field("service_interest")
    assert found(wish, "do you sell apartments?") == "buy"
    assert found(wish, "I want to sell") == "sell"
    assert found(wish, "I want to rent out my flat") == "sell"


# --- whatever is written ---

PIECES = st.sampled_from(
    ["800", "1.2", "500,000", "k", "million", "مليون", "ألف", "نصف", "SAR", "$", "-", "to", "and",
     "between", "٨٠٠", "،", "+966", "0501234567", "plus", "zero", "five", "hundred", "ext 5",
     "my name is", "أنا", "اسمي", "Ahmed", "أحمد", "in", "في", "Dammam", "December", "not", "CTA"]
)  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from([ANYWHERE, PAKISTAN, SAUDI, BUDGET, NAME, PLACE, FLAG]),
    st.lists(PIECES | st.text(max_size=8), max_size=8).map(" ".join),
)
def test_no_answer_raises_and_what_is_accepted_stays_as_it_is(field, text) -> None:
    for verdict in (check(field, text, today=TODAY), find(field, text, today=TODAY)):
        if isinstance(verdict, Accepted):
            assert verdict.spoken == spoken(field, verdict.value)
            again = check(field, verdict.value, today=TODAY, insisted=True)
            assert isinstance(again, Accepted) and again.value == verdict.value
