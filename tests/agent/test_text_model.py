"""What a model is shown of a conversation, and what is read out of its answer."""

import pytest

from ivr.agent.text_model import LONGEST_REPLY, history_of, read_answer
from ivr.agent.text_router import by_rules
from ivr.db.tables import Role, Turn
from ivr.vendors.llm import Written
from tests.leads.cast import NOW


def turn(role: Role, text: str) -> Turn:
    return Turn(role=role, text=text, item_id=text[:5], position=0, said_at=NOW)


@pytest.mark.parametrize(
    ("said", "text", "confidence"),
    [
        ("Your ZIP?\n[confidence: 0.9]", "Your ZIP?", 0.9),
        ("Your ZIP?\n[Confidence 0.59]", "Your ZIP?", 0.59),
        ("Your ZIP? (confidence=1)", "Your ZIP?", 1.0),
        ("Your ZIP?\n**Confidence:** 0.7", "Your ZIP?", 0.7),
        ("Your ZIP?\nconfidence: .5.", "Your ZIP?", 0.5),
        ("Your ZIP?\n[confidence: 0,6]", "Your ZIP?", 0.6),
        ("Your ZIP?\n[confidence: 1.9]", "Your ZIP?", None),
        ("Your ZIP?", "Your ZIP?", None),
        ("I say it with confidence: the bike is fine", None, None),
        ("[confidence: 0.9]", "", 0.9),
        ("x" * 9_000, "x" * LONGEST_REPLY, None),
    ],
)
def test_the_confidence_is_cut_off(said: str, text: str | None, confidence: float | None) -> None:
    assert read_answer(said) == (said if text is None else text, confidence)


def test_a_history_that_begins_with_us_begins_with_a_person() -> None:
    shown = history_of([turn(Role.ASSISTANT, "What year is it?"), turn(Role.CALLER, "2020")])
    assert [message.by for message in shown] == ["person", "assistant", "person"]
    assert shown[-1] == Written(by="person", text="2020")


def test_a_message_without_words_is_shown_as_such() -> None:
    assert history_of([turn(Role.CALLER, " ")]) == [Written(by="person", text="(nothing)")]


def test_the_last_message_is_shown_however_long_the_history() -> None:
    turns = [turn(Role.CALLER, "y" * 3_999) for _ in range(50)]
    shown = history_of([*turns, turn(Role.CALLER, "the last")])
    assert shown[-1].text == "the last" and len(shown) < 5


@pytest.mark.parametrize(
    ("message", "decision"),
    [
        ("yes", "simple"),
        ("John Doe", "simple"),
        ("my zip code is 30093 ok", "simple"),
        ("how much?", None),
        ("كم السعر؟", None),
        ("I had an accident with it last year and now it rattles", None),
        ("word " * 200, "complex"),
    ],
)
def test_what_is_plain_needs_no_router(message: str, decision: str | None) -> None:
    found = by_rules(message)
    assert (found.decision if found else None) == decision
