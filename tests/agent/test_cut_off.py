"""Who was cut off is told where the conversation stood."""

import pytest

from ivr.agent.cut_off import apology, nobody_free
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


def test_a_client_that_speaks_arabic_apologises_in_arabic() -> None:
    homes = load_profile("real_estate").in_language("ar")
    cut_off, nobody = "عذرًا، انقطع الاتصال.", "عذرًا، لا يوجد أحد متاح الآن. سيتصل بك أحد زملائنا."
    known = {item.key: "x" for item in homes.fields}
    assert apology(homes, {}) == f"{cut_off} كنا عند السؤال عن الاسم."
    assert apology(homes, known) == f"{cut_off} {homes.closing}"
    assert nobody_free(homes, {}) == f"{nobody} سأسجل بقية بياناتك. ما اسمك من فضلك؟"
    assert nobody_free(homes, known) == f"{nobody} {homes.closing}"


def test_who_met_nobody_is_asked_for_the_rest() -> None:
    assert nobody_free(PROFILE, {}) == (
        "Sorry, nobody is free right now. Someone will call you back. "
        "I'll take the rest of your details. May I have your first and last name?"
    )
