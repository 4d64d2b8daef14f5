"""Each switch with which the emulated Realtime service misbehaves, seen from the client."""

import asyncio
import json
import struct

import pytest
import websockets

from tests.tools.realtime_client import LOUD, dial
from tools.emulators.openai import Faults, OpenAIEmulator, blocks

FAST = 20.0
LONG = "This answer is long enough to be interrupted by somebody who knows better. " * 4


def misbehaving(*, speed: float = FAST, **switches) -> OpenAIEmulator:
    """Return an emulator with these faults."""
    openai = OpenAIEmulator(speed=speed)
    openai.faults = Faults(**switches)
    return openai


async def spoken(openai: OpenAIEmulator, text: str = "Hello.") -> list[dict]:
    """Let the assistant say `text`; return all events up to the end of the response."""
    async with dial(openai) as client:
        await client.configure()
        session = await openai.session()
        await session.say(text)
        await client.until("response.done")
    return client.seen


async def answered(openai: OpenAIEmulator, *said: str) -> list[dict]:
    """Let the caller say things; return all events until just after the end of the last answer."""
    async with dial(openai) as client:
        await client.configure()
        session = await openai.session()
        for text in said:
            await session.caller_spoke(text)
            await client.until("rate_limits.updated")
        await client.configure()
    return client.seen


def transcripts(events: list[dict]) -> list[str]:
    return [e["transcript"] for e in events if e["type"].endswith("transcription.completed")]


@pytest.mark.parametrize("status", [401, 429, 500])
async def test_a_refused_upgrade_carries_the_status(status):
    async with misbehaving(refuse_upgrade=status) as openai:
        with pytest.raises(websockets.InvalidStatus) as refused:
            async with dial(openai):
                pass

    assert refused.value.response.status_code == status


async def test_the_upgrade_can_be_refused_a_number_of_times():
    async with misbehaving(refuse_upgrade=429, refuse_times=1) as openai:
        with pytest.raises(websockets.InvalidStatus):
            async with dial(openai):
                pass
        async with dial(openai) as client:
            await client.until("session.created")

    assert openai.upgrades == [429, 101]


async def test_a_silent_service_accepts_and_never_speaks():
    async with misbehaving(silent=True) as openai, dial(openai) as client:
        await client.send("response.create")
        session = await openai.session()
        await session.received_event("response.create")
        await session.wait(lambda e: e["type"] == "response.create")
        await client.socket.close()
        await session.wait_closed()

    assert client.seen == []
    assert session.sent == []


async def test_an_orderly_close_comes_after_its_time():
    async with misbehaving(close_after_ms=100) as openai, dial(openai) as client:
        with pytest.raises(websockets.ConnectionClosedOK):
            await client.until("never")

    assert client.socket.close_code == 1000


@pytest.mark.parametrize(
    ("abort", "last"),
    [
        ("now", "session.created"),
        (2, "session.updated"),
        ("mid_response", "response.output_audio.delta"),
    ],
)
async def test_the_connection_can_be_reset(abort, last):
    async with misbehaving(abort=abort) as openai, dial(openai) as client:
        with pytest.raises(websockets.ConnectionClosedError):
            await client.configure()
            await client.send("response.create")
            await client.until("never")
        session = await openai.session()
        await session.wait_closed()

    assert session.sent[-1]["type"] == last
    assert client.socket.close_code == 1006


async def test_only_the_first_sessions_may_misbehave():
    async with misbehaving(abort="now", sessions=1) as openai:
        async with dial(openai) as first:
            with pytest.raises(websockets.ConnectionClosedError):
                await first.until("never")
        async with dial(openai) as second:
            await second.configure()


@pytest.mark.parametrize("garbage", ["text", "truncated"])
async def test_garbage_comes_before_a_response(garbage):
    async with misbehaving(garbage=garbage) as openai, dial(openai) as client:
        await client.configure()
        await client.send("response.create")
        with pytest.raises(json.JSONDecodeError):
            await client.until("never")
        await client.until("response.done")


async def test_garbage_can_be_binary():
    async with misbehaving(garbage="binary") as openai, dial(openai) as client:
        await client.configure()
        await client.send("response.create")
        frame = await client.socket.recv()

    assert isinstance(frame, bytes)


async def test_an_unknown_event_comes_before_a_response():
    async with misbehaving(unknown_event=True) as openai:
        kinds = [event["type"] for event in await spoken(openai)]

    assert kinds[kinds.index("response.created") - 1] == "response.sparkle.delta"


async def test_events_can_carry_fields_of_a_later_version():
    async with misbehaving(extra_fields=True) as openai:
        events = await spoken(openai)

    assert all("x_new" in event for event in events)
    assert "x_new" in events[-1]["response"]["output"][0]["content"][0]


async def test_a_huge_delta_holds_thirty_seconds():
    async with misbehaving(huge_delta=True) as openai:
        events = await spoken(openai)

    deltas = [e["delta"] for e in events if e["type"] == "response.output_audio.delta"]
    assert len(deltas) == 1
    assert len(deltas[0]) * 3 // 4 >= 30_000 * 8


async def test_tiny_deltas_cut_across_the_blocks():
    async with misbehaving(tiny_deltas=True) as openai:
        events = await spoken(openai, "Hi.")
        audio = openai.sessions[0].audio_sent()

    deltas = [e for e in events if e["type"] == "response.output_audio.delta"]
    assert len(deltas) == -(-len(audio) // 37)
    assert [block.number for block in blocks(audio)] == list(range(9))


async def test_a_delta_may_arrive_after_speech_started():
    openai = misbehaving(late_delta_after_speech=True, speed=0.1)
    async with openai, dial(openai) as client:
        await client.configure()
        session = await openai.session()
        saying = asyncio.create_task(session.say(LONG))
        await client.until("response.output_audio.delta")
        await client.speak(LOUD)
        await client.until("response.done")
        await saying

    after = client.kinds()[client.kinds().index("input_audio_buffer.speech_started") :]
    assert after.count("response.output_audio.delta") == 1


async def test_a_cancelled_response_may_lack_its_usage():
    openai = misbehaving(no_usage_when_cancelled=True, speed=0.1)
    async with openai, dial(openai) as client:
        await client.configure()
        session = await openai.session()
        saying = asyncio.create_task(session.say(LONG))
        await client.until("response.output_audio.delta")
        await client.send("response.cancel")
        done = await client.until("response.done")
        await saying

    assert done["response"]["usage"] is None


async def test_responses_can_fail():
    async with misbehaving(response_fails="rate_limit_exceeded") as openai:
        async with dial(openai) as client:
            await client.configure()
            await client.send("response.create")
            done = (await client.until("response.done"))["response"]

    assert done["status"] == "failed"
    assert done["status_details"]["error"]["code"] == "rate_limit_exceeded"


async def test_the_transcription_may_never_come():
    async with misbehaving(no_transcription=True) as openai:
        events = await answered(openai, "one", "two")

    assert transcripts(events) == []


async def test_the_transcription_may_fail():
    async with misbehaving(transcription_failed=True) as openai, dial(openai) as client:
        await client.configure()
        session = await openai.session()
        await session.caller_spoke("one")
        failed = await client.until("conversation.item.input_audio_transcription.failed")

    assert failed["error"]["code"] == "audio_unintelligible"


async def test_the_transcription_may_come_after_the_answer():
    async with misbehaving(transcription_late=True) as openai:
        events = await answered(openai, "one")

    kinds = [event["type"] for event in events]
    completed = kinds.index("conversation.item.input_audio_transcription.completed")
    assert completed > kinds.index("response.done")


async def test_transcriptions_may_be_swapped():
    async with misbehaving(transcription_out_of_order=True) as openai, dial(openai) as client:
        await client.configure()
        session = await openai.session()
        for text in ("one", "two"):
            await session.caller_spoke(text)
        for _ in range(2):
            await client.until("conversation.item.input_audio_transcription.completed")

    assert transcripts(client.seen) == ["two", "one"]


async def test_a_session_expires_with_an_error_and_a_close():
    async with misbehaving(session_expired=100) as openai, dial(openai) as client:
        with pytest.raises(websockets.ConnectionClosed):
            await client.until("never")

    assert client.seen[-1]["error"]["code"] == "session_expired"
    assert openai.errors_sent == []


async def test_event_types_can_be_dropped():
    async with misbehaving(drop={"response.content_part.added"}) as openai:
        events = await spoken(openai)

    kinds = {event["type"] for event in events}
    assert "response.content_part.added" not in kinds
    assert "response.content_part.done" in kinds


async def test_every_event_can_be_delayed():
    clock = asyncio.get_running_loop().time
    async with misbehaving(delay_ms=400) as openai, dial(openai) as client:
        began = clock()
        await client.until("session.created")

    assert clock() - began >= 400 / 1000 / FAST * 0.9


async def test_a_test_may_send_anything_close_and_reset():
    async with OpenAIEmulator() as openai:
        async with dial(openai) as client:
            session = await openai.session()
            await session.send({"type": "error", "error": {"code": "server_error"}})
            error = await client.error()
            await session.close(1011, "internal")
            with pytest.raises(websockets.ConnectionClosedError):
                await client.until("never")
        async with dial(openai) as other:
            (await openai.session(1)).abort()
            with pytest.raises(websockets.ConnectionClosedError):
                await other.until("never")

    assert error == {"code": "server_error"}
    assert client.socket.close_code == 1011


async def test_a_client_that_dies_ends_its_session():
    async with OpenAIEmulator(speed=0.1) as openai, dial(openai) as client:
        await client.configure()
        await client.send("response.create")
        await client.until("response.created")
        linger_off = struct.pack("ii", 1, 0)
        raw = client.socket.transport.get_extra_info("socket")
        raw.setsockopt(1, 13, linger_off)  # SO_LINGER 0: reset instead of close
        client.socket.transport.abort()
        session = await openai.session()
        await session.wait_closed()

    assert "response.done" not in [event["type"] for event in session.sent]


async def test_a_response_may_hold_two_messages():
    async with misbehaving(preamble=True) as openai, dial(openai) as client:
        await client.configure()
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]

    words = [item["content"][0]["transcript"] for item in done["output"]]
    assert words == ["Let me see.", "Okay."]
