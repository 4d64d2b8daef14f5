"""Scripted calls over a real socket: the emulated model leads from greeting to goodbye."""

import json
from typing import get_args

from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel

from tests.tools.realtime_client import Client, dial
from tools.emulators.openai import OpenAIEmulator
from tools.emulators.openai.strictness import extras
from tools.scenarios import load

FAST = 20.0


async def test_a_scripted_call_runs_from_greeting_to_goodbye():
    scenario = load("john_doe")
    async with OpenAIEmulator(scenario, speed=FAST) as openai, dial(openai) as client:
        await client.configure()
        calls = await run_scripted_call(client)
        session = await openai.session()

    transcripts = [e for e in client.seen if e["type"].endswith("transcription.completed")]
    spoken = [e for e in client.seen if e["type"] == "response.output_audio_transcript.done"]
    assert [e["transcript"] for e in spoken] == [turn.assistant for turn in scenario.turns]
    assert [e["transcript"] for e in transcripts] == [t.caller for t in scenario.turns[:-1]]
    assert calls == [
        (call.name, dict(call.arguments))
        for turn in scenario.turns
        for call in (*turn.calls, *turn.then_calls)
    ]
    assert session.script.finished


async def run_scripted_call(client: Client) -> list[tuple[str, dict]]:
    """Be a correct bridge with a caller who answers every question, until end_call."""
    calls = []
    await client.send("response.create", response={"instructions": "Greet the caller."})
    while not calls or calls[-1][0] != "end_call":
        done = (await client.until("response.done"))["response"]
        functions = [item for item in done["output"] if item["type"] == "function_call"]
        for item in functions:
            calls.append((item["name"], json.loads(item["arguments"])))
            await client.answer_call(item, {"saved": True})
        if not functions:
            await client.say_something()
        elif calls[-1][0] != "end_call":
            await client.send("response.create")
    return calls


async def test_every_event_is_one_that_the_sdk_knows_to_the_last_field():
    async with OpenAIEmulator(load("john_doe"), speed=FAST) as openai, dial(openai) as client:
        await client.configure()
        await run_scripted_call(client)

    known = {m.model_fields["type"].annotation.__args__[0]: m for m in server_events()}
    for event in client.seen:
        model = known[event["type"]].model_validate_json(json.dumps(event), strict=True)
        unknown = {path for path in extras(model) if not path.startswith("session.")}
        assert unknown == set(), event["type"]


def server_events() -> tuple[type[BaseModel], ...]:
    return get_args(get_args(RealtimeServerEvent)[0])


async def test_speech_and_end_call_come_in_one_response():
    async with OpenAIEmulator(load("john_doe"), speed=FAST) as openai, dial(openai) as client:
        await client.configure()
        await run_scripted_call(client)

    last = [e for e in client.seen if e["type"] == "response.done"][-1]["response"]
    assert [item["type"] for item in last["output"]] == ["message", "function_call"]
    assert last["usage"]["input_token_details"]["cached_tokens"] > 0


async def test_a_response_before_all_tool_outputs_is_a_violation():
    async with OpenAIEmulator(load("john_doe"), speed=FAST, allow_violations=True) as openai:
        async with dial(openai) as client:
            await client.configure()
            session = await openai.session()
            await client.send("response.create")
            await client.until("response.done")
            await session.caller_spoke("John Doe")
            await client.until("response.done")
            await client.send("response.create")
            await client.until("response.done")

    assert "before the output of" in openai.violations[0]


async def test_a_nudge_does_not_use_up_a_turn():
    async with OpenAIEmulator(load("john_doe"), speed=FAST) as openai, dial(openai) as client:
        await client.configure()
        for _ in range(2):
            await client.send("response.create")
            await client.until("response.done")

    spoken = [e for e in client.seen if e["type"] == "response.output_audio_transcript.done"]
    assert spoken[1]["transcript"] == "Are you still there?"


async def test_a_session_that_takes_over_goes_on_behind_the_replayed_words():
    scenario = load("john_doe")
    said = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": scenario.turns[1].assistant}],
    }
    keyed = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "30093"}],
    }
    async with OpenAIEmulator(scenario, speed=FAST) as openai, dial(openai) as client:
        await client.configure()
        await client.send("conversation.item.create", item=said)
        await client.send("conversation.item.create", item=keyed)
        await client.send("response.create")
        call = (await client.until("response.done"))["response"]["output"][0]

    assert json.loads(call["arguments"])["name"] == "zip_code"
