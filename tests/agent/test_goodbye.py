"""Who ends a call by words."""

import pytest

from ivr.agent.goodbye import caller_says_goodbye, is_goodbye
from ivr.leads.profile import load_profile

PROFILE = load_profile("powersports")


@pytest.mark.parametrize(
    "text",
    [
        PROFILE.closing,
        "Thanks John. GOODBYE!",
        "Good-bye then.",
        "Is that all? Then have a great day.",
    ],
)
def test_a_finished_turn_with_a_goodbye_phrase_ends_the_call(text):
    assert is_goodbye(PROFILE, text)


@pytest.mark.parametrize(
    "text",
    ["", PROFILE.greeting, "Have a seat.", "Shall I say goodbye?", "Goodbyes are hard."],
)
def test_other_turns_do_not(text):
    assert not is_goodbye(PROFILE, text)


def test_no_question_of_the_profile_ends_the_call():
    assert not any(is_goodbye(PROFILE, field.ask) for field in PROFILE.fields)


@pytest.mark.parametrize("text", ["bye", "Okay, goodbye.", "I've got to go", "please hang up"])
def test_a_caller_may_say_goodbye(text):
    assert caller_says_goodbye(text)


@pytest.mark.parametrize("text", ["John Doe", "I want to buy a bike", "a Kawasaki"])
def test_other_words_of_a_caller_are_no_goodbye(text):
    assert not caller_says_goodbye(text)
