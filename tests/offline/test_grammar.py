"""ivr/offline/grammar.py: what a grammar lets through, walked by hand instead of by ear."""

from collections.abc import Iterable

import pytest

from ivr.agent.acts import Expectation
from ivr.leads.fields import Field
from ivr.leads.profile import load_profile
from ivr.offline.grammar import NO, YES, Grammar, grammar, said

POWERSPORTS = load_profile("powersports")


def accepts(network: Grammar, phrase: str) -> bool:
    """Whether the words lead from state 0 to state 1."""
    at = closed(network, {0})
    for word in phrase.split():
        at = closed(
            network, {end for start, end, _, by in network.arcs if start in at and by == word}
        )
    return 1 in at


def closed(network: Grammar, states: Iterable[int]) -> set[int]:
    found = set(states)
    while more := {end for start, end, _, by in network.arcs if start in found and not by} - found:
        found |= more
    return found


def answer(key: str) -> Grammar:
    return grammar(Expectation(POWERSPORTS.field(key), "answer"))


@pytest.mark.parametrize(
    ("key", "phrase"),
    [
        ("zip_code", "three oh zero nine three"),
        ("zip_code", "three double zero nine three"),
        ("zip_code", "it's three zero zero nine three"),
        ("phone", "seven seven zero five five five zero one two three"),
        ("phone", "eight hundred five five five oh one two three"),
        ("phone", "seven seven zero triple five zero one two three"),
        ("vehicle_year", "twenty twenty"),
        ("vehicle_year", "nineteen ninety nine"),
        ("vehicle_year", "two thousand and eight"),
        ("vehicle_year", "twenty oh five"),
        ("vehicle_year", "two zero one nine"),
        ("full_name", "john doe"),
        ("full_name", "my name is john doe"),
        ("full_name", "john"),
        ("vehicle_make", "it's a yamaha"),
        ("vehicle_make", "ltr_k ltr_t ltr_m"),
        ("vehicle_model", "ltr_m ltr_t oh seven"),
        ("vehicle_model", "ltr_m ltr_t zero seven"),
        ("vehicle_model", "ltr_m ltr_t seven"),
        ("vehicle_model", "what did you say"),
        ("zip_code", "i don't know"),
    ],
)  # fmt: skip
def test_what_people_say_leads_through_the_grammar(key: str, phrase: str) -> None:
    assert accepts(answer(key), phrase)


@pytest.mark.parametrize(
    ("key", "phrase"),
    [
        ("zip_code", "three zero zero nine"),
        ("zip_code", "three zero zero nine three one"),
        ("zip_code", "yamaha"),
        ("vehicle_year", "yamaha"),
        ("full_name", "three zero"),
        ("vehicle_make", "john doe"),
        ("zip_code", "yes"),
    ],
)
def test_other_words_do_not(key: str, phrase: str) -> None:
    assert not accepts(answer(key), phrase)


def test_a_read_back_is_answered_by_yes_no_or_the_right_value() -> None:
    network = grammar(Expectation(POWERSPORTS.field("zip_code"), "yes_no"))

    assert all(accepts(network, phrase) for phrase in (*YES, *NO))
    assert accepts(network, "no it's three zero zero nine four")
    assert accepts(network, "three zero zero nine four")


def test_a_new_choice_in_a_profile_can_be_heard_at_once() -> None:
    color = Field("color", "choice", "color", "Which color?", choices=("Navy blue", "Crème"))

    network = grammar(Expectation(color, "answer"))

    assert accepts(network, "navy blue")
    assert accepts(network, "creme")
    assert network.written["creme"] == "crème"


def test_a_field_without_a_list_is_left_to_the_keypad_and_to_requests() -> None:
    notes = Field("notes", "free_text", "notes", "Anything else?")

    network = grammar(Expectation(notes, "answer"))

    assert accepts(network, "no")
    assert accepts(network, "can i speak to a person")
    assert not accepts(network, "the engine is new")


def test_digits_get_the_patience_for_pauses_between_groups() -> None:
    assert answer("phone").patience_ms > 500
    assert answer("full_name").patience_ms == 0


def test_words_are_told_as_plain_text() -> None:
    assert said("MT-07") == "m t oh seven"
    assert said("Yamaha") == "yamaha"
    assert said("a car") == "a car"
