"""The offline voice through its real door: the SDK's client and types, and a call with sound."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from datetime import date
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from ivr.agent.instructions import voice_instructions
from ivr.agent.tool_schemas import voice_tools
from ivr.leads.profile import load_profile
from tools.demo_audio import Script, load_script

for package in ("pocketsphinx", "webrtcvad", "espeakng_loader"):
    pytest.importorskip(package)
from ivr.offline import offline_voice  # noqa: E402  # only with the packages above

POWERSPORTS = load_profile("powersports")
SERVER_EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
SESSION_EXTRAS = {"id", "object", "expires_at"}  # sent by the service, unknown to the SDK's type
FRAME = 160


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with offline_voice(load_profile, today=lambda: date(2026, 11, 20), workers=1) as base:
        yield base


def strange(model: Any) -> set[str]:
    """Return every field, at any depth, that the SDK's types do not know."""
    if isinstance(model, list):
        return {name for entry in model for name in strange(entry)}
    if not isinstance(model, BaseModel):
        return set()
    inner = {name for field in type(model).model_fields for name in strange(getattr(model, field))}
    return inner | set(model.model_extra or {})


def session(caller: str) -> Any:
    pcmu = {"type": "audio/pcmu"}
    return {
        "type": "realtime",
        "instructions": voice_instructions(
            POWERSPORTS, caller_number=caller, known={}, today=date(2026, 11, 20)
        ),
        "tools": voice_tools(POWERSPORTS),
        "audio": {
            "input": {"format": pcmu, "transcription": {"model": "gpt-transcribe"}},
            "output": {"format": pcmu},
        },
    }


class Caller:
    """Drives one call by the SDK: sends sound without pause, answers tools, keeps all events."""

    def __init__(self, connection: Any, script: Script) -> None:
        self.connection = connection
        self.script = script
        self.events: list[dict[str, Any]] = []
        self.saved: dict[str, str] = {}
        self.ended = ""

    async def run(self) -> None:
        await self.connection.session.update(session=session(self.script.caller))
        await self.connection.response.create()
        async for event in self.connection:
            self.keep(event)
            match event.type:
                case "response.output_item.done" if event.item.type == "function_call":
                    await self.tool(event.item)
                case "response.done" if not self.ended:
                    await self.answer(event.response.output)
            if self.ended and event.type == "response.done":
                return

    def keep(self, event: Any) -> None:
        raw = event.to_dict()
        self.events.append(raw)
        extras = SESSION_EXTRAS if raw["type"].startswith("session.") else set()
        parsed = SERVER_EVENTS.validate_python(raw)
        assert parsed.type == raw["type"]
        assert strange(parsed) <= extras, raw

    async def tool(self, item: Any) -> None:
        arguments = json.loads(item.arguments)
        if item.name == "save_field":
            self.saved[arguments["name"]] = arguments["value"]
        if item.name == "end_call":
            self.ended = arguments["reason"]
        output = {
            "type": "function_call_output",
            "call_id": item.call_id,
            "output": '{"saved": true}',
        }
        await self.connection.conversation.item.create(item=output)

    async def answer(self, output: Any) -> None:
        said = " ".join(
            part.transcript for item in output if item.type == "message" for part in item.content
        )
        if not said:
            await self.connection.response.create()
            return
        found = [(m.end(), a) for a in self.script.answers for m in a.when.finditer(said)]
        clip = max(found, key=lambda entry: entry[0])[1].ulaw + b"\xff" * 8000
        for at in range(0, len(clip), FRAME):
            audio = base64.b64encode(clip[at : at + FRAME]).decode()
            await self.connection.input_audio_buffer.append(audio=audio)
        return None


async def test_the_sdk_gets_through_a_whole_call_and_knows_every_event(url: str) -> None:
    script = load_script("demo")
    client = AsyncOpenAI(api_key="none", base_url=url)
    async with (
        asyncio.timeout(60),
        client.realtime.connect(model="offline/powersports") as connection,
    ):
        caller = Caller(connection, script)
        await caller.run()
    await client.close()

    assert caller.saved == script.expected
    assert caller.ended == "complete"
    kinds = [event["type"] for event in caller.events]
    assert kinds[0] == "session.created"
    assert "error" not in kinds
    assert len({event["event_id"] for event in caller.events}) == len(caller.events)
    deltas = [e for e in caller.events if e["type"] == "response.output_audio.delta"]
    assert max(len(base64.b64decode(e["delta"])) for e in deltas) == 3200


@pytest.mark.parametrize(
    "path", ["/v1/realtime?model=gpt-realtime-2.1", "/v1/realtime?model=offline/nothing", "/other"]
)
async def test_what_is_not_here_is_refused_before_a_session(url: str, path: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(re.sub("^http", "ws", url.removesuffix("/v1")) + path):
            pass

    assert refused.value.response.status_code == 404


async def test_nonsense_is_answered_and_the_conversation_goes_on(url: str) -> None:
    async with connect(f"{url.replace('http', 'ws')}/realtime?model=offline/powersports") as socket:
        await socket.recv()
        for nonsense in ("{", "[]", "\x00", '{"type": "conversation.list"}'):
            await socket.send(nonsense)
            assert '"type":"error"' in str(await socket.recv())
        await socket.send('{"type": "session.update", "session": {"type": "realtime"}}')
        assert '"type":"session.updated"' in str(await socket.recv())
