"""The words under which a lead is found: one for all the ways in which people write one thing."""

import pytest

from ivr.db import lead_words

NAMES = [
    ("John DOE", ["john", "doe"]),
    ("José Núñez", ["jose", "nunez"]),
    ("Łukasz Sørensen", ["lukasz", "sorensen"]),
    ("Jürgen Groß", ["jurgen", "gross"]),
    ("O'Neill-Díaz", ["oneill", "diaz"]),
    ("أحمد فاطمة", ["احمد", "فاطمه"]),
    ("مُحَمَّد", ["محمد"]),
    ("يحيى", ["يحيي"]),
    ("محـمد", ["محمد"]),
    ("", []),
    ("🙂 --", []),
]


@pytest.mark.parametrize(("name", "words"), NAMES, ids=[str(n) for n in range(len(NAMES))])
def test_a_name_gives_its_words_in_one_spelling(name: str, words: list[str]) -> None:
    assert lead_words.of_name(name) == words


@pytest.mark.parametrize(
    "spelled",
    [
        "+92 300 1234567",
        "00923001234567",
        "0300 123-4567",
        "300.123.4567",
        "(0300) 1234567",
        "4567",
        "٠٣٠٠ ١٢٣٤٥٦٧",
    ],
)
def test_a_number_is_found_by_its_last_digits_in_any_spelling(spelled: str) -> None:
    (word,) = lead_words.of_phone("+923001234567")
    (beginning,) = lead_words.asked(spelled)
    assert word.startswith(beginning)


def test_a_trunk_zero_in_the_middle_is_left_out() -> None:
    (word,) = lead_words.of_phone("+442079460000")
    assert lead_words.asked("+44 (0)20 7946 0000") == [word]


def test_a_zero_that_belongs_to_the_last_digits_stays() -> None:
    assert lead_words.asked("0123") == ["3210"]
    assert lead_words.asked("123") == []


def test_an_address_is_found_by_its_beginning() -> None:
    (word,) = lead_words.of_email(" Ahmed.Khan@Example.org ")
    assert word == "@ahmed.khan@example.org"
    assert word.startswith(lead_words.asked("AHMED.khan@ex")[0])
    assert lead_words.of_email("no address") == []


def test_what_is_endless_is_cut_off() -> None:
    (word,) = lead_words.of_name("x" * 1000)
    assert len(word) == lead_words.MOST_LETTERS
    assert len(lead_words.of_name(" ".join(map(str, range(100))))) == lead_words.MOST_WORDS
