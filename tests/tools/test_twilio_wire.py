"""The parts of Twilio's emulator that do no I/O: signing, TwiML, play-out, message checks."""

import json
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from tools.emulators.twilio.frames import InvalidMessage, check_outbound
from tools.emulators.twilio.playout import Playout
from tools.emulators.twilio.signing import sign, signed_url
from tools.emulators.twilio.twiml import TwimlError, parse, parse_answer
from tools.emulators.twilio.webhooks import Options, WrongOverride, parse_options

STREAM = '<Connect{}><Stream url="wss://ivr.example.test/stream">{}</Stream></Connect>'


def response(inner: str) -> str:
    return f"<Response>{inner}</Response>"


def stream(action: str = "", parameters: str = "") -> str:
    return response(STREAM.format(f' action="{action}"' if action else "", parameters))


# signing

FORM = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675310"),
    ("Digits", "1234"),
    ("From", "+14158675310"),
    ("To", "+18005551212"),
]
VECTORS: list[tuple[str, list[tuple[str, str]], str]] = [
    ("https://example.com/myapp.php?foo=1&bar=2", FORM, "L/OH5YylLD5NRKLltdqwSvS0BnU="),
    ("wss://voice.example.com/media/abc", [], "p7ZIQKz1Sb1l+te52jRySZHpOfo="),
    ("wss://voice.example.com/media/abc/", [], "pPXdEQsw3BQVbqIzHvDGDx1NQcw="),
    ("https://voice.example.com/media/abc", [], "QMghGvLy8TeScA7HBfKNlpRKnhU="),
    (
        "https://voice.example.com/sms",
        [("Body", ""), ("From", "+1"), ("NumMedia", "0")],
        "OahOHhGRIoncIYci9yV23dBJZO8=",
    ),
    (
        "https://voice.example.com/sms",
        [("Body", "héé 👋  "), ("From", "whatsapp:+15551230000")],
        "cQXlbH6C8UU9GPn6tx5wz46oTwM=",
    ),
    (
        "https://voice.example.com/x",
        [("a", "2"), ("B", "3"), ("A", "1")],
        "1XO6F2ntqjlD86ApClfFykqi3VM=",
    ),
]


@pytest.mark.parametrize(("url", "fields", "signature"), VECTORS)
def test_signatures_agree_with_the_vectors_and_the_sdk(
    url: str, fields: list[tuple[str, str]], signature: str
) -> None:
    assert sign("12345", url, fields) == signature
    assert RequestValidator("12345").validate(url, dict(fields), signature)


def test_the_signed_url_has_no_fragment_user_or_https_port() -> None:
    assert signed_url("https://me:pw@a.test:8443/x?y=1#rc=2") == "https://a.test/x?y=1"
    assert signed_url("http://a.test:8080/x") == "http://a.test:8080/x"


# TwiML


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("<Response><Say>hi</Say>", "not XML"),
        ("<Twiml/>", "<Response> expected"),
        ("<Response><Play>x</Play></Response>", "<Play> is not allowed"),
        ("<Response>hi</Response>", "stray text"),
        (response("<Say></Say>"), "<Say> is empty"),
        (response('<Say voise="x">hi</Say>'), "no attribute 'voise'"),
        (response('<Gather timeout="soon"/>'), "not a legal value"),
        (response('<Gather input="voice"/>'), "not a legal value"),
        (response('<Connect action=""/>'), "not a legal value"),
        (response("<Connect/>"), "exactly one <Stream>"),
        (response("<Connect><Stream/></Connect>"), "lacks url"),
        (response('<Stream url="wss://a.test/s"/>'), "<Stream> is not allowed"),
        (response('<Connect><Stream url="ws://a.test/s"/></Connect>'), "not a legal value"),
        (response('<Connect><Stream url="wss://a.test/s?t=1"/></Connect>'), "not a legal value"),
        (stream(parameters='<Parameter name="token"/>'), "lacks value"),
        (stream(parameters=f'<Parameter name="t" value="{"x" * 499}"/>'), "500 characters"),
        (response("<Dial/>"), "needs a number"),
        (response("<Hangup/><Say>hi</Say>"), "never run"),
        (response(STREAM.format(' action="/a"', "") + "<Hangup/>"), "never run"),
        (response("<Reject/><Hangup/>"), "stands alone"),
    ],
)
def test_a_mistake_in_twiml_is_named(document: str, reason: str) -> None:
    with pytest.raises(TwimlError, match=reason):
        parse(document)


def test_twiml_must_be_text_xml() -> None:
    assert parse_answer("text/xml; charset=utf-8", b"<Response/>") == ()
    with pytest.raises(TwimlError, match="12300"):
        parse_answer("application/json", b"<Response/>")


# play-out


def test_marks_are_reached_when_their_audio_has_been_played() -> None:
    playout = Playout(bytearray())
    playout.add(b"a" * 80, now=100)
    playout.mark("ten")
    playout.add(b"b" * 80, now=100)
    playout.mark("twenty")

    assert playout.advance(109) == []
    assert playout.advance(110) == ["ten"]
    assert bytes(playout.heard) == b"a" * 80
    assert playout.advance(500) == ["twenty"]
    assert playout.empty_since == 120


def test_a_mark_behind_nothing_is_reached_at_once() -> None:
    playout = Playout(bytearray())
    playout.mark("now")

    assert playout.advance(0) == ["now"]


def test_clear_drops_the_audio_and_reaches_all_marks_in_order() -> None:
    playout = Playout(bytearray())
    for name in ("one", "two", "three"):
        playout.add(b"x" * 80, now=0)
        playout.mark(name)

    assert playout.clear(15) == ["one", "two", "three"]
    assert len(playout.heard) == 15 * 8
    assert playout.buffered_ms == 0
    assert playout.advance(1000) == []


def test_more_than_ten_minutes_do_not_fit() -> None:
    playout = Playout(bytearray())

    assert playout.add(bytes(600_000 * 8), now=0)
    assert not playout.add(b"x", now=0)


# what the server may send

GOOD = {"event": "media", "streamSid": "MZ1", "media": {"payload": "/w=="}}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"\xff", "31950 binary"),
        ("{", "31951 not JSON"),
        ("[]", "not a JSON object"),
        ({**GOOD, "streamSid": "MZ2"}, "wrong streamSid"),
        ({**GOOD, "track": "outbound"}, r"extra keys \['track'\]"),
        ({"event": "media", "streamSid": "MZ1"}, r"missing keys \['media'\]"),
        ({**GOOD, "media": {"payload": "/w==", "track": "x"}}, r"media.media: .*'track'"),
        ({**GOOD, "media": {"payload": "%%"}}, "not base64"),
        ({**GOOD, "media": {"payload": ""}}, "empty"),
        ({**GOOD, "media": {"payload": 1}}, "str expected"),
        ({"event": "mark", "streamSid": "MZ1", "mark": "x"}, "object expected"),
        ({"event": "dtmf", "streamSid": "MZ1"}, "unknown event 'dtmf'"),
    ],
)
def test_an_invalid_stream_message_is_named(message: Any, reason: str) -> None:
    frame = json.dumps(message) if isinstance(message, dict | list) else message

    with pytest.raises(InvalidMessage, match=reason):
        check_outbound(frame, "MZ1")


def test_nothing_may_be_sent_before_start() -> None:
    assert check_outbound(json.dumps(GOOD), "MZ1") == GOOD
    with pytest.raises(InvalidMessage, match="before start"):
        check_outbound(json.dumps(GOOD), None)


@pytest.mark.parametrize(
    "fragment",
    ["rc=6", "rc=x", "rp=5xx,sometimes", "ct=50", "rt=20000", "tt=0", "retries=3", "rc"],
)
def test_overrides_that_twilio_does_not_know_are_refused(fragment: str) -> None:
    with pytest.raises(WrongOverride):
        parse_options(fragment, 15)


def test_overrides_say_what_is_tried_again_how_often_and_for_how_long() -> None:
    assert parse_options("", 15) == Options()
    found = parse_options("rc=3&rp=5xx,rt&ct=1000&rt=2000&tt=9000", 15)
    assert found == Options(1.0, 2.0, 9.0, 3, frozenset({"5xx", "rt"}))
