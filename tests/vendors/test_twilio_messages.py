"""Twilio's messages by REST: what is asked for, and what an answer allows to be done next."""

import json
from datetime import timedelta

import httpx
import pytest

from ivr.errors import Failure, Unavailable
from ivr.vendors.twilio_messages import MessageRefused, Outgoing, TwilioMessages
from tests.calls.world import SID, TOKEN
from tests.messages.cast import BUSINESS, JOHN, twilio_alone
from tests.nobody import nobody

HELLO = Outgoing(to=JOHN, sender=BUSINESS, body="Hello")


def test_a_template_takes_the_place_of_the_words():
    by_template = Outgoing(
        to=JOHN, sender=BUSINESS, body="Hello", content_sid="HX1", content_variables={"1": "Hello"}
    )
    assert HELLO.form() == {"To": JOHN, "From": BUSINESS, "Body": "Hello"}
    assert "Body" not in by_template.form()
    assert json.loads(by_template.form()["ContentVariables"]) == {"1": "Hello"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Failure.PERMANENT),
        (410, Failure.PERMANENT),
        (401, Failure.TRANSIENT),
        (404, Failure.TRANSIENT),
        (429, Failure.TRANSIENT),
        (503, Failure.TRANSIENT),
        (302, Failure.AMBIGUOUS),
        (408, Failure.AMBIGUOUS),
        (500, Failure.AMBIGUOUS),
        (504, Failure.AMBIGUOUS),
    ],
)
async def test_an_answer_says_what_may_be_done_next(status, kind):
    async with twilio_alone() as twilio, httpx.AsyncClient() as http:
        twilio.faults.rest_status, twilio.faults.rest_retry_after_s = status, 7
        client = TwilioMessages(http, SID, TOKEN, api_base_url=twilio.api_base_url)
        with pytest.raises(MessageRefused) as caught:
            await client.send(HELLO)
    assert (caught.value.kind, caught.value.retry_after) == (kind, 7.0)


async def test_who_was_never_reached_has_taken_nothing():
    with nobody() as address:
        async with httpx.AsyncClient() as http:
            client = TwilioMessages(http, SID, TOKEN, api_base_url=address)
            with pytest.raises(MessageRefused) as caught:
                await client.send(HELLO)
    assert caught.value.kind is Failure.TRANSIENT


async def test_only_what_is_equal_and_new_is_found():
    async with twilio_alone() as twilio, httpx.AsyncClient() as http:
        client = TwilioMessages(http, SID, TOKEN, api_base_url=twilio.api_base_url)
        await client.send(HELLO)
        await client.send(Outgoing(to=JOHN, sender=BUSINESS, body="Something else"))
        await client.send(Outgoing(to="+17705550199", sender=BUSINESS, body="Hello"))
        twilio.messages[1]["body"] = "Sent from your Twilio trial account - Something else"
        for body, sid in (("Hello", 0), ("Something else", 1)):
            ask = Outgoing(to=JOHN, sender=BUSINESS, body=body)
            found = await client.look_for(ask, within=timedelta(minutes=1))
            assert [one.sid for one in found] == [twilio.messages[sid]["sid"]]
        twilio.messages[0]["date_created"] = "Fri, 20 Nov 2026 00:00:00 +0000"
        assert await client.look_for(HELLO, within=timedelta(minutes=1)) == []
        twilio.message_faults.list_broken = True
        with pytest.raises(Unavailable):
            await client.look_for(HELLO, within=timedelta(minutes=1))
