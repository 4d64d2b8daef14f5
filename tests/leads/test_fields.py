"""What callers say and type, and what becomes of it: one table per field type."""

from datetime import date

import pytest

from ivr.leads.fields import Accepted, Doubtful, Field, Refused, check, join, rule, spoken

TODAY = date(2026, 11, 20)
NAME = Field("full_name", "person_name", "name", "Your name?")
PHONE = Field("phone", "us_phone", "phone number", "Your phone?")
ZIP = Field("zip_code", "us_zip", "ZIP", "Your ZIP?", options={"refuse_states": ["AK", "HI"]})
YEAR = Field("year", "year", "year", "Which year?")
MAKE = Field("make", "vehicle_make", "make", "Which make?", options={"catalogue": "powersports"})
MODEL = Field(
    "model", "vehicle_model", "model", "Which model?", options={"catalogue": "powersports"}
)
CHOICE = Field(
    "condition", "choice", "condition", "Its condition?", choices=("new", "used", "like new")
)
YES_NO = Field("title", "yes_no", "title", "Do you have the title?")
TEXT = Field("notes", "free_text", "notes", "Anything else?", options={"max_length": 20})
EMAIL = Field("email", "email", "e-mail", "Your e-mail?")
MONEY = Field("price", "money", "price", "Your price?", options={"max": 10_000_000})


def accepted(field: Field, raw: str) -> str:
    """Return the canonical value of an answer that must be taken."""
    verdict = check(field, raw, today=TODAY)
    assert isinstance(verdict, Accepted), verdict
    return verdict.value


def refused(field: Field, raw: str) -> str:
    """Return the reason for which an answer must be refused."""
    verdict = check(field, raw, today=TODAY)
    assert isinstance(verdict, Refused), verdict
    return verdict.reason


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("John Doe", "John Doe"),
        ("john doe.", "John Doe"),
        ("JOHN DOE", "John Doe"),
        ("my name is john o'brien", "John O'Brien"),
        ("my name is John O\u2019Brien", "John O'Brien"),
        ("this is Jane van der Berg", "Jane van der Berg"),
        ("maria de la cruz", "Maria de la Cruz"),
        ("it's John, John Doe", "John Doe"),
        ("yes John Doe speaking", "John Doe"),
        ("um, hi, I'm John Doe, thanks", "John Doe"),
        ("John D O E", "John Doe"),
        ("John Doe, D-O-E", "John Doe"),
        ("John Dough, spelled D O E", "John Doe"),
        ("John D as in dog O as in orange E as in echo", "John Doe"),
        ("Dr. Mary-Jane Smith-Jones", "Mary-Jane Smith-Jones"),
        ("RONALD MCDONALD", "Ronald McDonald"),
        ("John Q Public", "John Q Public"),
        ("Jos\u00e9 Garc\u00eda", "Jos\u00e9 Garc\u00eda"),
        ("Wen Li", "Wen Li"),
        ("So Young Kim", "So Young Kim"),
        ("oh, it's Sandra Oh", "Sandra Oh"),
    ],
)
def test_a_name_is_found_in_what_was_said(raw, value):
    assert accepted(NAME, raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        "no",
        "",
        "30093",
        "three oh oh nine three",
        "John 5",
        "yes",
        "what?",
        "I don't know",
        "...",
        "why do you ask",
    ],
)
def test_what_is_no_name_is_refused(raw):
    assert refused(NAME, raw)


def test_a_first_name_alone_is_usable_and_the_last_name_is_asked_for():
    verdict = check(NAME, "John", today=TODAY)
    assert verdict == Accepted("John", "John", ask_more="And your last name?")
    assert accepted(NAME, join(NAME, "John", "Doe")) == "John Doe"


@pytest.mark.parametrize(
    "raw",
    [
        "770-555-0123",
        "(770) 555 0123",
        "7705550123",
        "+1 770 555 0123",
        "1-770-555-0123",
        "770.555.0123 ext 12",
        "seven seven zero five five five oh one two three",
        "seven seven oh, triple five, zero one two three",
        "double seven zero double five five oh one twenty three",
        "seven seventy five five five oh one two three",
        "one seven seven oh five five five zero one two three",
        "my number is area code 770 and then 555 0123 please",
    ],
)
def test_a_phone_number_is_found_in_what_was_said(raw):
    assert accepted(PHONE, raw) == "+17705550123"


def test_digits_of_other_scripts_become_ours():
    assert accepted(PHONE, "\u0667\u0667\u0660 555 0123") == "+17705550123"
    assert accepted(ZIP, "\uff13\uff10\uff10\uff19\uff13") == "30093"


def test_a_toll_free_number_in_words_is_understood():
    assert accepted(PHONE, "eight hundred five five five twelve twelve") == "+18005551212"


def test_digits_that_a_recogniser_wrote_as_words_count_between_digits():
    assert accepted(PHONE, "seven seven zero five five five two to for won") == "+17705552241"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("770 555 012", "I heard nine digits; a phone number has ten"),
        ("770 555 01234", "I heard eleven digits; a phone number has ten"),
        ("555 0123", "I heard seven digits; I need the area code too"),
        ("5", "I heard one digit; a phone number has ten"),
        ("it is the same", "I did not catch the phone number"),
        ("123 456 7890", "1 2 3, 4 5 6, 7 8 9 0 is not a working phone number"),
        ("416 555 0123", "that is not a number in the United States"),
        ("+44 20 7946 0958", "that is not a number in the United States"),
        ("011 49 30 1234567", "that is not a number in the United States"),
    ],
)
def test_a_refused_phone_number_says_what_was_wrong(raw, reason):
    assert refused(PHONE, raw) == reason


def test_a_phone_number_given_in_pieces_is_joined():
    assert accepted(PHONE, join(PHONE, "770", "five five five oh one two three")) == "+17705550123"
    assert accepted(PHONE, join(PHONE, "5550123", "seven seven zero")) == "+17705550123"


def test_a_profile_may_take_canadian_numbers_too():
    field = Field("phone", "us_phone", "phone", "Phone?", options={"countries": ["US", "CA"]})
    assert accepted(field, "416 555 0123") == "+14165550123"


@pytest.mark.parametrize(
    "raw",
    [
        "30093",
        "30093-1234",
        "300931234",
        "3 0 0 9 3",
        "three oh oh nine three",
        "three zero zero nine three",
        "thirty oh ninety-three",
        "three double oh nine three",
        "thirty thousand ninety three",
        "it's 30093, thank you",
        "my zip code is 30093 and the year is 2020",
    ],
)
def test_a_zip_code_is_found_with_its_state(raw):
    verdict = check(ZIP, raw, today=TODAY)
    assert verdict == Accepted("30093", "3 0 0 9 3", {"state": "GA"})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("3009", "I heard four digits; a ZIP code has five"),
        ("300932", "I heard six digits; a ZIP code has five"),
        ("Norcross", "I did not catch the ZIP code"),
        ("99501", "the ZIP code 9 9 5 0 1 is in Alaska, which we do not serve"),
        ("nine six eight one three", "the ZIP code 9 6 8 1 3 is in Hawaii, which we do not serve"),
        ("00012", "I know no ZIP code that begins with 0 0 0"),
    ],
)
def test_a_refused_zip_code_says_what_was_wrong(raw, reason):
    assert refused(ZIP, raw) == reason


def test_a_zip_code_that_no_list_knows_is_asked_back_once_and_then_taken():
    doubtful = check(ZIP, "30000", today=TODAY)
    assert isinstance(doubtful, Doubtful)
    assert doubtful.question == "I cannot find the ZIP code 3 0 0 0 0. Is that right?"
    taken = check(ZIP, doubtful.suggestion, today=TODAY, insisted=True)
    assert taken == Accepted("30000", "3 0 0 0 0", {"state": "GA"})


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("2020", "2020"),
        ("twenty twenty", "2020"),
        ("two oh two oh", "2020"),
        ("twenty twenty-one", "2021"),
        ("two thousand and eight", "2008"),
        ("two thousand eight", "2008"),
        ("two thousand", "2000"),
        ("twenty oh eight", "2008"),
        ("nineteen ninety nine", "1999"),
        ("nineteen hundred ninety nine", "1999"),
        ("'08", "2008"),
        ("o eight", "2008"),
        ("oh eight", "2008"),
        ("08", "2008"),
        ("ninety nine", "1999"),
        ("27", "2027"),
        ("28", "Refused"),
        ("it's a 2020 Yamaha R1 with 1200 miles", "2020"),
        ("last year", "2025"),
    ],
)
def test_a_year_is_understood_as_people_say_it(raw, value):
    if value == "Refused":
        assert refused(YEAR, raw) == "I heard 1928; it has to be between 1950 and 2027"
    else:
        assert accepted(YEAR, raw) == value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("1890", "I heard 1890; it has to be between 1950 and 2027"),
        ("2028", "I heard 2028; it has to be between 1950 and 2027"),
        ("old", "I did not catch a year"),
    ],
)
def test_a_refused_year_says_what_was_wrong(raw, reason):
    assert refused(YEAR, raw) == reason


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2020", "twenty twenty"),
        ("2008", "two thousand eight"),
        ("2000", "two thousand"),
        ("1999", "nineteen ninety-nine"),
        ("1905", "nineteen oh five"),
        ("1900", "nineteen hundred"),
        ("2010", "twenty ten"),
    ],
)
def test_a_year_is_spoken_as_people_say_it(value, said):
    assert spoken(YEAR, value) == said


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("Yamaha", "Yamaha"),
        ("can am", "Can-Am"),
        ("CAN-AM", "Can-Am"),
        ("Kawi", "Kawasaki"),
        ("a Harley", "Harley-Davidson"),
        ("it's a 2020 Harley Davidson", "Harley-Davidson"),
        ("b m w", "BMW"),
        ("see doo", "Sea-Doo"),
        ("massimo", "Massimo"),
        ("It's a Hisun", "Hisun"),
    ],
)
def test_a_make_is_found_by_the_way_it_is_said(raw, value):
    assert accepted(MAKE, raw) == value


@pytest.mark.parametrize(
    ("raw", "make"),
    [("Yamaka", "Yamaha"), ("Honduh", "Honda"), ("Susuki", "Suzuki"), ("Polarius", "Polaris")],
)
def test_a_near_miss_of_a_make_is_asked_back(raw, make):
    assert check(MAKE, raw, today=TODAY) == Doubtful(make, make, f"Did you mean {make}?")


def test_a_make_that_the_caller_insists_on_is_taken_as_said():
    assert check(MAKE, "Yamaka", today=TODAY, insisted=True) == Accepted("Yamaka", "Yamaka")


def test_two_makes_in_one_answer_are_refused_by_name():
    assert refused(MAKE, "Honda or Suzuki") == "I heard Honda and Suzuki; I need one make"


@pytest.mark.parametrize("raw", ["", "no", "I don't know", "1000", "twenty", "x" * 60])
def test_what_is_no_make_is_refused(raw):
    assert refused(MAKE, raw)


def test_a_profile_may_bring_makes_of_its_own():
    field = Field("make", "vehicle_make", "make", "Make?", options={"known": ["Ural"]})
    assert accepted(field, "a ural") == "Ural"
    assert isinstance(check(field, "Urall", today=TODAY), Doubtful)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("R one", "R1"),
        ("M T oh seven", "MT-07"),
        ("mt-07", "MT-07"),
        ("Yamaha MT-07", "MT-07"),
        ("razor xp 1000", "RZR XP 1000"),
        ("ninja four hundred", "Ninja 400"),
        ("y z two fifty f", "YZ250F"),
        ("G S X R 600", "GSX-R600"),
        ("goldwing", "Gold Wing"),
        ("it's a Sportster", "Sportster"),
        ("xr 190 l", "XR 190 L"),
        ("Thunderbolt", "Thunderbolt"),
    ],
)
def test_a_model_is_found_by_the_way_it_is_said(raw, value):
    assert accepted(MODEL, raw) == value


def test_a_known_model_tells_its_make():
    verdict = check(MODEL, "r one", today=TODAY)
    assert isinstance(verdict, Accepted)
    assert verdict.details == {"make": "Yamaha"}


def test_a_near_miss_of_a_model_is_asked_back_and_another_number_is_not():
    doubtful = check(MODEL, "ninga 400", today=TODAY)
    assert isinstance(doubtful, Doubtful)
    assert doubtful.suggestion == "Ninja 400"
    assert accepted(MODEL, "ninga 450") == "Ninga 450"


def test_the_make_alone_is_no_model():
    assert refused(MODEL, "a Yamaha") == "that is the make; I need the model as well"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("new", "new"),
        ("It is used.", "used"),
        ("like new", "like new"),
        ("the second one", "used"),
    ],
)
def test_a_choice_is_found(raw, value):
    assert accepted(CHOICE, raw) == value


def test_a_choice_that_is_not_offered_is_refused_with_what_is():
    assert refused(CHOICE, "purple") == "it can be new, used or like new"
    assert refused(CHOICE, "new or used") == "I heard more than one: new or used"


def test_a_near_miss_of_a_choice_is_asked_back():
    assert isinstance(check(CHOICE, "usd", today=TODAY), Doubtful)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("yes", "yes"),
        ("Yeah.", "yes"),
        ("yep", "yes"),
        ("that's right", "yes"),
        ("correct", "yes"),
        ("Uh huh", "yes"),
        ("y", "yes"),
        ("no", "no"),
        ("nope", "no"),
        ("not really", "no"),
        ("that's not right", "no"),
        ("no, that's wrong", "no"),
        ("incorrect", "no"),
    ],
)
def test_a_yes_or_no_is_understood_in_many_words(raw, value):
    assert accepted(YES_NO, raw) == value


@pytest.mark.parametrize("raw", ["", "maybe", "I'm not sure", "I don't know", "Tuesday"])
def test_what_is_neither_yes_nor_no_is_refused(raw):
    assert refused(YES_NO, raw) == "I need a yes or a no"


def test_free_text_is_kept_as_it_was_said_up_to_its_length():
    assert accepted(TEXT, "  one  owner ") == "one owner"
    assert "fewer than 20" in refused(TEXT, "x" * 21)
    assert refused(TEXT, "...")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("john dot doe at gmail dot com", "john.doe@gmail.com"),
        ("John.Doe@Gmail.com", "john.doe@gmail.com"),
        ("my email is j underscore d at yahoo dot com", "j_d@yahoo.com"),
        ("it's jd dash seven at mail dot example dot org.", "jd-7@mail.example.org"),
    ],
)
def test_an_email_address_is_understood_said_or_typed(raw, value):
    assert accepted(EMAIL, raw) == value


def test_a_misspelt_mail_provider_is_asked_back():
    doubtful = check(EMAIL, "jd@gmial.com", today=TODAY)
    assert isinstance(doubtful, Doubtful)
    assert doubtful.suggestion == "jd@gmail.com"
    kept = check(EMAIL, "jd@gmial.com", today=TODAY, insisted=True)
    assert isinstance(kept, Accepted)


@pytest.mark.parametrize("raw", ["", "john", "john at", "@gmail.com", "a..b@c..d"])
def test_what_is_no_email_address_is_refused(raw):
    assert refused(EMAIL, raw)


@pytest.mark.parametrize(
    ("raw", "cents"),
    [
        ("$1,500", "150000 cents"),
        ("1500.50", "150050 cents"),
        ("fifteen hundred dollars", "150000 cents"),
        ("2 grand", "200000 cents"),
        ("two grand", "200000 cents"),
        ("two and a half grand", "250000 cents"),
        ("1.5k", "150000 cents"),
        ("about twelve thousand five hundred", "1250000 cents"),
        ("nothing", "0 cents"),
        ("50 cents", "50 cents"),
        ("20 dollars and 50 cents", "2050 cents"),
    ],
)
def test_an_amount_is_whole_cents(raw, cents):
    assert accepted(MONEY, raw) == cents


def test_an_amount_beyond_the_limit_is_refused_with_the_limit():
    assert refused(MONEY, "$100,001") == "it can be at most 100,000 dollars"
    assert refused(MONEY, "make me an offer") == "I need an amount in dollars"


def test_digits_are_spoken_one_by_one():
    assert spoken(ZIP, "30093") == "3 0 0 9 3"
    assert spoken(PHONE, "+17705550123") == "7 7 0, 5 5 5, 0 1 2 3"
    assert spoken(MODEL, "MT-07") == "M T 0 7"
    assert spoken(EMAIL, "john.doe@gmail.com") == "john dot doe at gmail dot com"
    assert spoken(MONEY, "150050 cents") == "1,500 dollars and 50 cents"


def test_rules_for_a_model_come_from_the_options():
    assert rule(ZIP) == "exactly five digits; not in Alaska or Hawaii, which we do not serve"
    assert rule(YEAR) == "four digits, from 1950 to next year"
    assert rule(YEAR, today=TODAY) == "four digits, from 1950 to 2027"
    assert "new, used, like new" in rule(CHOICE)
