"""Who is turned away, with which words, and before any model session is paid for."""

import json
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from ivr.voice import endpoints
from tests.calls.world import PUBLIC, SID, TOKEN, World, short, talk_through, words, world
from tools.emulators.twilio import frames
from tools.emulators.twilio.signing import sign

RING = "/twilio/voice-realtime-proxied"
STREAM = "/twilio/voice/stream"
STREAM_URL = f"wss://{PUBLIC.removeprefix('https://')}{STREAM}"
DOORS = [RING, "/twilio/voice", "/twilio/voice/after", "/twilio/voice/status"]
DOORS += ["/twilio/voice-ivr", "/twilio/voice-ivr/collect"]
FORM = {"CallSid": "CA" + "0" * 32, "From": "+17705550123", "To": "+18005551212"}
POLICY_VIOLATION, TOO_BIG = 1008, 1009


async def post(w: World, path: str, body: bytes, signature: str | None) -> httpx.Response:
    headers = {"Host": PUBLIC.removeprefix("https://")}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    if signature is not None:
        headers["X-Twilio-Signature"] = signature
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return await http.post(f"{w.url}{path}", content=body, headers=raw)


async def post_signed(w: World, path: str, form: dict[str, str]) -> httpx.Response:
    signature = sign(TOKEN, f"{PUBLIC}{path}", form.items())
    return await post(w, path, urlencode(form).encode(), signature)


async def token_of(w: World, form: dict[str, str]) -> str:
    """Ring by hand and return the token of the stream."""
    answer = await post_signed(w, RING, form)
    parameter = ElementTree.fromstring(answer.text).find(".//Parameter")
    assert parameter is not None
    return parameter.attrib["value"]


def start(call_sid: str, token: str, *, account: str = SID) -> dict[str, Any]:
    message = frames.start(account, call_sid, "MZ" + "1" * 32, {"token": token})
    return {**message, "streamSid": "MZ" + "1" * 32, "sequenceNumber": "1"}


async def close_code(socket: ClientConnection, *messages: Any) -> int | None:
    """Send messages and return the code with which the server closes."""
    try:
        for message in messages:
            raw = message if isinstance(message, (bytes, str)) else json.dumps(message)
            await socket.send(raw)
        async for _ in socket:
            pass
    except ConnectionClosed:
        pass
    return socket.close_code


@pytest.mark.parametrize("path", DOORS)
async def test_a_webhook_that_twilio_did_not_sign_is_refused(sqlite_url: str, path: str) -> None:
    body = urlencode(FORM).encode()
    signatures = {
        "missing": None,
        "of another account": sign("another-token", f"{PUBLIC}{path}", FORM.items()),
        "of another scheme": sign(TOKEN, f"http{PUBLIC[5:]}{path}", FORM.items()),
        "of another form": sign(TOKEN, f"{PUBLIC}{path}", {**FORM, "From": "+1"}.items()),
        "not ASCII": "\u00fc",
    }
    async with world(sqlite_url) as w:
        for name, signature in signatures.items():
            answer = await post(w, path, body, signature)
            assert answer.status_code == 403, name
        books = await w.books()
    assert books.conversations == [] and w.openai.upgrades == []


@pytest.mark.parametrize(
    "fault", ["missing_signature", "wrong_signature", "wrong_scheme_signature"]
)
async def test_a_call_whose_webhook_is_not_signed_is_not_taken(sqlite_url: str, fault: str) -> None:
    async with world(sqlite_url) as w:
        setattr(w.twilio.faults, fault, True)
        call = await w.ring()
        await call.ended()
        assert (await w.books()).conversations == []
    assert call.webhooks[0].status == 403
    assert w.openai.upgrades == []


@pytest.mark.parametrize(
    "fault", ["missing_signature", "wrong_signature", "wrong_scheme_signature"]
)
async def test_a_stream_that_is_not_signed_is_refused(sqlite_url: str, fault: str) -> None:
    async with world(sqlite_url) as w:
        setattr(w.twilio.faults, fault, "stream")
        call = await w.ring()
        await call.until(lambda: "31920" in call.errors, "the stream was refused")
        setattr(w.twilio.faults, fault, False)
        await call.hang_up()
        page = await w.finished(call)
    assert w.openai.upgrades == []
    assert page.succeeded is not None, "the number to call back is a lead all the same"


async def test_a_stream_signed_with_a_trailing_slash_is_accepted(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        w.twilio.faults.trailing_slash_signature = "stream"
        call = await w.ring()
        await talk_through(call, w.scenario)
        assert await call.ended() == "completed"
        await w.finished(call)
    assert w.openai.upgrades == [101]


async def test_a_token_opens_one_stream_only(database_url: str) -> None:
    async with world(database_url, scenario=short()) as w:
        w.twilio.faults.replay_token = True
        call = await w.ring()
        assert await call.replayed() == POLICY_VIOLATION
        await talk_through(call, w.scenario)
        assert await call.ended() == "completed"
        await w.finished(call)
    assert w.openai.upgrades == [101]


async def test_the_token_of_another_call_opens_nothing(sqlite_url: str) -> None:
    other = {**FORM, "CallSid": "CA" + "9" * 32}
    async with world(sqlite_url) as w:
        token = await token_of(w, FORM)
        await token_of(w, other)
        for message in (
            start(other["CallSid"], token),
            start(FORM["CallSid"], token, account="AC" + "f" * 32),
            start(FORM["CallSid"], token[:-1] + ("0" if token[-1] != "0" else "1")),
            start(FORM["CallSid"], ""),
            start(FORM["CallSid"], "\u00fc"),
        ):
            async with w.twilio.open_stream(STREAM) as socket:
                assert await close_code(socket, frames.CONNECTED, message) == POLICY_VIOLATION
    assert w.openai.upgrades == []


@pytest.mark.parametrize(
    "opening",
    [frames.SILENT_FRAME, "not JSON", frames.media(1, 0, b"\xff" * 160), frames.mark("1:bye")],
    ids=["binary", "not-json", "media", "mark"],
)
async def test_a_stream_that_does_not_begin_with_start_is_closed(
    sqlite_url: str, opening: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "START_SECONDS", 0.3)
    async with world(sqlite_url) as w, w.twilio.open_stream(STREAM) as socket:
        assert await close_code(socket, opening) == POLICY_VIOLATION
    assert w.openai.upgrades == []


async def test_a_stream_that_says_nothing_is_closed(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "START_SECONDS", 0.1)
    async with world(sqlite_url) as w, w.twilio.open_stream(STREAM) as socket:
        assert await close_code(socket, frames.CONNECTED) == POLICY_VIOLATION
    assert w.openai.upgrades == []


async def test_an_oversized_first_frame_is_refused(sqlite_url: str) -> None:
    async with world(sqlite_url) as w, w.twilio.open_stream(STREAM) as socket:
        assert await close_code(socket, "x" * (64 * 1024 + 1)) == TOO_BIG
    assert w.openai.upgrades == []


@pytest.mark.parametrize("fault", ["oversized_frame", "binary_frame"])
async def test_a_frame_that_twilio_never_sends_ends_the_stream_and_keeps_the_call(
    sqlite_url: str, fault: str
) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        setattr(w.twilio.faults, fault, True)
        call = await w.ring()
        assert await call.said("first and last name")
        await call.hang_up()
        page = await w.finished(call)
    assert page.succeeded is not None
    assert len(w.npa.requests) == 1


async def test_an_oversized_frame_in_the_middle_of_a_call_costs_the_stream_only(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        call = await w.ring()
        await talk_through(call, w.scenario, turns=1)
        await call.quiet()
        stream = await call.stream()
        await stream.send(frames.media(1, 0, bytes(64 * 1024)))
        await call.stream(2)
        model = await w.openai.session()
        await model.wait_closed()
        await call.quiet()
        await call.play(words(w.scenario.turns[1].caller))
        assert await call.ended() == "completed"
        page = await w.finished(call)
    assert page.succeeded is not None
    assert page.succeeded.lead_data["full_name"] == "John Doe"
    assert page.succeeded.lead_data["zip_code"] == "30093"
    assert call.sayings == [], "no other voice was needed"
    assert w.openai.upgrades == [101, 101] and len(w.npa.requests) == 1


@pytest.mark.parametrize("fault", ["second_start", "unknown_event", "extra_fields"])
async def test_odd_messages_in_a_stream_change_nothing(sqlite_url: str, fault: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        setattr(w.twilio.faults, fault, True)
        call = await w.ring()
        await talk_through(call, w.scenario)
        assert await call.ended() == "completed"
        page = await w.finished(call)
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"
    assert w.openai.upgrades == [101]


@pytest.mark.parametrize("path", DOORS)
async def test_a_form_that_cannot_be_read_is_refused_in_words(sqlite_url: str, path: str) -> None:
    async with world(sqlite_url) as w:
        large = await post(w, path, b"A=" + b"x" * 64 * 1024, "any")
        odd = await post(w, path, b"\xff\xfe", "any")
        form = {"From": FORM["From"], "To": FORM["To"], "CallStatus": "completed"}
        nameless = await post_signed(w, path, form)
        assert (await w.books()).conversations == []
    assert (large.status_code, odd.status_code, nameless.status_code) == (413, 400, 400)
    assert "32 KiB" in large.json()["detail"]
    assert "UTF-8" in odd.json()["detail"]
    assert "CallSid" in nameless.json()["detail"]


async def test_without_an_auth_token_the_doors_answer_503(sqlite_url: str) -> None:
    async with world(sqlite_url, twilio_auth_token=None) as w:
        for path in DOORS:
            answer = await post_signed(w, path, FORM)
            assert answer.status_code == 503
            assert "TWILIO_AUTH_TOKEN" in answer.json()["detail"]
        with pytest.raises(InvalidStatus):
            await w.twilio.open_stream(STREAM)
        assert (await w.books()).conversations == []
    assert w.openai.upgrades == []


async def test_during_a_rotation_both_tokens_are_good(sqlite_url: str) -> None:
    secondary: dict[str, Any] = {"twilio_auth_token_secondary": TOKEN}
    secondary["twilio_auth_token"] = "a-new-token"
    async with world(sqlite_url, scenario=short(), **secondary) as w:
        call = await w.ring()
        await talk_through(call, w.scenario)
        assert await call.ended() == "completed"
        await w.finished(call)


async def test_a_caller_whom_nobody_knows_any_more_is_given_a_stream(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        form = {**FORM, "CallStatus": "in-progress"}
        answer = await post_signed(w, "/twilio/voice/after", form)
        books = await w.books()
    assert answer.status_code == 200 and "<Stream" in answer.text
    assert [conversation.session_key for conversation in books.conversations] == [FORM["CallSid"]]
    assert w.openai.upgrades == []
