"""Whatever is sent to a door: an answer or a clear refusal, never our fault."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from tests.calls.world import PUBLIC, TOKEN
from tests.channels.world import World, world
from tools.emulators.twilio.signing import sign

DOORS = ("/chat", "/webhooks/live-chat", "/webhooks/web-form", "/webhooks/missed-call")
TWILIO = ("/twilio/sms", "/webhooks/whatsapp/inbound", "/webhooks/missed-call")
FIELDS = (
    "message conversation_id session_id role name phone email source consent event_id id"
    " zip_code vehicle_year called from to"
).split()
TEXT = st.one_of(st.text(max_size=40), st.sampled_from(["\x00", "\ud800", "١٢٣", "🏍️", "\u202e"]))
VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.just("+17705550123")),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)
KEYS = st.one_of(st.sampled_from(FIELDS), TEXT)
BODY = st.one_of(
    st.dictionaries(KEYS, VALUE, max_size=8).map(lambda body: {"message": "Hello", **body}),
    st.dictionaries(KEYS, TEXT, max_size=6),
    VALUE,
)
FORM = st.dictionaries(
    st.one_of(
        st.sampled_from("MessageSid From To Body NumMedia MediaUrl0 CallSid CallStatus".split()),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    max_size=9,
).map(lambda form: {"MessageSid": "SM1", "From": "+17705550123", **form})
FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


async def test_no_json_makes_a_door_fail(database_url: str) -> None:
    bodies = _examples(BODY)
    async with world(database_url) as w:
        for door in DOORS:
            for body in bodies:
                await _check(w, door, json.dumps(body).encode())


async def test_no_form_makes_a_door_of_twilios_fail(database_url: str) -> None:
    forms = _examples(FORM)
    async with world(database_url) as w:
        for door in TWILIO:
            for form in forms:
                headers = {"X-Twilio-Signature": sign(TOKEN, f"{PUBLIC}{door}", form.items())}
                response = await w.visitor.post(door, data=form, headers=headers)
                assert response.status_code < 500, (door, form)


def _examples(strategy: st.SearchStrategy[Any]) -> list[Any]:
    """Return what hypothesis thinks of; before any thread of ours draws from `random`, too."""
    found: list[Any] = []

    @FUZZ
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"\xff\xfe", 400),
        (b"[" * 20_000, 400),
        (b'{"message": ' + b"9" * 6_000 + b"}", 400),
        (b'{"message": "' + b"x" * 1024 * 1024 + b'"}', 413),
    ],
    ids=["nothing", "half", "no utf-8", "deep", "a huge number", "a megabyte"],
)
async def test_a_broken_body_is_refused_with_problem_details(
    sqlite_url: str, door: str, body: bytes, status: int
) -> None:
    async with world(sqlite_url) as w:
        response = await w.http.post(door, content=body, headers=_JSON)
    assert response.status_code in {status, 422, 400} and response.status_code // 100 == 4
    assert (response.status_code == 413) == (status == 413)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"]


_JSON = {"Content-Type": "application/json"}


async def test_another_content_type_is_refused(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        response = await w.http.post("/chat", data={"message": "Hello"})
    assert response.status_code == 422


async def _check(w: World, door: str, body: bytes) -> None:
    response = await w.http.post(door, content=body, headers=_JSON)
    assert response.status_code < 500, (door, body, response.text)
    if response.is_error:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code
