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


def first_heard(text: str) -> tuple[dict[str, str], str]:
    """Return what is saved and said when `text` is the first message of all."""
    acts = Collector(POWERSPORTS, today=date(2026, 11, 21), medium="text").hear(text)
    words = " ".join(act.text for act in acts if isinstance(act, Say))
    return {act.name: act.value for act in acts if isinstance(act, Save)}, words


@pytest.mark.parametrize(
    "text", ["how much do you pay?", "Hi, how much do you pay", "Hello there, do you buy boats?"]
)
def test_a_question_that_comes_first_is_greeted_and_not_passed_over(text: str) -> None:
    saves, said = first_heard(text)
    greeting = POWERSPORTS.text_greeting or POWERSPORTS.greeting
    assert saves == {} and said.startswith(f"{greeting} {COLLEAGUE}")
    assert said.endswith(POWERSPORTS.field("full_name").ask)


@pytest.mark.parametrize("text", ["Hello?", "Hi, I want to sell my bike", "hey there"])
def test_a_greeting_is_no_question(text: str) -> None:
    assert COLLEAGUE not in first_heard(text)[1]


@pytest.mark.parametrize(
    "text",
    [
        "John Doe, 30093, 770-555-0123, 2020 Yamaha MT-07",
        "john doe, 30093, 770-555-0123, 2020 Yamaha MT-07",
        "Hi, John Doe, 30093, 770-555-0123, 2020 Yamaha MT-07",
        "John Doe\n30093\n770-555-0123\n2020 Yamaha MT-07",
        "2020 Yamaha MT-07, 30093, 770-555-0123, John Doe",
    ],
)
def test_a_name_that_stands_alone_beside_other_answers_is_the_name(text: str) -> None:
    assert first_heard(text)[0] == KNOWN


@pytest.mark.parametrize(
    "text",
    [
        "Clean title, 2020 Yamaha MT-07",
        "Low Miles, 2020 Yamaha MT-07",
        "Virginia Beach, 30093",
        "Austin TX, 30093",
        "2020 Yamaha MT-07, Jackson Heights",
        "John, 30093",
    ],
)
def test_what_stands_beside_other_answers_may_be_no_name(text: str) -> None:
    assert "full_name" not in first_heard(text)[0]


@pytest.mark.parametrize(
    "text", ["Whatever. Karen Miller", "Karen Miller. Whatever!", "This is silly! Karen Miller"]
)
def test_a_name_is_found_beside_a_sentence_of_its_own(text: str) -> None:
    assert heard("full_name", text)[0] == {"full_name": "Karen Miller"}


@pytest.mark.parametrize("text", ["St. John Miller", "Mary St. John", "Dr. Jane St. Clair"])
def test_a_shortened_word_ends_no_sentence(text: str) -> None:
    assert heard("full_name", text)[0] == {"full_name": text.removeprefix("Dr. ").replace(".", "")}


@pytest.mark.parametrize("text", ["a red one", "the blue bike", "It's a red one."])
@pytest.mark.parametrize("asked", ["vehicle_make", "vehicle_model"])
def test_how_it_looks_tells_neither_make_nor_model(asked: str, text: str) -> None:
    saves, said = heard(asked, text)
    assert saves == {} and said.endswith(POWERSPORTS.field(asked).ask)


def loaded(asked: str, learnt: dict[str, str]) -> Collector:
    """Return the collector that asked, and comes back when others have saved what is `learnt`."""
    order = [field.key for field in POWERSPORTS.required]
    known = {key: KNOWN[key] for key in order[: order.index(asked)]}
    today = date(2026, 11, 21)
    collector = Collector(POWERSPORTS, today=today, medium="text", known=known)
    collector.open(greet=False)
    return Collector.load(POWERSPORTS, collector.dump(), today=today, known={**known, **learnt})


def test_what_others_saved_meanwhile_is_not_asked_for() -> None:
    acts = loaded("zip_code", {"phone": "+17705550123", "vehicle_year": "2020"}).hear("30093")
    said = " ".join(act.text for act in acts if isinstance(act, Say))
    assert said.endswith(POWERSPORTS.field("vehicle_make").ask)


@pytest.mark.parametrize("text", ["what?", "why do you need my zip", "I told you", "", "hm", "!!"])
def test_what_others_were_told_is_not_asked_for_again(text: str) -> None:
    acts = loaded("zip_code", {"zip_code": "30093"}).hear(text)
    said = " ".join(act.text for act in acts if isinstance(act, Say))
    assert said.endswith(POWERSPORTS.field("phone").ask) and "ZIP" not in said


def test_who_answers_what_others_were_told_may_correct_it() -> None:
    acts = loaded("zip_code", {"zip_code": "30093"}).hear("30094")
    assert Save("zip_code", "30094", "30094") in acts
