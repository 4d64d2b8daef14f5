"""The fixed sentences: the same ones in every language and medium."""

import string

import pytest

from ivr.agent.acts import Expectation
from ivr.agent.phrases import _BY_LANGUAGE, LANGUAGES, Phrases
from ivr.leads.profile import load_profile

POWERSPORTS = load_profile("powersports")
COURSES = load_profile("courses")


def holes(ways: str | tuple[str, ...]) -> set[str]:
    texts = (ways,) if isinstance(ways, str) else ways
    return {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_has_every_sentence_with_no_other_values_in_it() -> None:
    assert LANGUAGES == ("en", "ar")
    english = _BY_LANGUAGE["en"]["voice"]
    for language in LANGUAGES:
        for sentences in _BY_LANGUAGE[language].values():
            assert sentences.keys() == english.keys()
            for name, ways in sentences.items():
                assert holes(ways) <= holes(english[name]) | {"label"}, (language, name)


@pytest.mark.parametrize("key", ["courses", "real_estate", "powersports"])
def test_there_are_fixed_sentences_in_every_language_of_a_shipped_profile(key) -> None:
    assert set(load_profile(key).languages) <= set(LANGUAGES)


def test_an_unknown_language_gets_english() -> None:
    assert Phrases("fr", "text").say("machine") == "I am an AI assistant."


def test_thanks_vary() -> None:
    assert {Phrases("en", "text").say("thanks", turn=turn) for turn in range(6)} == {
        "Thank you.",
        "Got it.",
        "Okay.",
    }


def test_hints_offer_the_keypad_only_on_the_phone() -> None:
    asked = Expectation(POWERSPORTS.field("zip_code"), "answer")
    assert Phrases("en", "voice").hint(asked).endswith("You can also key it in on your keypad.")
    assert Phrases("en", "text").hint(asked) == asked.field.help
    assert Phrases("en", "text").hint(Expectation(None, "done")) == ""
    assert "press 1" in Phrases("en", "voice").hint(Expectation(asked.field, "yes_no"))


def test_values_are_said_digit_by_digit_and_written_as_people_write() -> None:
    phone = COURSES.field("phone")
    number = "+923001234567"
    assert Phrases("en", "voice").value(phone, number) == "plus 9 2, 3 0 0, 1 2 3 4 5 6 7"
    assert Phrases("en", "text").value(phone, number) == "+92 300 1234567"
    assert Phrases("ar", "text").value(phone, number) == "\u2066+92 300 1234567\u2069"
