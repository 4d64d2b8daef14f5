"""Who says that they are somebody else, and who only says something like it."""

import pytest

from ivr.agent.mistaken_identity import Denial, denial


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("This is not Ahmed", Denial("Ahmed")),
        ("I'm not John, sorry", Denial("John")),
        ("No, my name is not John.", Denial("John")),
        ("أنا لست أحمد", Denial("أحمد")),
        ("wrong person", Denial()),
        ("You've got the wrong number", Denial()),
        ("This is somebody else", Denial()),
        ("Ahmed no longer has this number", Denial("Ahmed", recycled=True)),
        ("I have this number now", Denial(recycled=True)),
        ("this is my number now", Denial(recycled=True)),
        ("I just got this number", Denial(recycled=True)),
    ],
)
def test_who_is_somebody_else_says_so(text: str, said: Denial) -> None:
    assert denial(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "That's the wrong number",
        "I am not selling a car",
        "Yes, this is Ahmed",
        "I got this number from a friend",
        "I just got the phone back",
        "wait, I have the number now: 770 555 0123",
        "no",
        "",
        "30093",
    ],
)
def test_what_is_about_something_else_is_no_denial(text: str) -> None:
    assert denial(text) is None
