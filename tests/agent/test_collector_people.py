"""The collector and what real people write: chatter, questions back, corrections, odd marks."""

from datetime import date

import pytest

from ivr.agent.acts import Save, Say
from ivr.agent.collector import Collector
from ivr.leads.profile import load_profile

POWERSPORTS = load_profile("powersports")
COLLEAGUE = "A colleague will answer that"
KNOWN = {
    "full_name": "John Doe",
    "zip_code": "30093",
    "phone": "+17705550123",
    "vehicle_year": "2020",
    "vehicle_make": "Yamaha",
    "vehicle_model": "MT-07",
}


def heard(asked: str, text: str) -> tuple[dict[str, str], str]:
    """Return what is saved and said when `text` answers the question for `asked`."""
    order = [field.key for field in POWERSPORTS.required]
    known = {key: KNOWN[key] for key in order[: order.index(asked)]}
    collector = Collector(POWERSPORTS, today=date(2026, 11, 21), medium="text", known=known)
    collector.open(greet=False)
    acts = collector.hear(text)
    words = " ".join(act.text for act in acts if isinstance(act, Say))
    return {act.name: act.value for act in acts if isinstance(act, Save)}, words


@pytest.mark.parametrize(
    ("asked", "text", "value"),
    [
        ("full_name", "oh sure so my name is John Doe, nice to meet you", "John Doe"),
        ("full_name", "\u202aMy name is John Doe\u202c 😀", "John Doe"),
        ("full_name", "\u200fJohn Doe\u200f", "John Doe"),
        ("full_name", "Will Smith?", "Will Smith"),
        ("zip_code", "\u206630093\u2069 📍", "30093"),
        ("vehicle_year", "is 2019 okay?", "2019"),
        ("vehicle_make", "do you take Yamaha?", "Yamaha"),
    ],
)
def test_the_answer_is_found_among_other_words(asked: str, text: str, value: str) -> None:
    saves, said = heard(asked, text)
    assert saves == {asked: value} and COLLEAGUE not in said


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("zip_code", "why do you need my zip"),
        ("phone", "is this a scam?"),
        ("vehicle_make", "how much do you pay?"),
        ("vehicle_model", "do you pick it up?"),
    ],
)
def test_a_question_back_is_no_answer_and_is_not_passed_over(asked: str, text: str) -> None:
    saves, said = heard(asked, text)
    assert saves == {} and said.startswith(COLLEAGUE)
    assert said.endswith(POWERSPORTS.field(asked).ask)


@pytest.mark.parametrize("text", ["I told you already", "i already said that", "I've told you!"])
def test_who_says_that_they_told_us_is_asked_without_a_reproach(text: str) -> None:
    assert heard("phone", text) == ({}, POWERSPORTS.field("phone").ask)


def test_an_apology_with_a_correction_is_no_model() -> None:
    saves, said = heard("vehicle_model", "sorry, my zip is 30094")
    assert saves == {"zip_code": "30094"} and said.endswith("which model is it?")


def test_dunno_is_no_model() -> None:
    assert heard("vehicle_model", "dunno")[0] == {}
