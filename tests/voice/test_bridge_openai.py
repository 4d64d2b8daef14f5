"""The bridge against the strict OpenAI emulator, which fails a test for any broken rule."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager

import pytest

from ivr.agent.tool_output import ToolOutput
from ivr.voice import realtime
from ivr.voice.bridge import Bridge
from ivr.voice.call import Call
from ivr.voice.model_socket import connect_model
from ivr.voice.script import Limits
from tests.voice.line import script
from tools.emulators.openai import OpenAIEmulator

TOOLS = [
    {
        "type": "function",
        "name": name,
        "description": "A tool.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": True},
    }
    for name in ("save_field", "end_call")
]
LOUD = base64.b64encode(bytes([0x10, 0x90]) * 80).decode()  # 20 ms of a square wave
QUIET = base64.b64encode(bytes([0xFF, 0x7F]) * 80).decode()


class Ear:
    """A phone in memory that hears everything at once, unless it `listens` no more."""

    def __init__(self):
        self.frames = asyncio.Queue()
        self.heard = bytearray()
        self.clears = asyncio.Event()
        self.listens = True
        self.spoken_to = asyncio.Event()

    unsent = 0

    async def listen(self, deliver):
        while (frame := await self.frames.get()) is not None:
            deliver(frame)

    def write(self, text):
        frame = json.loads(text)
        match frame["event"]:
            case "media":
                self.heard += base64.b64decode(frame["media"]["payload"], validate=True)
                self.spoken_to.set()
            case "mark" if self.listens:
                self.frames.put_nowait(json.dumps({"event": "mark", "mark": frame["mark"]}))
            case "clear":
                self.clears.set()

    async def close(self):
        self.frames.put_nowait(None)

    def says(self, payload, count=1):
        for _ in range(count):
            self.frames.put_nowait(json.dumps({"event": "media", "media": {"payload": payload}}))


class Effects:
    def __init__(self):
        self.turns = []
        self.tools = []

    async def run_tool(self, name, arguments):
        self.tools.append(name)
        return ToolOutput("{}", ends=json.loads(arguments).get("reason"))

    def record(self, turn):
        self.turns.append(turn)


@asynccontextmanager
async def emulated(*, limits=None, **options):
    """An emulated model, and a call with it on a running bridge."""
    options = {"speed": 50.0, "pace": 200.0} | options
    async with OpenAIEmulator(**options) as openai:
        now = asyncio.get_running_loop().time
        session = realtime.session(instructions="Collect the lead.", tools=TOOLS)
        phone, effects = Ear(), Effects()
        bridge = Bridge(
            phone=phone,
            connect=lambda: connect_model(openai.base_url, "gpt-realtime-2.1", openai.api_key),
            call=Call("MZ1", script(session=session), limits or Limits(), now()),
            effects=effects,
            clock=now,
        )
        running = asyncio.create_task(bridge.run())
        try:
            yield openai, phone, effects, running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_whole_call_keeps_to_the_protocol():
    async with emulated() as (openai, phone, effects, running):
        session = await openai.session()
        await session.sent_event("response.done")
        await session.caller_spoke("John Doe")
        await session.sent_event("response.done", nth=1)
        assert await session.call_tool("save_field", name="full_name") == "{}"
        await session.received_event("response.create", nth=1)
        await session.say("Thank you, goodbye.")
        outcome = await asyncio.wait_for(running, 30)

        assert bytes(phone.heard) == session.audio_sent()

    assert outcome.reason == "goodbye"
    assert outcome.usage.audio_out > 0
    said = [(turn.role, turn.text) for turn in effects.turns]
    assert ("user", "John Doe") in said
    assert said[-1] == ("assistant", "Thank you, goodbye.")
    assert effects.tools == ["save_field"]


async def test_end_call_is_followed_by_a_farewell_and_the_hang_up():
    async with emulated() as (openai, _, effects, running):
        session = await openai.session()
        await session.sent_event("response.done")
        await session.call_tool("end_call", reason="complete")
        outcome = await asyncio.wait_for(running, 30)

    assert outcome.reason == "complete"
    assert effects.tools == ["end_call"]


@pytest.mark.parametrize("late", [False, True])
async def test_a_barge_in_is_one_that_the_service_accepts(late):
    limits = Limits(last_words_s=0.05)
    words = "word " * 40
    async with emulated(limits=limits, speed=1.0, pace=20.0, default_reply=words) as (
        openai,
        phone,
        effects,
        running,
    ):
        openai.faults.late_delta_after_speech = late
        phone.listens = False
        session = await openai.session()
        await session.sent_event("response.output_audio.delta", nth=2)
        await asyncio.wait_for(phone.spoken_to.wait(), 30)
        phone.says(LOUD, 20)
        await asyncio.wait_for(phone.clears.wait(), 30)
        truncate = await session.received_event("conversation.item.truncate")
        phone.says(QUIET, 5)
        await phone.close()
        outcome = await asyncio.wait_for(running, 30)

    assert truncate["audio_end_ms"] <= 200  # nothing was echoed: within one mark of nothing
    assert outcome.reason == "caller_hung_up"
    assert outcome.interruptions == 1
    assert all(turn.cut for turn in effects.turns if turn.role == "assistant")


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_a_refused_model_leaves_the_caller_to_the_fallback(status):
    async with emulated(allow_violations=True) as (openai, _, _, running):
        openai.faults.refuse_upgrade = status
        outcome = await asyncio.wait_for(running, 30)

    assert outcome.reason == "model_refused"


@pytest.mark.parametrize("fault", ["garbage", "unknown_event", "extra_fields", "huge_delta"])
async def test_odd_messages_do_no_harm(fault):
    async with emulated() as (openai, phone, _, running):
        setattr(openai.faults, fault, "text" if fault == "garbage" else True)
        session = await openai.session()
        await session.sent_event("response.done")
        await session.say("Thank you, goodbye.")
        outcome = await asyncio.wait_for(running, 30)

        assert bytes(phone.heard) == session.audio_sent()

    assert outcome.reason == "goodbye"
    assert (outcome.unknown > 0) == (fault in {"garbage", "unknown_event"})


async def test_a_model_that_dies_again_in_the_middle_of_an_answer():
    async with emulated() as (openai, _, _, running):
        for index in range(2):
            session = await openai.session(index)
            await session.sent_event("session.updated" if index else "response.done")
            session.abort()
        outcome = await asyncio.wait_for(running, 30)

    assert outcome.reason == "model_lost"


async def test_a_model_that_accepts_and_never_says_a_word():
    async with emulated(limits=Limits(ready_s=0.05)) as (openai, _, _, running):
        openai.faults.silent = True
        outcome = await asyncio.wait_for(running, 30)

    assert outcome.reason == "model_silent"


async def test_a_model_whose_answers_all_fail():
    async with emulated() as (openai, _, _, running):
        openai.faults.response_fails = "server_error"
        outcome = await asyncio.wait_for(running, 30)

    assert outcome.reason == "model_failed"
