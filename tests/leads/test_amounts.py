"""Amounts of money as people say and write them, and the numbers that are none."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivr.leads.field_types.amounts import amounts
from ivr.leads.field_types.spoken_numbers import below_hundred
from ivr.leads.fields import Accepted, Field, Refused, check, find

TODAY = date(2026, 11, 21)
BUDGET = Field("budget", "money", "budget", "?", options={"currency": "SAR"})
UNHURRIED = settings(deadline=None, max_examples=100)


def found(text: str) -> str | None:
    answer = find(BUDGET, text, today=TODAY)
    return answer.value if answer else None


def answered(text: str) -> str | None:
    """Return what `text` gives as the answer to the question for the budget."""
    verdict = check(BUDGET, text, today=TODAY)
    return verdict.value if isinstance(verdict, Accepted) else None


# --- bare numbers in a sentence ---


@pytest.mark.parametrize(
    "text",
    [
        "What is the price of the villa built in 2020?",
        "How much does a 1500 sqft apartment cost?",
        "the price for 1200 square meters land",
        "price of apartment 1502 in tower B?",
        "what does it cost, 900000?",
        "How much would I pay for the 2 bedrooms of tower 4410?",
        "how much do I have to pay for a plot of 1800?",
        "my budget is ready, I want unit 1502",
        "I can pay cash for villa no. 1204 at exit 1013",
        "we can spend more on 1200-1500 sqm",
        "my budget is for between 1200 and 1500 square meters",
        "up to 5 thousand meters of land",
        "my budget for 2027 is open",
        "the payment plan of 12500 Prince Sultan Street, please",
        "What is the price of 1300? It is a budget-friendly villa.",
        "كم سعر أرض 1200 متر",
        "كم سعر الشقة رقم ١٥٠٢",
        "كم سعر فيلا بنيت عام ٢٠٢٠",
        "كم سأدفع في قطعة 4410",
        "ميزانيتي جاهزة وأريد شقة 1502 شارع 1200",
    ],
)
def test_a_number_of_something_else_is_no_amount(text: str) -> None:
    assert found(text) is None


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("apartment in Dammam, budget around 800,000 SAR", "800000 SAR"),
        ("my budget is approx. 800000", "800000 SAR"),
        ("I can spend 750000", "750000 SAR"),
        ("we could pay up to 900000 for a villa built in 2020", "900000 SAR"),
        ("we can afford 60000 a year for a 1500 sqft apartment", "60000 SAR"),
        ("a 3 bedroom apartment, 850000 at most", "850000 SAR"),
        ("budget for a villa 900000", "900000 SAR"),
        ("my budget is from 1500 to 2000", "1500-2000 SAR"),
        ("What does it cost? I have 2 million for it", "2000000 SAR"),
        ("is the price of unit 1502 really 700k", "700000 SAR"),
        ("is 2020 SAR the price?", "2020 SAR"),
        ("How much is it? My budget is 800000.", "800000 SAR"),
        ("ميزانيتي ٨٠٠٠٠٠ لشقة 150 متر", "800000 SAR"),
        ("أستطيع أن أدفع 500000", "500000 SAR"),
        ("فيلا بحد أقصى ٩٠٠٠٠٠", "900000 SAR"),
    ],
)
def test_a_bare_number_is_what_somebody_says_they_can_spend(text: str, amount: str) -> None:
    assert found(text) == amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("2000", "2000 SAR"),
        ("for 2027 we have 900000", "900000 SAR"),
        ("a 1500 sqft apartment for 60000", "60000 SAR"),
        ("1500 sqft", None),
        ("it was built in 2020", None),
        ("apartment 1502", None),
    ],
)
def test_an_answer_is_the_amount_in_it(text: str, amount: str | None) -> None:
    assert answered(text) == amount


# --- amounts in words ---


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("one point five million riyals", "1500000 SAR"),
        ("two point five million", "2500000 SAR"),
        ("one point two million", "1200000 SAR"),
        ("one point twenty-five million", "1250000 SAR"),
        ("1 point 5 million", "1500000 SAR"),
        ("twelve point oh five million", "12050000 SAR"),
        ("zero point five million", "500000 SAR"),
        ("three fifty thousand", "350000 SAR"),
        ("two twenty-five thousand riyals", "225000 SAR"),
        ("fifteen hundred", "1500 SAR"),
        ("two hundred and fifty thousand", "250000 SAR"),
        ("two million three hundred thousand", "2300000 SAR"),
        ("a million", "1000000 SAR"),
        ("a hundred thousand riyals", "100000 SAR"),
        ("a million and a half", "1500000 SAR"),
        ("two million and a half riyals", "2500000 SAR"),
        ("twenty-one and a half million", "21500000 SAR"),
        ("half a million", "500000 SAR"),
        ("three quarters of a million", "750000 SAR"),
        ("two and three million", "2000000-3000000 SAR"),
        ("between five hundred and six hundred thousand", "500000-600000 SAR"),
        ("one point five to two million", "1500000-2000000 SAR"),
    ],
)
def test_an_amount_in_words_is_read_as_it_is_meant(text: str, amount: str) -> None:
    assert answered(text) == found(f"{text} is my budget") == amount


@pytest.mark.parametrize(
    "text",
    [
        "one two million",
        "three fifty million",
        "five hundred six hundred thousand",
        "nineteen twenty thousand",
        "thousand million",
        "at this point five million",
    ],
)
def test_number_words_that_make_no_number_are_asked_again(text: str) -> None:
    assert found(f"{text} is my budget") is None
    verdict = check(BUDGET, text, today=TODAY)
    assert isinstance(verdict, Refused) and verdict.reason == "I need an amount of money"


@UNHURRIED
@given(st.integers(1, 99), st.integers(0, 9), st.sampled_from(["thousand", "million"]))
def test_a_point_is_a_decimal(whole: int, tenth: int, scale: str) -> None:
    said = f"{below_hundred(whole)} point {below_hundred(tenth)} {scale}"
    assert amounts(said, "SAR") == amounts(f"{whole}.{tenth} {scale}", "SAR")


@UNHURRIED
@given(st.integers(1, 999), st.integers(0, 999))
def test_a_number_in_words_is_the_number_in_digits(thousands: int, rest: int) -> None:
    said = f"{in_words(thousands)} thousand {in_words(rest) if rest else ''}"
    (amount,) = amounts(said, "SAR")
    assert amount.high == (thousands * 1000 + rest) * 100


def in_words(number: int) -> str:
    """Return 1 to 999 as they are said in full."""
    hundreds, rest = divmod(number, 100)
    parts = [f"{below_hundred(hundreds)} hundred"] if hundreds else []
    return " and ".join([*parts, below_hundred(rest)] if rest else parts)


# --- ranges ---


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500 to 600 thousand dollars", "500000-600000 USD"),
        ("$500-600k", "500000-600000 USD"),
        ("800 thousand or 3 million riyals", "800000-3000000 SAR"),
        ("$800k to $1 million", "800000-1000000 USD"),
    ],
)
def test_the_ends_of_a_range_share_their_currency(text: str, amount: str) -> None:
    assert found(text) == answered(text) == amount


def test_two_currencies_are_two_amounts() -> None:
    text = "800 thousand dollars or 3 million riyals"
    assert [(it.high, it.currency) for it in amounts(text, "SAR")] == [
        (80_000_000, "USD"),
        (300_000_000, "SAR"),
    ]
    assert found(text) is None
