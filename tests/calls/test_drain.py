"""A server that is leaving: it says so, takes no new streams, and hands over those it has."""

import asyncio
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import httpx

from ivr import server
from tests.calls.test_refusals import FORM, RING, post_signed
from tests.calls.world import PUBLIC, World, short, talk_through, words, world
from tools.emulators.twilio import Call


async def health(w: World, door: str = "/health/ready") -> tuple[int, dict[str, Any]]:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.get(f"{w.url}{door}")
    return answer.status_code, answer.json()


async def one_answer(w: World) -> Call:
    """Ring, and tell the name; the next question was heard."""
    call = await w.ring()
    await talk_through(call, w.scenario, turns=1)
    await call.quiet()
    return call


async def gone(w: World, *, seconds: float) -> None:
    """Drain as the server does when it is told to leave."""
    if not w.live.is_draining:
        w.live.drain()
    async with asyncio.timeout(30):
        await server.drain(w.live, seconds=seconds)


async def test_a_server_that_is_leaving_is_not_ready_and_alive(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        w.live.drain()
        status, body = await health(w)
        assert (status, body["status"], body["live_calls"]) == (503, "draining", 0)
        assert (await health(w, "/health"))[0] == 200
        assert await health(w, "/health/live") == (200, {"status": "alive"})


async def test_a_call_that_rings_is_held_for_who_comes_next_and_not_for_ever(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url) as w:
        w.live.drain()
        path, held = RING, []
        while True:
            document = await post_signed(w, path, FORM)
            assert document.status_code == 200, (path, document.text)
            answer = ElementTree.fromstring(document.text)
            redirect = answer.find("Redirect")
            if redirect is None:
                break
            assert answer.findtext("Say") == "One moment, please."
            assert redirect.text is not None
            path = redirect.text.removeprefix(PUBLIC).partition("#")[0]
            held.append(path)
        assert answer.find("Gather") is not None
        books = await w.books()
    assert held == [f"{RING}?try={number}" for number in (2, 3, 4)]
    assert len(books.conversations) == len(books.leads) == 1


async def test_a_call_that_rings_while_the_server_leaves_is_taken_by_the_next_one(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        w.live.drain()
        call = await w.ring()
        assert await call.said("One moment, please.")
        await w.stop()
        await w.start()
        await talk_through(call, w.scenario)
        assert await call.ended() == "completed"
        page = await w.finished(call)
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"


async def test_live_calls_go_on_to_their_end(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        call = await one_answer(w)
        leaving = asyncio.create_task(gone(w, seconds=600))
        await call.play(words("30093"))
        assert await call.ended() == "completed"
        await leaving
        page = await w.finished(call)
    assert page.conversation is not None and page.conversation.end_reason == "complete"
    assert page.succeeded is not None and page.succeeded.lead_data["zip_code"] == "30093"


async def test_at_the_deadline_a_stream_is_closed_and_its_caller_held_for_the_next_server(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        call = await one_answer(w)
        await gone(w, seconds=0)
        page = await w.page(call)
        assert await call.said("One moment, please.")
        await w.stop()
        await w.start()
        await call.stream(2)
        await call.hang_up()
        finished = await w.finished(call)
    assert page.conversation is not None
    assert page.conversation.end_reason == "server_stopped"
    assert not page.conversation.streaming
    assert finished.succeeded is not None
    assert finished.succeeded.lead_data["full_name"] == "John Doe"
    assert len(w.npa.requests) == 1


async def test_closing_words_are_said_to_their_end_after_the_deadline(sqlite_url: str) -> None:
    told = short()
    bye = replace(told.turns[-1], assistant="We will be in touch soon. " * 4 + "Goodbye!")
    async with world(sqlite_url, scenario=short(turns=(*told.turns[:-1], bye))) as w:
        call = await w.ring()
        for turn in w.scenario.turns[:-1]:
            await call.quiet()
            await call.play(words(turn.caller))
        model = await w.openai.session()
        await model.received_event("conversation.item.create", nth=2)
        await call.hears(20, since=len(call.heard))
        await gone(w, seconds=0)
        assert await call.ended() == "completed"
        page = await w.finished(call)
    assert page.conversation is not None and page.conversation.end_reason == "complete"


async def test_told_again_it_waits_for_nobody(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        call = await one_answer(w)
        w.live.drain()
        leaving = asyncio.create_task(gone(w, seconds=600))
        w.live.drain()
        await leaving
        page = await w.page(call)
        await call.hang_up()
        await w.finished(call)
    assert page.conversation is not None
    assert page.conversation.end_reason == "server_stopped"


async def test_an_answer_by_keypad_is_taken_while_the_server_leaves(sqlite_url: str) -> None:
    async with world(sqlite_url, door="/twilio/voice-ivr") as w:
        call = await w.ring()
        await call.gathering()
        w.live.drain()
        await call.answer(speech="John Doe")
        assert "ZIP code" in (await call.gathering()).children[0].text
        await call.hang_up()
        page = await w.finished(call)
    assert page.succeeded is not None and page.succeeded.lead_data["full_name"] == "John Doe"
