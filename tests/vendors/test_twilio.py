"""Twilio's client: signatures of forms, streams and JSON; calls hung up and redirected by REST."""

import asyncio
from http import HTTPStatus
from urllib.parse import parse_qs

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from twilio.request_validator import RequestValidator

from ivr.errors import NotFound, SignatureError, Unavailable
from ivr.settings import Settings
from ivr.vendors.twilio import Signatures, TwilioRest
from tests.nobody import nobody
from tools.emulators.serving import serve

TOKEN = "12345"
signatures = Signatures([TOKEN])

CALL = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675310"),
    ("Digits", "1234"),
    ("From", "+14158675310"),
    ("To", "+18005551212"),
]
MYAPP = "https://example.com/myapp.php?foo=1&bar=2"
STREAM = "wss://voice.example.com/media/abc"
HOOK = (
    "https://voice.example.com/hook?bodySHA256="
    "27ebfe91a318dc07829eec267640f3751e9a3cdc12079c47803ad76b3404b82e"
)


@pytest.mark.parametrize(
    ("url", "form", "signature"),
    [
        (MYAPP, CALL, "L/OH5YylLD5NRKLltdqwSvS0BnU="),
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
    ],
)
def test_a_form_that_twilio_signed_passes(url, form, signature):
    signatures.check_form(url, form, signature)


def test_every_value_of_a_repeated_name_is_signed_once():
    form = [("A", "2"), ("A", "1"), ("A", "2")]

    class Multi(dict):
        def getlist(self, name):
            return [value for key, value in form if key == name]

    signed = RequestValidator(TOKEN).compute_signature(MYAPP, Multi(A=""))

    signatures.check_form(MYAPP, form, signed)


@pytest.mark.parametrize(
    ("signed", "seen"),
    [
        ("https://h.example/x", "https://h.example:443/x"),
        ("https://h.example/x", "https://h.example:8443/x"),
        ("https://h.example:443/x", "https://h.example/x"),
        ("https://h.example:8443/x", "https://h.example:8443/x"),
        ("http://h.example:80/x", "http://h.example/x"),
        ("https://[2001:db8::1]:443/x", "https://[2001:db8::1]/x"),
    ],
)
def test_a_port_that_twilio_drops_or_adds_does_not_matter(signed, seen):
    signatures.check_form(seen, CALL, _signed(signed, dict(CALL)))


@pytest.mark.parametrize(
    ("url", "form", "signature"),
    [
        (MYAPP, CALL, None),
        (MYAPP, CALL, ""),
        (MYAPP, CALL, "nonsense é"),
        (MYAPP, [*CALL, ("Extra", "1")], "L/OH5YylLD5NRKLltdqwSvS0BnU="),
        (MYAPP + "3", CALL, "L/OH5YylLD5NRKLltdqwSvS0BnU="),
    ],
)
def test_a_form_that_twilio_did_not_sign_is_refused(url, form, signature):
    with pytest.raises(SignatureError):
        signatures.check_form(url, form, signature)


def test_a_port_of_its_own_is_part_of_the_address():
    with pytest.raises(SignatureError):
        signatures.check_form("https://h.example/x", [], _signed("https://h.example:8443/x", {}))


@pytest.mark.parametrize(
    "signature",
    [
        "p7ZIQKz1Sb1l+te52jRySZHpOfo=",
        "pPXdEQsw3BQVbqIzHvDGDx1NQcw=",  # the same with a trailing slash, as Twilio may sign it
    ],
)
def test_a_stream_that_twilio_opens_passes(signature):
    signatures.check_websocket(STREAM, signature)


def test_a_stream_signed_with_its_port_passes():
    signed = _signed("wss://voice.example.com:443/media/abc", {})

    signatures.check_websocket(STREAM, signed)


@pytest.mark.parametrize("signature", [None, "QMghGvLy8TeScA7HBfKNlpRKnhU="])
def test_a_stream_signed_for_another_scheme_or_not_at_all_is_refused(signature):
    with pytest.raises(SignatureError):
        signatures.check_websocket(STREAM, signature)


def test_during_a_rotation_both_tokens_are_good_and_without_tokens_none_is():
    old_and_new = Signatures(["new", TOKEN])
    old_and_new.check_form(MYAPP, CALL, "L/OH5YylLD5NRKLltdqwSvS0BnU=")
    old_and_new.check_form(
        MYAPP, CALL, RequestValidator("new").compute_signature(MYAPP, dict(CALL))
    )

    with pytest.raises(SignatureError):
        Signatures([]).check_form(MYAPP, CALL, "L/OH5YylLD5NRKLltdqwSvS0BnU=")


def _signed(url, form):
    return RequestValidator(TOKEN).compute_signature(url, form)


# REST


async def rest_against(answer, work, *, headers=None, timeout_s=10.0):
    """Run `work` with the calls of an account that gives the same answer to every request."""
    requests = []

    async def calls(request):
        form = parse_qs((await request.body()).decode())
        requests.append((request.method, request.path_params["sid"], form))
        if answer is None:
            await asyncio.Event().wait()
        status, body = answer
        return JSONResponse(body, status_code=status, headers=headers)

    route = Route("/2010-04-01/Accounts/AC1/Calls/{sid}.json", calls, methods=["GET", "POST"])
    async with serve(Starlette(routes=[route])) as port, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{port}"
        await work(TwilioRest(http, "AC1", "secret", api_base_url=url, timeout_s=timeout_s))
    return requests


FINE = (HTTPStatus.OK, {"sid": "CA1", "status": "in-progress"})
OVER = (HTTPStatus.BAD_REQUEST, {"code": 21220, "message": "Call is not in-progress"})
ASKS = pytest.mark.parametrize(
    "ask",
    [
        lambda rest: rest.status("CA1"),
        lambda rest: rest.hang_up("CA1"),
        lambda rest: rest.redirect("CA1", "https://ivr.example.test/x"),
    ],
    ids=["status", "hang_up", "redirect"],
)


async def test_a_call_is_hung_up():
    requests = await rest_against(FINE, lambda rest: rest.hang_up("CA1"))

    assert requests == [("POST", "CA1", {"Status": ["completed"]})]


async def test_a_call_is_sent_to_a_door_of_ours():
    door = "https://ivr.example.test/twilio/voice/after"

    requests = await rest_against(FINE, lambda rest: rest.redirect("CA1", door))

    assert requests == [("POST", "CA1", {"Url": [door], "Method": ["POST"]})]


@pytest.mark.parametrize("ask", [lambda r: r.hang_up("CA1"), lambda r: r.redirect("CA1", "x")])
async def test_a_call_that_is_over_can_be_hung_up_and_sent_elsewhere(ask):
    assert len(await rest_against(OVER, ask)) == 1


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {"status": "completed", "duration": "125"},
            {"CallStatus": "completed", "CallDuration": "125"},
        ),
        ({"status": "in-progress", "duration": None}, {"CallStatus": "in-progress"}),
        ({"status": "no-answer"}, {"CallStatus": "no-answer"}),
        ({"duration": "125"}, {"CallDuration": "125"}),
        ({"status": ["completed"]}, {}),
    ],
    ids=["over", "going on", "not answered", "no status", "nonsense"],
)
async def test_a_call_is_told_of_in_the_words_of_its_status_callback(body, told):
    async def ask(rest):
        assert await rest.status("CA1") == told

    requests = await rest_against((HTTPStatus.OK, body), ask)

    assert requests == [("GET", "CA1", {})]


@ASKS
async def test_a_refusal_names_its_code_and_no_secret(ask):
    refused = (HTTPStatus.UNAUTHORIZED, {"code": 20003, "message": "Authenticate"})

    with pytest.raises(Unavailable, match="20003") as caught:
        await rest_against(refused, ask)
    assert "secret" not in str(caught.value)


@ASKS
async def test_a_call_that_twilio_does_not_know_is_not_found(ask):
    unknown = (HTTPStatus.NOT_FOUND, {"code": 20404, "message": "not found"})

    with pytest.raises(NotFound, match="CA1"):
        await rest_against(unknown, ask)


@ASKS
@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), ("", None)])
async def test_a_busy_account_says_when_to_come_back(ask, header, seconds):
    busy = (HTTPStatus.TOO_MANY_REQUESTS, {"code": 20429, "message": "Too Many Requests"})

    with pytest.raises(Unavailable) as caught:
        await rest_against(busy, ask, headers={"Retry-After": header})
    assert caught.value.retry_after == seconds


@ASKS
async def test_an_account_that_does_not_answer_is_unavailable(ask):
    with pytest.raises(Unavailable, match="TimeoutError"):
        await rest_against(None, ask, timeout_s=0.05)


@ASKS
async def test_an_answer_that_is_no_json_is_unavailable(ask):
    async def gateway(_):
        return Response("<html>", status_code=HTTPStatus.BAD_GATEWAY)

    route = Route("/{path:path}", gateway, methods=["GET", "POST"])
    async with serve(Starlette(routes=[route])) as port, httpx.AsyncClient() as http:
        rest = TwilioRest(http, "AC1", "secret", api_base_url=f"http://127.0.0.1:{port}")
        with pytest.raises(Unavailable, match="502"):
            await ask(rest)


@ASKS
async def test_an_account_that_cannot_be_reached_is_unavailable(ask):
    with nobody() as nowhere:
        async with httpx.AsyncClient() as http:
            with pytest.raises(Unavailable):
                await ask(TwilioRest(http, "AC1", "secret", api_base_url=nowhere))


async def test_without_an_account_there_is_no_client():
    async with httpx.AsyncClient() as http:
        assert TwilioRest.from_settings(Settings(_env_file=None), http) is None
        assert TwilioRest.from_settings(
            Settings(_env_file=None, twilio_sid="AC1", twilio_auth_token="secret"), http
        )
