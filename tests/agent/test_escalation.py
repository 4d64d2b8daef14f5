"""When a person takes over: asked for in words, or by the rules of the profile."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ivr.agent.escalation import trigger, wants_person
from ivr.agent.understanding import Request, request
from ivr.db.tables import Trigger
from ivr.leads.profile import Profile, load_profile

SENTENCES = json.loads(
    (Path(__file__).parents[1] / "data" / "asks_for_person.json").read_text(encoding="utf-8")
)["utterances"]
PROFILE = load_profile("powersports")


def why(text: str = "It is a 2020 Yamaha", profile: Profile = PROFILE, **given: object) -> object:
    """Return the trigger alone, for a message in the middle of a quiet conversation."""
    facts = {"exchanges": 3, "confidence": None, "value": None, **given}
    found = trigger(profile, text=text, **facts)  # type: ignore[arg-type]  # named by each test
    return found[0] if found else None


def ruled(**rules: object) -> Profile:
    changed = replace(PROFILE.escalation, **rules)  # type: ignore[arg-type]  # as above
    return replace(PROFILE, escalation=changed)


@pytest.mark.parametrize(
    ("text", "asks"), [(said["text"], "handoff" in said["intents"]) for said in SENTENCES]
)
def test_a_request_for_a_person_is_told_from_talk_of_people(text: str, asks: bool) -> None:
    assert wants_person(text) is asks


@pytest.mark.parametrize("text", ["LET ME TALK TO A PERSON", "  i want  a\nhuman ", "Agent."])
def test_case_and_spaces_do_not_matter(text: str) -> None:
    assert wants_person(text)


def test_curly_apostrophes_are_read_as_straight_ones() -> None:
    assert wants_person("I don\u2019t want to talk to a bot")
    assert not wants_person("I don\u2019t need to speak to a manager")


def test_arabic_vowel_marks_do_not_matter() -> None:
    assert wants_person("أُرِيدُ التَّحَدُّثَ مَعَ شَخْصٍ")


@pytest.mark.parametrize(
    "text", ["", "🙂" * 500, "can i talk " * 90_000, "a" * 1_000_000, "my the human " * 80_000]
)
def test_a_megabyte_of_anything_is_read_in_no_time(text: str) -> None:
    began = time.process_time()
    assert not wants_person(text)
    assert time.process_time() - began < 1.0


def test_the_voice_s_dialogue_asks_the_same_question() -> None:
    assert request("Could somebody else take a look at it?") is Request.PERSON
    assert request("I am a travel agent") is None


def test_who_asks_in_words_gets_a_person_whatever_the_keywords_are() -> None:
    assert why("Can I speak to someone?", ruled(keywords=("lawyer",))) is Trigger.ASKED


@pytest.mark.parametrize("text", ["a manager", "your MANAGER", "is that human", "The agents lie"])
def test_a_keyword_escalates(text: str) -> None:
    assert why(text) in {Trigger.KEYWORD, Trigger.ASKED}
    assert why("you mean the agent") is Trigger.KEYWORD


@pytest.mark.parametrize(
    "text",
    [
        "I am a travel agent",
        "my real estate agent sold it",
        "my manager said no",
        "I study human resources",
        "It was human error",
        "the agent's fee",
        "the management of it",
        "humane treatment",
        "a reagent",
        "I'm a manager",
        "I want to become a bank manager",
        "I work as a sales manager",
        "my account manager left",
        "he spoke with Tom's agent",
    ],
)
def test_other_people_and_parts_of_words_are_no_keywords(text: str) -> None:
    assert why(text) is None


def test_the_keywords_are_the_profile_s_own() -> None:
    lawyers = ruled(keywords=("lawyer", "refund me"))
    assert why("I will call my sister's friend, a lawyer", lawyers) is Trigger.KEYWORD
    assert why("now refund me", lawyers) is Trigger.KEYWORD
    assert why("you mean the agent", lawyers) is None
    assert why("a lawyerly word", lawyers) is None


@pytest.mark.parametrize(
    ("confidence", "expected"),
    [(0.59, Trigger.LOW_CONFIDENCE), (0.60, None), (0.0, Trigger.LOW_CONFIDENCE), (None, None)],
)
def test_an_unsure_assistant_escalates(confidence: float | None, expected: Trigger | None) -> None:
    assert why(confidence=confidence) is expected


def test_how_sure_it_must_be_is_the_profile_s() -> None:
    assert why(profile=ruled(min_confidence=0.8), confidence=0.79) is Trigger.LOW_CONFIDENCE


@pytest.mark.parametrize(("exchanges", "expected"), [(20, None), (21, Trigger.LONG)])
def test_a_long_conversation_escalates(exchanges: int, expected: Trigger | None) -> None:
    assert why(exchanges=exchanges) is expected


@pytest.mark.parametrize(
    ("cents", "expected"),
    [(100_000_00, None), (100_000_01, Trigger.HIGH_VALUE), (0, None), (None, None)],
)
def test_a_budget_above_the_threshold_escalates(
    cents: int | None, expected: Trigger | None
) -> None:
    assert why(profile=ruled(high_value=100_000), value=cents) is expected


def test_without_a_threshold_no_budget_escalates() -> None:
    assert why(value=10**12) is None


def test_staff_read_why_and_never_what_was_said() -> None:
    assert trigger(
        PROFILE, text="I am John Doe, is the agent in", exchanges=1, confidence=None, value=None
    ) == (Trigger.KEYWORD, "said 'agent'")
