"""A call rings: it is answered at once, and its lead exists before anything is answered."""

import asyncio
import time
from statistics import median

import pytest

from ivr.db import Database
from ivr.db.tables import Lifecycle
from ivr.voice import endpoints
from tests.calls.world import PUBLIC, by_gather, world
from tests.nobody import nobody

PROMISE_S = 0.5


async def test_the_lead_exists_when_the_ring_is_answered(database_url: str) -> None:
    async with world(database_url) as w:
        w.openai.faults.silent = True
        call = await w.ring()
        books = await w.books()
        await call.hang_up()
        await w.finished(call)
    (conversation,), (lead,) = books.conversations, books.leads
    assert conversation.session_key == call.sid and conversation.lead_id == lead.id
    assert (lead.lifecycle, lead.stage) == (Lifecycle.NEW, "NEW")
    assert [(v.name, v.value, v.source) for v in books.values] == [
        ("phone", w.scenario.caller, "caller_id")
    ]
    assert [event.provider_id for event in books.events] == [call.sid]


async def test_a_ring_is_answered_at_once_while_the_model_is_out_of_reach(
    sqlite_url: str,
) -> None:
    with nobody() as nowhere:
        async with world(sqlite_url, openai_base_url=f"{nowhere}/v1") as w:
            took = []
            for number in range(5):
                began = time.perf_counter()
                call = await w.ring(f"+1770555012{number}")
                took.append(time.perf_counter() - began)
                assert call.webhooks[0].status == 200 and b"<Stream" in call.webhooks[0].body
                await call.hang_up()
    assert median(took) < PROMISE_S


async def test_health_tells_what_answers_and_how_many_calls_there_are(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        call = await w.ring()
        await call.quiet()
        health = await w.twilio.account.webhooks.send(f"{PUBLIC}/health/ready", {}, method="GET")
        await call.hang_up()
        await w.finished(call)
    assert health.status == 200
    assert b'"voice":"gpt-realtime-2.1"' in health.body and b'"live_calls":1' in health.body


async def test_a_stream_that_never_opened_is_followed_by_gather(
    sqlite_url: str,
) -> None:
    """A stream that was refused leaves a caller, too."""
    async with world(sqlite_url) as w:
        w.twilio.faults.missing_signature = "stream"  # no stream ever opens
        call = await w.ring()
        await by_gather(call, [("first and last name", "John Doe")])
        await call.gathering()
        await call.hang_up()
        page = await w.finished(call)
    assert page.succeeded is not None and page.succeeded.lead_data["full_name"] == "John Doe"


@pytest.mark.parametrize("status", ["queued", "ringing", "in-progress", "", "nonsense"])
async def test_a_status_that_ends_nothing_changes_nothing(sqlite_url: str, status: str) -> None:
    async with world(sqlite_url) as w:
        call = await w.ring()
        await call.quiet()
        fields = {**call.webhooks[0].fields, "CallStatus": status}
        answer = await w.twilio.account.webhooks.send(f"{PUBLIC}/twilio/voice/status", fields)
        page = await w.page(call)
        await call.hang_up()
        await w.finished(call)
    assert answer.status == 204
    assert page.conversation is not None and page.conversation.ended_at is None


async def test_a_database_that_is_locked_for_a_while_only_makes_the_caller_wait(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(sqlite_url) as w:
        locked = Database(sqlite_url)
        with monkeypatch.context() as soon:
            soon.setattr(endpoints, "ANSWER_SECONDS", 0.2)
            async with locked.write():
                call = await w.ring()
                assert await call.said("One moment, please.")
        await locked.close()
        await call.quiet()
        await call.hang_up()
        page = await w.finished(call)
    assert page.conversation is not None and page.conversation.session_key == call.sid


async def test_a_burst_of_calls_is_offered_no_more_streams_than_there_are_places(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, max_concurrent_calls=2) as w:
        calls = await asyncio.gather(*(w.ring(f"+1770555012{n}") for n in range(6)))
        offered = [b"<Stream" in call.webhooks[0].body for call in calls]
        for call in calls:
            await call.hang_up()
            await w.finished(call)
    assert sum(offered) == 2


async def test_an_after_of_a_call_that_is_over_ends_it(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        w.openai.faults.silent = True
        call = await w.ring()
        await call.hang_up()
        fields = {**call.webhooks[0].fields, "CallStatus": "completed"}
        answer = await w.twilio.account.webhooks.send(f"{PUBLIC}/twilio/voice/after", fields)
        page = await w.finished(call)
    assert b"<Hangup" in answer.body
    assert page.conversation is not None and page.conversation.episode == 1
