"""`ivr.redaction`: what may stand in a log, with literals and with every phone number there is."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ivr.redaction import (
    HIDDEN,
    redact_lead,
    redact_marker,
    redact_phone,
    redact_text,
    redact_transcript,
    redact_value,
)

LEAD_ID = UUID("550e8400-e29b-41d4-a716-446655440000")
CALL_SID = "CA" + "0123456789abcdef" * 2


# Phone numbers


@st.composite
def north_american(draw: st.DrawFn) -> str:
    """Ten digits of the plan: NXX-NXX-XXXX."""
    nxx = st.from_regex(r"[2-9][0-9]{2}", fullmatch=True)
    return draw(nxx) + draw(nxx) + draw(st.from_regex(r"[0-9]{4}", fullmatch=True))


SHAPES = (
    "{a}{b}{c}",
    "1{a}{b}{c}",
    "+1{a}{b}{c}",
    "({a}) {b}-{c}",
    "+1 ({a}) {b}-{c}",
    "{a}-{b}-{c}",
    "1-{a}-{b}-{c}",
    "{a}.{b}.{c}",
    "{a} {b} {c}",
    "whatsapp:+1{a}{b}{c}",
    "tel:+1-{a}-{b}-{c}",
)
AROUND = ("{}", "call {} please", "caller={}", "<{}>", "it is {}.", "'{}'", "x\n{}\ny")
KEYS = ("phone", "from_number", "caller", "to", "detail", "error", "event", "url", "", "status")


def shaped(digits: str, shape: str) -> str:
    return shape.format(a=digits[:3], b=digits[3:6], c=digits[6:])


def digits_in(value: object) -> str:
    return "".join(character for character in str(value) if character.isdecimal())


@given(north_american(), st.sampled_from(SHAPES), st.sampled_from(AROUND), st.sampled_from(KEYS))
def test_no_phone_number_survives_in_any_field(
    digits: str, shape: str, around: str, key: str
) -> None:
    shown = redact_value(key, around.format(shaped(digits, shape)))
    assert digits_in(shown) in ("", digits[-2:])


@given(north_american(), st.sampled_from(KEYS))
def test_no_phone_number_survives_as_an_integer(digits: str, key: str) -> None:
    for number in (int(digits), int("1" + digits)):
        assert digits not in str(redact_value(key, number))


@given(north_american())
def test_a_number_read_out_digit_by_digit_is_still_a_number(digits: str) -> None:
    aloud = f"{' '.join(digits[:3])}, {' '.join(digits[3:6])}, {' '.join(digits[6:])}"
    assert digits_in(redact_text(f"I heard {aloud}.")) == digits[-2:]


NESTS = st.recursive(
    st.just("PHONE"),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2),
        st.tuples(inner),
        st.dictionaries(st.sampled_from(("a", "lead", "meta")), inner, min_size=1),
    ),
    max_leaves=5,
)


def planted(nest: Any, number: str) -> Any:
    match nest:
        case "PHONE":
            return number
        case list() | tuple():
            return [planted(part, number) for part in nest]
    return {key: planted(part, number) for key, part in nest.items()}


@given(NESTS, north_american())
def test_depth_hides_nothing_from_the_redaction(nest: Any, digits: str) -> None:
    assert digits not in repr(redact_value("detail", planted(nest, "+1" + digits)))


@pytest.mark.parametrize(
    "number", ["+442071234567", "020 7123 4567", "0049 89 1234567", "555-0123"]
)
def test_foreign_and_local_numbers_are_hidden_in_running_text(number: str) -> None:
    assert digits_in(redact_text(f"transferred to {number} now")) == digits_in(number)[-2:]


def test_a_hidden_number_keeps_its_last_two_digits() -> None:
    assert redact_phone("+17705550123") == "+*********23"
    assert redact_phone("anonymous") == HIDDEN
    assert redact_phone("911") == HIDDEN


# What must stay readable


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T16:41:00.123456Z",
        "from 2026-11-20 16:41:00 to 2026-11-21",
        str(LEAD_ID),
        f"finish:{LEAD_ID}:1",
        f"call {CALL_SID} ended",
        "192.168.100.200:54321",
        "took 0.123456789 s",
        "1763656860",
        "=== GOODBYE MESSAGE DETECTED - CALL COMPLETE ===",
        "=== LEAD SUBMISSION FAILED: NPA API error: Unauthorized ===",
        "uvicorn 0.54.0 on port 8000, 512 MiB",
        "HTTP 503 from api.example.test",
    ],
)
def test_what_an_operator_needs_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("call_sid", CALL_SID),
        ("lead_id", str(LEAD_ID)),
        ("lead", str(LEAD_ID)),
        ("missing", ["zip_code", "phone"]),
        ("fields", ["zip_code", "phone"]),
        ("field", "phone"),
        ("input_tokens", 812),
        ("attempt_number", 3),
        ("phone_confirmed", True),
        ("secret_key", None),
        ("from", "NEW"),
        ("to", "NAME_COLLECTED"),
        ("seconds", 1.25),
        ("bytes_sent", 1763656860),
    ],
)
def test_harmless_fields_pass_unchanged(key: str, value: object) -> None:
    assert redact_value(key, value) == value


# Secrets

SECRETS = (
    "sk-proj-abcdefghijklmnop",
    "sk-ant-api03-abcdefgh",
    "Bearer abcdef0123456789",
    "Basic dXNlcjpwYXNzd29yZA==",
    "0123456789abcdef0123456789abcdef",
    "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl",
    "token=3f9a7c",
    "password: hunter2",
    '"npa_password": "hunter2 and more"',
)


@pytest.mark.parametrize("pii", [False, True])
@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_hidden_even_when_personal_data_is_shown(
    secret: str, pii: bool
) -> None:
    shown = redact_text(f"refused: {secret} (401)", pii=pii)
    tail = secret.split("=")[-1] if secret.startswith("token") else secret.split()[-1].strip('"')
    assert tail not in shown
    assert HIDDEN in shown
    assert shown.endswith("(401)")


@pytest.mark.parametrize("pii", [False, True])
@pytest.mark.parametrize(
    "key",
    "token stream_token authToken twilio_auth_token_secondary password NPA_API_PASSWORD secret_key"
    " OPENAI_API_KEY apikey Authorization X-Twilio-Signature cookie".split(),
)
@pytest.mark.parametrize("value", ["hunter2", 12345678, ["hunter2"], {"a": "hunter2"}, b"hunter2"])
def test_a_secrets_key_hides_whatever_it_holds(key: str, value: object, pii: bool) -> None:
    assert redact_value(key, value, pii=pii) == HIDDEN


def test_a_database_address_loses_its_password() -> None:
    shown = redact_text("cannot reach postgresql+asyncpg://ivr:hunter2@db.example.test/ivr")
    assert shown == "cannot reach postgresql+asyncpg://***@db.example.test/ivr"


# Personal data


@pytest.mark.parametrize(
    "key", ["full_name", "firstName", "name", "email", "zip_code", "street_address", "value"]
)
def test_personal_fields_are_hidden(key: str) -> None:
    assert redact_value(key, "John Doe") == HIDDEN
    assert redact_value(key, "John Doe", pii=True) == "John Doe"


@pytest.mark.parametrize("key", ["transcript", "text", "heard_as", "quote", "SpeechResult"])
def test_what_was_said_becomes_a_number_of_words(key: str) -> None:
    assert redact_value(key, "my name is John Doe") == "[5 words]"


def test_an_email_address_is_hidden_in_running_text() -> None:
    assert redact_text("mail to john.doe+x@example.co.uk bounced") == "mail to *** bounced"


def test_a_lead_shows_which_fields_it_has() -> None:
    lead = {"full_name": "John Doe", "zip_code": None, "vehicle_year": 2020}
    hidden = {"full_name": HIDDEN, "zip_code": None, "vehicle_year": HIDDEN}
    assert redact_lead(lead) == hidden
    assert redact_value("lead_data", lead) == hidden
    assert redact_value("lead_data", str(lead)) == HIDDEN
    assert redact_value("lead_data", lead, pii=True) == lead


@dataclass(frozen=True)
class Contact:
    full_name: str
    phone: str
    since: datetime


def test_a_dataclass_is_redacted_by_its_fields() -> None:
    contact = Contact("John Doe", "+17705550123", datetime(2026, 1, 2, tzinfo=UTC))
    assert redact_value("contact", contact) == {
        "full_name": HIDDEN,
        "phone": "+*********23",
        "since": "2026-01-02 00:00:00+00:00",
    }


def test_the_values_in_the_errors_of_our_libraries_are_hidden() -> None:
    pydantic = "zip\n  Bad [type=x, input_value='John Doe', input_type=str]"
    assert "John" not in redact_text(pydantic)
    assert "John" not in redact_text("(UNIQUE)\n[SQL: INSERT]\n[parameters: ('John Doe', 1)]")


def test_audio_and_cycles_end() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    assert HIDDEN in repr(redact_value("detail", cycle))
    assert redact_value("audio", b"\xff" * 160) == "[160 bytes]"
    assert len(redact_text("A" * 1_000_000)) < 21_000


# The owner's marker lines


def test_a_conversation_keeps_its_roles_and_loses_its_words() -> None:
    event = "=== CONVERSATION TEXT:\nassistant: What is your name?\nuser: John Doe\nof Atlanta\n"
    assert redact_marker(event) == ("=== CONVERSATION TEXT:\nassistant: [4 words]\nuser: [4 words]")


def test_a_conversation_without_roles_shows_nothing() -> None:
    assert redact_transcript("I am John Doe") == "unknown: [4 words]"
    assert redact_transcript("") == ""


@pytest.mark.parametrize(
    "payload", ['{"full_name": "John Doe", "phone": null}', "{'full_name': 'John', 'phone': None}"]
)
def test_extracted_data_keeps_its_keys(payload: str) -> None:
    assert redact_marker(f"=== EXTRACTED LEAD DATA: {payload} ===") == (
        '=== EXTRACTED LEAD DATA: {"full_name": "***", "phone": null} ==='
    )


@pytest.mark.parametrize("payload", ["John Doe", '["John Doe"]', '{"full_name": "Jo', ""])
def test_extracted_data_that_cannot_be_read_shows_nothing(payload: str) -> None:
    shown = redact_marker(f"=== EXTRACTED LEAD DATA: {payload} ===")
    assert shown is not None and "Jo" not in shown


def test_other_lines_are_no_markers() -> None:
    assert redact_marker("=== EXTRACTING LEAD DATA FROM CONVERSATION ===") is None
