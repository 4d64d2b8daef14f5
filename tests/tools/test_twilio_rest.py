"""Twilio's emulator as a REST API, asked by Twilio's own SDK."""

import asyncio

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.tools.twilio_server import (
    ACCOUNT,
    CALLED,
    CALLER,
    PUBLIC,
    TOKEN,
    Server,
    response,
    stream,
    twilio_for,
)
from tools.emulators.twilio import TwilioEmulator, TwilioViolation


def client_for(twilio: TwilioEmulator, *, token: str = TOKEN) -> Client:
    client = Client(ACCOUNT, token)
    client.api.base_url = twilio.api_base_url
    return client


async def test_rest_ends_a_call_once(server: Server) -> None:
    server.documents["/voice"] = stream()
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.stream()
        rest = client_for(twilio).calls(call.sid)
        before = await asyncio.to_thread(rest.fetch)
        await asyncio.to_thread(rest.update, status="completed")
        await call.ended()
        with pytest.raises(TwilioRestException) as caught:
            await asyncio.to_thread(rest.update, status="completed")
        after = await asyncio.to_thread(rest.fetch)

    assert caught.value.code == 21220
    assert (before.status, before.duration) == ("in-progress", None)
    assert (after.status, after.duration) == ("completed", str(call.seconds))
    assert server.frames[-1]["event"] == "stop"
    assert [request.method for request in twilio.rest_requests] == ["GET", "POST", "POST", "GET"]


async def test_rest_gives_a_live_call_another_document(server: Server) -> None:
    server.documents |= {"/voice": stream(action="/after"), "/other": response("<Say>two</Say>")}
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.stream()
        rest = client_for(twilio).calls(call.sid)
        twiml = response("<Say>one</Say><Gather/>")
        await asyncio.to_thread(rest.update, twiml=twiml)
        await call.gathering()
        await asyncio.to_thread(rest.update, url=f"{PUBLIC}/other")
        await call.ended()

    assert call.sayings == ["one", "two"]
    assert server.frames[-1]["event"] == "stop" and not server.fields("/after")


async def test_rest_takes_messages_and_outgoing_calls(server: Server) -> None:
    async with twilio_for(server) as twilio:
        client = client_for(twilio)
        sent = await asyncio.to_thread(
            client.messages.create, to=CALLER, from_=CALLED, body="We were cut off"
        )
        dialled = await asyncio.to_thread(
            client.calls.create, to=CALLER, from_=CALLED, twiml=response("<Hangup/>")
        )
        twilio.opted_out.add(CALLER)
        with pytest.raises(TwilioRestException) as caught:
            await asyncio.to_thread(client.messages.create, to=CALLER, from_=CALLED, body="x")

    assert (sent.status, sent.body) == ("queued", "We were cut off")
    assert twilio.messages[0]["sid"] == sent.sid
    assert twilio.outgoing_calls[0]["sid"] == dialled.sid
    assert (caught.value.status, caught.value.code) == (400, 21610)


async def test_rest_checks_who_is_asking_and_fails_on_demand(server: Server) -> None:
    async with twilio_for(server) as twilio:
        account = client_for(twilio).api.accounts(ACCOUNT)
        assert (await asyncio.to_thread(account.fetch)).status == "active"

        stranger = client_for(twilio, token="wrong").api.accounts(ACCOUNT)
        with pytest.raises(TwilioRestException) as refused:
            await asyncio.to_thread(stranger.fetch)

        twilio.faults.rest_status, twilio.faults.rest_times = 429, 1
        with pytest.raises(TwilioRestException) as limited:
            await asyncio.to_thread(account.fetch)
        assert (await asyncio.to_thread(account.fetch)).sid == ACCOUNT

    assert (refused.value.status, refused.value.code) == (401, 20003)
    assert (limited.value.status, limited.value.code) == (429, 20429)


async def test_an_unknown_rest_parameter_fails_the_test(server: Server) -> None:
    with pytest.raises(TwilioViolation, match="PersistentAction"):
        async with twilio_for(server) as twilio:
            create = client_for(twilio).messages.create
            with pytest.raises(TwilioRestException):
                await asyncio.to_thread(
                    create, to=CALLER, from_=CALLED, body="x", persistent_action=["x"]
                )
