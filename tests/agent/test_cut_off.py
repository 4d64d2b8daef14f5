"""Who was cut off is told where the conversation stood."""

import pytest

from ivr.agent.cut_off import apology
from ivr.leads.profile import load_profile

PROFILE = load_profile("powersports")
KNOWN = {
    "full_name": "John Doe",
    "zip_code": "30093",
    "phone": "+17705550123",
    "vehicle_year": "2020",
    "vehicle_make": "Yamaha",
    "vehicle_model": "MT-07",
}


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (0, "You were giving me your name."),
        (1, "You were giving me your ZIP code."),
        (2, "You were giving me the phone number."),
        (3, "You were giving me the year of the vehicle."),
        (5, "You were giving me the model of the vehicle."),
    ],
)
def test_what_was_being_asked_is_named_as_a_person_would(answers: int, words: str) -> None:
    known = dict(list(KNOWN.items())[:answers])
    assert apology(PROFILE, known) == f"Sorry, we were cut off. {words}"


def test_who_had_told_everything_is_said_goodbye_to() -> None:
    assert apology(PROFILE, KNOWN) == f"Sorry, we were cut off. {PROFILE.closing}"
