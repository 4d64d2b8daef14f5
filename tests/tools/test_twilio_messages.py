"""Twilio's emulator as a messaging service: asked by Twilio's own SDK, and texting a server."""

import asyncio
import json

import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator

from tests.tools.test_twilio_rest import client_for
from tests.tools.twilio_server import ACCOUNT, CALLED, CALLER, PUBLIC, TOKEN, Server, twilio_for
from tools.emulators.twilio import TwilioEmulator, TwilioViolation

WHATSAPP = {"to": f"whatsapp:{CALLER}", "from_": f"whatsapp:{CALLED}"}


async def create(twilio: TwilioEmulator, **fields: object):
    given = {"to": CALLER, "from_": CALLED, "body": "Hello", **fields}
    return await asyncio.to_thread(client_for(twilio).messages.create, **given)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "7705550123"}, 21211),
        ({"from_": "nobody"}, 21212),
        ({"body": None}, 21602),
        ({"body": "x" * 1601}, 21617),
        ({"media_url": [f"{PUBLIC}/{n}" for n in range(11)]}, 21623),
        ({"from_": f"whatsapp:{CALLED}"}, 63007),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_twilio_refuses_is_refused_with_its_code(server: Server, fields, code) -> None:
    async with twilio_for(server) as twilio:
        with pytest.raises(TwilioRestException) as caught:
            await create(twilio, **fields)
        assert (caught.value.status, caught.value.code) == (400, code)
        assert twilio.messages == []


@pytest.mark.parametrize(
    "variables",
    ["no JSON", json.dumps({"1": 2}), json.dumps({"1": "two\nlines"}), json.dumps(["x"])],
)
async def test_wrong_variables_of_a_template_fail_the_test(server: Server, variables) -> None:
    with pytest.raises(TwilioViolation, match="ContentVariables"):
        async with twilio_for(server) as twilio:
            with pytest.raises(TwilioRestException):
                await create(
                    twilio, **WHATSAPP, content_sid="HX1", content_variables=variables, body=None
                )


async def test_taken_messages_are_listed_newest_first_and_found_by_name(server: Server) -> None:
    async with twilio_for(server) as twilio:
        first = await create(twilio, body="one")
        second = await create(twilio, body="two")
        await create(twilio, to="+17705550199", body="to somebody else")
        messages = client_for(twilio).messages
        listed = await asyncio.to_thread(messages.list, to=CALLER, from_=CALLED, limit=10)
        fetched = await asyncio.to_thread(messages(first.sid).fetch)
    assert [one.sid for one in listed] == [second.sid, first.sid]
    assert (fetched.body, fetched.status) == ("one", "delivered")


async def test_receipts_are_signed_and_come_in_the_order_asked_for(server: Server) -> None:
    async with twilio_for(server) as twilio:
        twilio.message_faults.receipts = ("delivered", "sent", "sent", "failed")
        twilio.message_faults.receipt_error = 30003
        await create(twilio, status_callback=f"{PUBLIC}/status?message=7")
        await twilio.account.settle()
    heard = [fields for url, fields, _ in server.requests]
    assert [dict(f)["MessageStatus"] for f in heard] == ["delivered", "sent", "sent", "failed"]
    assert [dict(f).get("ErrorCode") for f in heard] == [None, None, None, "30003"]
    validator = RequestValidator(TOKEN)
    for _, fields, headers in server.requests:
        url, signature = f"{PUBLIC}/status?message=7", headers["x-twilio-signature"]
        assert validator.validate(url, dict(fields), signature)


async def test_a_lost_answer_leaves_the_message_taken_and_an_early_break_does_not(
    server: Server,
) -> None:
    async with twilio_for(server) as twilio:
        url = f"{twilio.api_base_url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
        form = {"To": CALLER, "From": CALLED, "Body": "x"}
        async with httpx.AsyncClient(auth=(ACCOUNT, TOKEN)) as http:
            for where, taken in (("before", 0), ("after", 1)):
                twilio.message_faults.drop, twilio.message_faults.times = where, 1
                with pytest.raises(httpx.HTTPError):
                    await http.post(url, data=form)
                assert len(twilio.messages) == taken
            assert (await http.post(url, data=form)).status_code == 201


async def test_a_texter_writes_as_twilio_tells_it(server: Server) -> None:
    server.documents["/sms"] = "<Response/>"
    async with twilio_for(server) as twilio:
        john = twilio.texter(CALLER, CALLED, url="/sms")
        answer = await john.text("Hi  ", media=[("https://api.twilio.com/x", "image/png")])
        assert (answer.status, answer.body) == (200, b"<Response/>")
        await twilio.texter(CALLER, CALLED, url="/sms", whatsapp=True).text("Hello", WaId="1")
    sms, whatsapp = server.fields("/sms")
    assert (sms["From"], sms["To"], sms["Body"], sms["NumMedia"]) == (CALLER, CALLED, "Hi  ", "1")
    assert sms["MessageSid"].startswith("MM") and sms["MediaContentType0"] == "image/png"
    assert whatsapp["From"] == f"whatsapp:{CALLER}" and whatsapp["WaId"] == "1"


async def test_a_duplicate_has_the_same_names(server: Server) -> None:
    server.documents["/sms"] = "<Response/>"
    async with twilio_for(server) as twilio:
        john = twilio.texter(CALLER, CALLED, url="/sms")
        await john.text("Hi", duplicate=True)
        letter = john.letter("Again")
        await john.post(letter)
        await john.post(letter)
    tokens = [headers["i-twilio-idempotency-token"] for _, _, headers in server.requests]
    sids = [fields["MessageSid"] for fields in server.fields("/sms")]
    assert len(set(tokens)) == 2 and len(set(sids)) == 2 and len(sids) == 4


async def test_twilio_itself_keeps_stop_for_sms_and_not_for_whatsapp(server: Server) -> None:
    server.documents["/sms"] = "<Response/>"
    async with twilio_for(server) as twilio:
        await twilio.texter(CALLER, CALLED, url="/sms").text("stop", opt_out_type="STOP")
        await twilio.texter(CALLER, CALLED, url="/sms", whatsapp=True).text("STOP")
        with pytest.raises(TwilioRestException) as caught:
            await create(twilio)
        await create(twilio, **WHATSAPP)
        await twilio.texter(CALLER, CALLED, url="/sms").text("START")
        await create(twilio)
    assert caught.value.code == 21610
    assert server.fields("/sms")[0]["OptOutType"] == "STOP"
