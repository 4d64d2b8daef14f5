"""The emulated Realtime service as a client sees it: order of events, audio, interruptions."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import websockets
from openai import AsyncOpenAI

from tests.tools.realtime_client import LOUD, PHONE_SESSION, QUIET, dial
from tools.emulators.openai import OpenAIEmulator, blocks

FAST = 20.0
LONG = "This answer is long enough to be interrupted by somebody who knows better. " * 4


@pytest.fixture
async def openai() -> AsyncIterator[OpenAIEmulator]:
    async with OpenAIEmulator(speed=FAST) as emulator:
        yield emulator


@pytest.fixture
async def slow() -> AsyncIterator[OpenAIEmulator]:
    """An emulator that leaves time to interrupt it; it never speaks to the end in these tests."""
    async with OpenAIEmulator(speed=0.1) as emulator:
        yield emulator


@pytest.fixture
async def lenient() -> AsyncIterator[OpenAIEmulator]:
    """An emulator whose test does something wrong on purpose."""
    async with OpenAIEmulator(speed=FAST, allow_violations=True) as emulator:
        yield emulator


async def test_the_session_is_greeted_unasked_with_the_defaults_of_the_service(openai):
    async with dial(openai) as client:
        created = await client.receive()

    session = created["session"]
    assert created["type"] == "session.created"
    assert session["model"] == "gpt-realtime-2.1"
    assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert session["audio"]["input"]["transcription"] is None


async def test_an_update_is_answered_with_the_whole_effective_session(openai):
    async with dial(openai) as client:
        updated = await client.configure()

    audio = updated["session"]["audio"]
    assert audio["output"] == {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0}
    assert audio["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }


async def test_a_turn_sends_its_events_in_the_order_of_the_service(openai):
    openai.heard.append("hello")
    async with dial(openai) as client:
        await client.configure()
        client.seen.clear()
        await client.say_something()
        await client.until("rate_limits.updated")

    order = [kind for kind in client.kinds() if "delta" not in kind and "transcription" not in kind]
    assert order == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]


async def test_times_of_speech_count_appended_audio(openai):
    async with dial(openai) as client:
        await client.configure()
        await client.speak(QUIET + LOUD + QUIET)
        started = await client.until("input_audio_buffer.speech_started")
        stopped = await client.until("input_audio_buffer.speech_stopped")

    assert started["audio_start_ms"] == 1000 - 300
    assert stopped["audio_end_ms"] == 2000 + 500
    assert started["item_id"] == stopped["item_id"]


@pytest.mark.parametrize("size", [37, 160, 1000, 24_000])
async def test_speech_is_found_whatever_the_size_of_the_pieces(openai, size):
    async with dial(openai) as client:
        await client.configure()
        await client.speak(QUIET + LOUD + QUIET, size=size)
        started = await client.until("input_audio_buffer.speech_started")
        stopped = await client.until("input_audio_buffer.speech_stopped")

    assert (started["audio_start_ms"], stopped["audio_end_ms"]) == (700, 2500)


async def test_a_quiet_line_is_no_speech(openai):
    async with dial(openai) as client:
        await client.configure()
        await client.speak(QUIET * 5)
        await client.configure()

    assert "input_audio_buffer.speech_started" not in client.kinds()
    assert openai.sessions[0].audio_ms == 5000


async def test_speech_is_marked_paced_and_known_byte_for_byte(openai):
    async with dial(openai) as client:
        await client.configure()
        session = await openai.session()
        item_id = await session.say("Forty characters make 2.4 seconds audio.")
        await client.until("response.done")

    heard = client.audio(item_id)
    sizes = [len(e["delta"]) * 3 // 4 for e in client.seen if e["type"].endswith("audio.delta")]
    assert heard == openai.audio_sent(item_id) == session.audio_sent()
    assert [(b.session, b.number) for b in blocks(heard)] == [(1, n) for n in range(120)]
    assert len(heard) == 2400 * 8
    assert max(sizes) <= 3201


async def test_block_numbers_rise_over_the_items_of_a_session(openai):
    async with dial(openai) as client:
        await client.configure()
        session = await openai.session()
        items = [await session.say("One."), await session.say("Two.")]
        await client.until("response.done", lambda e: e["response"]["output"][0]["id"] == items[1])

    numbers = [b.number for item in items for b in blocks(client.audio(item))]
    assert numbers == list(range(24))


async def test_foreign_audio_is_not_taken_for_synthetic_speech():
    with pytest.raises(ValueError, match="byte 0"):
        list(blocks(LOUD))


async def test_a_caller_who_interrupts_cancels_the_response(slow):
    async with dial(slow) as client:
        await client.configure()
        session = await slow.session()
        saying = asyncio.create_task(session.say(LONG))
        await client.until("response.output_audio.delta")
        await client.speak(LOUD)
        done = (await client.until("response.done"))["response"]
        item_id = await saying

    assert done["status"] == "cancelled"
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"
    assert LONG.startswith(done["output"][0]["content"][0]["transcript"])
    assert len(slow.audio_sent(item_id)) < len(LONG) * 60 * 8
    after = client.kinds()[client.kinds().index("input_audio_buffer.speech_started") :]
    assert "response.output_audio.done" in after
    assert "response.output_audio.delta" not in after


async def test_without_interrupt_response_the_answer_waits_for_the_end_of_the_speech(openai):
    turns = {"type": "server_vad", "silence_duration_ms": 200, "interrupt_response": False}
    audio = PHONE_SESSION["audio"] | {
        "input": PHONE_SESSION["audio"]["input"] | {"turn_detection": turns}
    }
    async with dial(openai) as client:
        await client.configure(audio=audio)
        session = await openai.session()
        saying = asyncio.create_task(session.say(LONG))
        await client.until("response.output_audio.delta")
        await client.say_something()
        first = (await client.until("response.done"))["response"]
        second = (await client.until("response.done"))["response"]
        await saying

    assert [first["status"], second["status"]] == ["completed", "completed"]


async def test_the_client_may_cancel_a_response(slow):
    async with dial(slow) as client:
        await client.configure()
        session = await slow.session()
        saying = asyncio.create_task(session.say(LONG))
        created = await client.until("response.created")
        await client.send("response.cancel", response_id=created["response"]["id"])
        done = (await client.until("response.done"))["response"]
        await saying

    assert done["status_details"]["reason"] == "client_cancelled"


async def test_cancelling_nothing_is_a_harmless_error(openai):
    async with dial(openai) as client:
        await client.send("response.cancel", event_id="mine")
        error = await client.error()

    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "mine")
    assert [e["code"] for e in openai.errors_sent] == ["response_cancel_not_active"]


async def test_only_one_response_at_a_time_writes_into_the_conversation():
    slow = OpenAIEmulator(speed=0.1, allow_violations=True)
    async with slow, dial(slow) as client:
        await client.configure()
        await client.send("response.create")
        await client.until("response.created")
        await client.send("response.create")
        error = await client.error()

    assert error["code"] == "conversation_already_has_active_response"


async def test_an_out_of_band_response_runs_beside_and_leaves_the_conversation_alone(openai):
    aside = {"conversation": "none", "metadata": {"topic": "lead"}, "output_modalities": ["text"]}
    async with dial(openai) as client:
        await client.configure()
        session = await openai.session()
        saying = asyncio.create_task(session.say(LONG))
        await client.until("response.created")
        await client.send("response.create", response=aside)
        done = await client.until("response.done", lambda e: e["response"]["metadata"] is not None)
        await saying

    assert done["response"]["conversation_id"] is None
    assert done["response"]["output"][0]["content"] == [{"type": "output_text", "text": "Okay."}]
    assert len(session.items) == 1


async def test_truncation_cuts_the_audio_and_forgets_the_words(openai):
    async with dial(openai) as client:
        await client.configure()
        session = await openai.session()
        item_id = await session.say("Hello there, caller.")
        await client.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=500
        )
        truncated = await client.until("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]

    assert truncated["audio_end_ms"] == 500
    assert item["content"] == [{"type": "output_audio"}]


async def test_truncation_beyond_the_audio_is_refused(lenient):
    async with dial(lenient) as client:
        await client.configure()
        session = await lenient.session()
        item_id = await session.say("Hi.")
        where = {"item_id": item_id, "content_index": 0}
        await client.send("conversation.item.truncate", **where, audio_end_ms=181)
        error = await client.error()

    assert error["code"] is None
    assert error["message"] == "Audio content of 180ms is already shorter than 181ms"


async def test_only_spoken_assistant_items_can_be_truncated(lenient):
    async with dial(lenient) as client:
        await client.configure()
        session = await lenient.session()
        item_id = await session.caller_spoke("me")
        await client.send(
            "conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=0
        )
        error = await client.error()

    assert error["code"] == "unsupported_content_type"


async def test_a_test_can_call_a_tool_and_read_the_answer(openai):
    async with dial(openai) as client:
        await client.configure()
        session = await openai.session()
        calling = asyncio.create_task(session.call_tool("save_field", name="zip_code"))
        item = (await client.until("response.done"))["response"]["output"][0]
        await client.answer_call(item, {"saved": False})
        answer = await calling

    assert json.loads(item["arguments"]) == {"name": "zip_code"}
    assert answer == '{"saved": false}'


async def test_a_function_call_that_is_interrupted_has_cut_arguments(slow):
    async with dial(slow) as client:
        await client.configure()
        session = await slow.session()
        acting = asyncio.create_task(session.call_tool("save_field", value="x" * 50, within=0.2))
        await client.until("response.function_call_arguments.delta")
        await client.send("response.cancel")
        done = await client.until("response.function_call_arguments.done")
        with pytest.raises(TimeoutError):
            await acting

    with pytest.raises(json.JSONDecodeError):
        json.loads(done["arguments"])


async def test_an_idle_line_is_committed_and_answered_after_the_playback(openai):
    turns = {"type": "server_vad", "idle_timeout_ms": 2000}
    audio = PHONE_SESSION["audio"] | {
        "input": PHONE_SESSION["audio"]["input"] | {"turn_detection": turns}
    }
    async with dial(openai) as client:
        await client.configure(audio=audio)
        session = await openai.session()
        await session.say("Ten chars.")
        await client.speak(QUIET * 3)
        triggered = await client.until("input_audio_buffer.timeout_triggered")
        await client.until("response.done")

    assert triggered["audio_start_ms"] == 600
    assert triggered["audio_end_ms"] == 2600


async def test_the_sdk_holds_a_conversation_with_the_emulator(openai):
    openai.heard.append("hello")
    sdk = AsyncOpenAI(api_key=openai.api_key, base_url=openai.base_url)
    async with sdk, sdk.realtime.connect(model="gpt-realtime-2.1") as connection:
        await connection.session.update(session=PHONE_SESSION)
        session = await openai.session()
        await session.received_event("session.update")
        await session.caller_spoke("My name is John")
        kinds = {}
        async for event in connection:
            kinds[event.type] = event
            if event.type == "conversation.item.input_audio_transcription.completed":
                break

    assert kinds["conversation.item.input_audio_transcription.completed"].transcript
    assert type(kinds["session.updated"]).__name__ == "SessionUpdatedEvent"


async def test_leaving_with_a_violation_fails_and_names_it():
    with pytest.raises(AssertionError, match=r"session\.modalities"):
        async with OpenAIEmulator(speed=FAST) as openai, dial(openai) as client:
            await client.send("session.update", session={"modalities": ["audio"]})
            await client.error()


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"key": "sk-wrong"}, 401),
        ({"model": "gpt-4o-mini"}, 404),
        ({"model": ""}, 400),
        ({"OpenAI-Beta": "realtime=v1"}, 400),
        ({"query": "&voice=marin"}, 400),
    ],
)
async def test_who_may_not_come_in_gets_an_http_status(lenient, how, status):
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with dial(lenient, **how):
            pass

    assert refused.value.response.status_code == status
    assert lenient.upgrades == [status]
    assert lenient.sessions == []
