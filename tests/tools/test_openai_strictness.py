"""What the emulated Realtime service refuses: it answers the client and fails the test."""

import base64
import copy
from typing import Any

import pytest

from tests.tools.realtime_client import PHONE_SESSION, TOOLS, dial
from tools.emulators.openai import OpenAIEmulator

FULL_SESSION: dict[str, Any] = {
    **PHONE_SESSION,
    "max_output_tokens": 1024,
    "reasoning": {"effort": "low"},
    "tool_choice": "auto",
    "truncation": {
        "type": "retention_ratio",
        "retention_ratio": 0.8,
        "token_limits": {"post_instructions": 16000},
    },
    "tracing": None,
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "noise_reduction": {"type": "near_field"},
            "transcription": {"model": "gpt-transcribe", "language": "en", "keywords": ["Acme"]},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 500,
                "create_response": True,
                "interrupt_response": True,
                "idle_timeout_ms": 15000,
            },
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin", "speed": 1.0},
    },
}

INPUT, OUTPUT = "audio.input", "audio.output"


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the full session with one value set, or with one key added."""
    session = copy.deepcopy(FULL_SESSION)
    *way, last = path.split(".")
    at: Any = session
    for key in way:
        at = at[int(key)] if isinstance(at, list) else at[key]
    at[last] = value
    return session


async def refusal(kind: str, **fields: Any) -> dict[str, Any]:
    """Send one event to a fresh session; return the error, which must count as a violation."""
    async with OpenAIEmulator(allow_violations=True) as openai, dial(openai) as client:
        await client.send(kind, event_id="mine", **fields)
        error = await client.error()
    assert error["event_id"] == "mine"
    assert len(openai.violations) == 1
    return error


async def test_everything_the_documents_show_is_accepted():
    async with OpenAIEmulator() as openai, dial(openai) as client:
        updated = await client.configure(**FULL_SESSION)

    assert updated["session"]["truncation"] == FULL_SESSION["truncation"]
    assert updated["session"]["audio"]["input"]["noise_reduction"] == {"type": "near_field"}


@pytest.mark.parametrize(
    "path",
    [
        "modalities",
        "input_audio_format",
        "temperature",
        "voice",
        "instruction",
        f"{INPUT}.formats",
        f"{INPUT}.format.rate",
        f"{INPUT}.turn_detection.silence_duration",
        f"{INPUT}.transcription.lang",
        f"{OUTPUT}.format.rate",
        f"{OUTPUT}.pitch",
        "tools.0.strict",
        "truncation.token_limits.post_instruction",
        "reasoning.depth",
    ],
)
async def test_a_beta_or_misspelt_key_is_refused_however_deep(path):
    error = await refusal("session.update", session=changed(path, 8000))

    assert (error["code"], error["param"]) == ("unknown_parameter", f"session.{path}")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("output_modalities", ["audio", "text"]),
        ("max_output_tokens", 5000),
        ("max_output_tokens", "many"),
        ("instructions", None),
        ("model", "gpt-realtime-2"),
        ("tool_choice", {"type": "function", "name": "fly"}),
        ("truncation.retention_ratio", 1.5),
        ("tools.0.parameters", {"type": "array"}),
        ("tools.0.name", "save field"),
        ("tools.1.name", "save_field"),
        ("tools.0.type", "method"),
        (f"{INPUT}.format.type", "g711_ulaw"),
        (f"{INPUT}.turn_detection.threshold", 2),
        (f"{INPUT}.turn_detection.threshold", "0.5"),
        (f"{INPUT}.turn_detection.silence_duration_ms", "500"),
        (f"{INPUT}.transcription.model", "whisper-9"),
        (f"{INPUT}.transcription.delay", "low"),
        (f"{INPUT}.transcription.languages", ["en", "es"]),
        (f"{OUTPUT}.voice", "darth"),
        (f"{OUTPUT}.speed", 3),
    ],
)
async def test_a_value_the_service_does_not_take_is_refused(path, value):
    async with OpenAIEmulator(allow_violations=True) as openai, dial(openai) as client:
        await client.send("session.update", session=changed(path, value))
        error = await client.error()

    assert error["param"].startswith(f"session.{path}")
    assert openai.errors_sent == [error]


async def test_keywords_need_a_model_that_knows_them():
    session = changed(f"{INPUT}.transcription.model", "whisper-1")
    error = await refusal("session.update", session=session)

    assert error["param"] == f"session.{INPUT}.transcription.keywords"


async def test_a_session_without_a_type_is_a_beta_session():
    error = await refusal("session.update", session={"instructions": "Hi"})

    assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")


async def test_there_is_no_conversation_list():
    error = await refusal("conversation.list")

    assert (error["code"], error["param"]) == ("invalid_value", "type")
    assert error["message"].startswith("Invalid value: 'conversation.list'")


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "message", "role": "user", "content": [{"type": "text", "text": "x"}]}, "item"),
        ({"type": "message", "role": "user", "content": [{"type": "input_text"}]}, "item"),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]},
            "item.content.0.type",
        ),
        ({"type": "function_call_output", "call_id": "c", "output": {"a": 1}}, "item.output"),
        ({"type": "function_call_output", "call_id": "c", "output": "x", "name": "f"}, "item.name"),
    ],
)
async def test_a_wrong_item_is_refused(item, param):
    error = await refusal("conversation.item.create", item=item)

    assert error["param"].startswith(param)


async def test_an_output_for_an_unknown_call_is_refused():
    output = {"type": "function_call_output", "call_id": "call_9", "output": "{}"}
    async with OpenAIEmulator(allow_violations=True) as openai, dial(openai) as client:
        await client.send("conversation.item.create", item=output)
        error = await client.error()

    assert error["param"] == "item.call_id"


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"modalities": ["text"]}, "response.modalities"),
        ({"instructions": None}, "response.instructions"),
        ({"metadata": {"k" * 65: "v"}}, "response.metadata"),
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
        ({"input": [{"type": "item_reference"}]}, "response.input.0.id"),
        ({"tools": [TOOLS[0] | {"strict": True}]}, "response.tools.0.strict"),
    ],
)
async def test_a_wrong_response_is_refused(response, param):
    error = await refusal("response.create", response=response)

    assert error["param"].startswith(param)


async def test_a_response_may_refer_to_items():
    async with OpenAIEmulator(speed=20) as openai, dial(openai) as client:
        await client.configure()
        session = await openai.session()
        item_id = await session.say("Hi.")
        inputs = [{"type": "item_reference", "id": item_id}]
        await client.send("response.create", response={"input": inputs})
        await client.until("response.done", lambda e: e["response"]["output"][0]["id"] != item_id)

    assert openai.violations == []


@pytest.mark.parametrize("frame", ["hello", "[]", '{"event_id": "x"}', b"\x00\x01"])
async def test_a_frame_that_is_no_event_is_refused(frame):
    async with OpenAIEmulator(allow_violations=True) as openai, dial(openai) as client:
        await client.socket.send(frame)
        error = await client.error()

    assert error["code"] == "invalid_event"
    assert len(openai.violations) == 1


async def test_audio_must_be_base64():
    async with OpenAIEmulator(allow_violations=True) as openai, dial(openai) as client:
        await client.send("input_audio_buffer.append", audio="no base64!")
        error = await client.error()

    assert error["param"] == "audio"


async def test_an_empty_buffer_cannot_be_committed():
    async with OpenAIEmulator(allow_violations=True) as openai, dial(openai) as client:
        await client.send("input_audio_buffer.commit")
        error = await client.error()

    assert error["code"] == "input_audio_buffer_commit_empty"


async def test_audio_sent_before_its_format_is_set_is_a_violation():
    async with OpenAIEmulator(allow_violations=True) as openai, dial(openai) as client:
        silence = base64.b64encode(b"\xff" * 160).decode()
        await client.send("input_audio_buffer.append", audio=silence)
        await client.configure()

    assert "before its format" in openai.violations[0]


async def test_the_voice_is_frozen_after_the_first_audio():
    async with OpenAIEmulator(speed=20, allow_violations=True) as openai, dial(openai) as client:
        await client.configure()
        session = await openai.session()
        await session.say("Hi.")
        await client.send("session.update", session=changed(f"{OUTPUT}.voice", "cedar"))
        error = await client.error()

    assert error["code"] == "cannot_update_voice"


async def test_calling_a_tool_that_is_not_offered_is_noticed():
    from tools.scenarios import load

    async with OpenAIEmulator(load("john_doe"), speed=20, allow_violations=True) as openai:
        async with dial(openai) as client:
            await client.configure(tools=[])
            await client.send("response.create")
            await client.until("response.done")
            await openai.sessions[0].caller_spoke("John Doe")
            await client.until("response.done")

    assert "save_field" in openai.violations[0]
