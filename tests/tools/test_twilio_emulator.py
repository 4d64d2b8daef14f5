"""Twilio's emulator towards webhooks: signing, TwiML followed, retries, verbs without stream."""

import asyncio
from typing import Any

import pytest
from starlette.responses import Response
from twilio.request_validator import RequestValidator

from tests.tools.twilio_server import (
    ACCOUNT,
    CALLED,
    CALLER,
    PUBLIC,
    TOKEN,
    Server,
    response,
    twilio_for,
)
from tools.emulators.twilio import TwilioViolation

# webhooks


async def test_the_voice_webhook_is_signed_for_the_public_url(server: Server) -> None:
    server.documents["/voice"] = response("<Hangup/>")
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED, StirVerstat="TN-Validation-Passed-A")
        assert await call.ended() == "completed"

    url, fields, headers = server.requests[0]
    assert url == f"http://{headers['host']}/voice" and headers["host"] == "ivr.example.test"
    signature = headers["x-twilio-signature"]
    assert RequestValidator(TOKEN).validate(f"{PUBLIC}/voice", dict(fields), signature)
    assert len(headers["i-twilio-idempotency-token"]) == 32
    expected = {
        "CallSid": call.sid,
        "AccountSid": ACCOUNT,
        "From": CALLER,
        "To": CALLED,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "ToCity": "",
        "StirVerstat": "TN-Validation-Passed-A",
    }
    assert dict(fields).items() >= expected.items()


async def test_actions_and_redirects_are_followed_relative_to_the_document(server: Server) -> None:
    server.documents["/voice"] = response("<Redirect>a/b?x=1</Redirect>")
    server.documents["/a/b"] = response('<Say>hello</Say><Redirect method="GET">c</Redirect>')
    server.documents["/a/c"] = response("<Hangup/>")
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        assert await call.said("HELLO") == "hello"
        await call.ended()

    assert [exchange.url for exchange in call.webhooks] == [
        f"{PUBLIC}/voice",
        f"{PUBLIC}/a/b?x=1",
        f"{PUBLIC}/a/c",
    ]
    (_, fields, headers), (got, _, got_headers) = server.requests[1:]
    check = RequestValidator(TOKEN).validate
    assert check(f"{PUBLIC}/a/b?x=1", dict(fields), headers["x-twilio-signature"])
    assert dict(fields)["CallStatus"] == "in-progress"
    public = PUBLIC + got[got.index("/a/c") :]
    assert "CallSid=CA" in public
    assert check(public, {}, got_headers["x-twilio-signature"])


@pytest.mark.parametrize(
    ("answer", "code", "fails"),
    [
        (Response(status_code=500), "11200", False),
        (Response("{}", media_type="application/json"), "12300", True),
        (Response("<Response>", media_type="text/xml"), "12100", True),
        (Response(response("<Sey>hi</Sey>"), media_type="text/xml"), "12200", True),
    ],
)
async def test_an_unusable_answer_goes_to_the_fallback(
    server: Server, answer: Response, code: str, fails: bool
) -> None:
    server.documents["/voice"] = answer
    server.documents["/fallback"] = response("<Say>sorry</Say>")
    async with twilio_for(server, fallback="/fallback") as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.said("sorry")
        await call.ended()
        assert bool(twilio.violations.found) is fails
        twilio.allow(code)

    fallback = server.fields("/fallback")[0]
    assert (fallback["ErrorCode"], fallback["ErrorUrl"]) == (code, f"{PUBLIC}/voice")
    assert len(server.requests) == 2


async def test_a_violation_fails_the_test_at_the_end(server: Server) -> None:
    server.documents["/voice"] = response('<Say voise="x">hi</Say>')
    with pytest.raises(TwilioViolation, match="voise"):
        async with twilio_for(server) as twilio:
            await (await twilio.call(CALLER, CALLED)).ended()


async def test_a_refused_connection_is_tried_twice_and_drops_the_call(
    server: Server, unused_tcp_port: int
) -> None:
    async with twilio_for(server, status_callback="/status") as twilio:
        twilio.connect_to(f"http://127.0.0.1:{unused_tcp_port}")
        call = await twilio.call(CALLER, CALLED)
        assert await call.ended() == "completed"

    assert call.errors == ["11205", "11205"]  # the voice webhook, the status callback
    assert "application error" in call.story()


async def test_the_fragment_says_what_is_tried_again(server: Server) -> None:
    server.documents["/voice"] = Response(status_code=503)
    async with twilio_for(server) as twilio:
        twilio.account.voice_url += "#rc=3&rp=5xx"
        await (await twilio.call(CALLER, CALLED)).ended()

    tokens = {headers["i-twilio-idempotency-token"] for _, _, headers in server.requests}
    assert len(server.requests) == 4 and len(tokens) == 1


async def test_a_slow_webhook_is_a_failure(server: Server) -> None:
    too_late = asyncio.Event()

    class Slow(Response):
        async def __call__(self, *_: Any) -> None:
            await too_late.wait()

    server.documents["/voice"] = Slow()
    async with twilio_for(server, webhook_timeout_s=0.05) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.ended()
        too_late.set()

    assert call.errors == ["11200"]


@pytest.mark.parametrize("how", ["after", "together"])
async def test_a_webhook_can_arrive_twice_with_one_token(server: Server, how: Any) -> None:
    server.documents["/voice"] = response("<Hangup/>")
    async with twilio_for(server) as twilio:
        twilio.faults.duplicate_webhook = how
        await (await twilio.call(CALLER, CALLED)).ended()

    tokens = [headers["i-twilio-idempotency-token"] for _, _, headers in server.requests]
    assert len(tokens) == 2 and len(set(tokens)) == 1


@pytest.mark.parametrize("fault", ["missing_signature", "wrong_signature"])
async def test_webhook_signatures_can_be_bad(server: Server, fault: str) -> None:
    server.documents["/voice"] = response("<Hangup/>")
    async with twilio_for(server) as twilio:
        setattr(twilio.faults, fault, "webhook")
        await (await twilio.call(CALLER, CALLED)).ended()

    _, fields, headers = server.requests[0]
    signature = headers.get("x-twilio-signature", "")
    assert (signature == "") is (fault == "missing_signature")
    assert not RequestValidator(TOKEN).validate(f"{PUBLIC}/voice", dict(fields), signature)


# gather, record, dial, reject


async def test_a_gather_is_answered_by_speech_keys_or_silence(server: Server) -> None:
    gather = '<Gather input="speech dtmf" action="/heard" actionOnEmptyResult="true" {}>{}</Gather>'
    server.documents["/voice"] = response(gather.format("", "<Say>Your name?</Say>"))
    server.documents["/heard"] = response(gather.format('numDigits="5"', ""))
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        assert (await call.gathering()).get("action") == "/heard"
        assert call.sayings == ["Your name?"]
        await call.answer(speech="John Doe", confidence="0.8")
        await call.answer(digits="300931#")
        await call.answer(nothing=True)
        await call.gathering()
        await call.hang_up()

    heard = server.fields("/heard")
    assert (heard[0]["SpeechResult"], heard[0]["Confidence"]) == ("John Doe", "0.8")
    assert heard[1]["Digits"] == "30093"
    assert not {"SpeechResult", "Digits"} & heard[2].keys()


async def test_silence_falls_through_to_the_next_verb(server: Server) -> None:
    server.documents["/voice"] = response('<Gather timeout="1"/><Say>goodbye</Say>')
    async with twilio_for(server) as twilio:
        twilio.account.gather_timeouts = True
        call = await twilio.call(CALLER, CALLED)
        await call.said("goodbye")
        await call.ended()

    assert len(server.requests) == 1


async def test_a_recording_and_a_dial_report_to_their_actions(server: Server) -> None:
    server.documents["/voice"] = response('<Record action="/recorded"/>')
    server.documents["/recorded"] = response(
        '<Dial action="/dialled"><Number>+17705550199</Number></Dial>'
    )
    server.documents["/dialled"] = response("<Hangup/>")
    async with twilio_for(server) as twilio:
        twilio.account.dial_status = "no-answer"
        call = await twilio.call(CALLER, CALLED)
        await call.leave_message(seconds=7)
        await call.ended()

    assert server.fields("/recorded")[0]["RecordingDuration"] == "7"
    assert server.fields("/dialled")[0]["DialCallStatus"] == "no-answer"


async def test_a_rejected_call_is_never_in_progress(server: Server) -> None:
    server.documents["/voice"] = response('<Reject reason="busy"/>')
    async with twilio_for(server, status_callback="/status") as twilio:
        assert await (await twilio.call(CALLER, CALLED)).ended() == "busy"

    assert [fields["CallStatus"] for fields in server.fields("/status")] == ["busy"]


DIAL = '<Dial action="/after"><Number url="/whisper?conversation=1">+18005550100</Number></Dial>'


async def test_who_picks_up_hears_the_whisper_in_a_call_of_its_own(server: Server) -> None:
    server.documents |= {
        "/voice": response(DIAL),
        "/whisper": response("<Say>A call for you.</Say>"),
        "/after": response("<Hangup/>"),
    }
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.ended()

    assert call.whispers == ["A call for you."] and call.sayings == []
    (asked,) = server.fields("/whisper?conversation=1")
    assert (asked["ParentCallSid"], asked["To"]) == (call.sid, "+18005550100")
    (after,) = server.fields("/after")
    assert (after["DialCallStatus"], after["DialCallSid"]) == ("completed", asked["CallSid"])
    assert asked["CallSid"] != call.sid


SCREEN = response(
    '<Gather numDigits="1" timeout="2" action="/pressed"><Say>Press 1.</Say></Gather><Hangup/>'
)


@pytest.mark.parametrize(
    ("presses", "keys", "bridged"), [("1", ["1"], "true"), ("", [], "false")], ids=str
)
async def test_a_person_presses_the_key_of_a_whisper_and_a_machine_does_not(
    server: Server, presses: str, keys: list[str], bridged: str
) -> None:
    server.documents |= {
        "/voice": response(DIAL),
        "/whisper": SCREEN,
        "/pressed": response(""),
        "/after": response("<Hangup/>"),
    }
    async with twilio_for(server) as twilio:
        twilio.account.presses = presses
        call = await twilio.call(CALLER, CALLED)
        await call.ended()

    assert call.whispers == ["Press 1."]
    pressed = [(fields["Digits"], fields["ParentCallSid"]) for fields in server.fields("/pressed")]
    assert pressed == [(key, call.sid) for key in keys]
    (after,) = server.fields("/after")
    # Public code that screens calls: who was hung up on has "completed" the call as well.
    assert (after["DialCallStatus"], after["DialBridged"]) == ("completed", bridged)
    assert int(after["DialCallDuration"]) >= 2


async def test_a_whisper_must_not_dial(server: Server) -> None:
    server.documents |= {
        "/voice": response(DIAL),
        "/whisper": response("<Dial>+18005550100</Dial>"),
        "/after": response("<Hangup/>"),
    }
    async with twilio_for(server) as twilio:
        twilio.violations.allow("<Dial> in a whisper")
        await (await twilio.call(CALLER, CALLED)).ended()
        assert twilio.violations.found


async def test_nobody_hears_a_whisper_where_nobody_picks_up(server: Server) -> None:
    server.documents |= {"/voice": response(DIAL), "/after": response("<Hangup/>")}
    async with twilio_for(server) as twilio:
        twilio.account.dial_status = "no-answer"
        call = await twilio.call(CALLER, CALLED)
        await call.ended()

    assert call.whispers == [] and server.fields("/whisper?conversation=1") == []
    assert server.fields("/after")[0]["DialCallStatus"] == "no-answer"


async def test_waiting_for_what_never_comes_tells_the_story(server: Server) -> None:
    server.documents["/voice"] = response("<Say>hello</Say>")
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        with pytest.raises(AssertionError, match=r"(?s)over before 'goodbye' was said.*say +hello"):
            await call.said("goodbye")


async def test_leaving_the_block_hangs_up(server: Server) -> None:
    server.documents["/voice"] = response("<Gather/>")
    async with twilio_for(server, status_callback="/status") as twilio:
        listening = await twilio.call(CALLER, CALLED)
        await listening.gathering()
        ringing = await twilio.call(CALLER, CALLED, wait=False)

    assert (listening.over, listening.status) == (True, "completed")
    assert ringing.over
    assert len(server.fields("/status")) == 2


async def test_an_address_that_is_not_the_public_one_fails_the_test(server: Server) -> None:
    server.documents["/voice"] = response("<Redirect>http://127.0.0.1:1/next</Redirect>")
    with pytest.raises(TwilioViolation, match="is not on https://ivr.example.test"):
        async with twilio_for(server) as twilio:
            await (await twilio.call(CALLER, CALLED)).ended()
