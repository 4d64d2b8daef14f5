"""A plain Realtime client for the emulator's tests: sends what it is told, keeps what comes."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import websockets

from tools.emulators.openai import OpenAIEmulator

LOUD = bytes([0x10, 0x90]) * 4000  # one second of a loud square wave
QUIET = bytes([0xFF, 0x7F, 0xFE, 0x7E]) * 2000  # one second of a quiet line

TOOLS = [
    {
        "type": "function",
        "name": name,
        "description": "A tool.",
        "parameters": {"type": "object", "properties": {}, "additionalProperties": True},
    }
    for name in ("save_field", "confirm_field", "end_call")
]
PHONE_SESSION: dict[str, Any] = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "instructions": "Collect the lead.",
    "tools": TOOLS,
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "gpt-transcribe", "language": "en"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
        },
        "output": {"format": {"type": "audio/pcmu"}, "voice": "marin"},
    },
}

Event = dict[str, Any]


class Client:
    """One open socket. `seen` holds every event in its order."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket
        self.seen: list[Event] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def receive(self) -> Event:
        event = json.loads(await self.socket.recv())
        self.seen.append(event)
        return event

    async def until(self, kind: str, check: Callable[[Event], bool] = lambda event: True) -> Event:
        """Read on until an event of this type comes."""
        while True:
            event = await self.receive()
            if event["type"] == kind and check(event):
                return event

    async def configure(self, **changes: Any) -> Event:
        await self.send("session.update", session={**PHONE_SESSION, **changes})
        return await self.until("session.updated")

    async def speak(self, audio: bytes, *, size: int = 160) -> None:
        """Append audio in pieces of `size` bytes."""
        for at in range(0, len(audio), size):
            piece = base64.b64encode(audio[at : at + size]).decode()
            await self.send("input_audio_buffer.append", audio=piece)

    async def say_something(self) -> None:
        """Be a caller who talks for a second and then listens."""
        await self.speak(LOUD + QUIET[:4800])

    async def error(self) -> Event:
        found: Event = (await self.until("error"))["error"]
        return found

    async def answer_call(self, item: Event, result: Event) -> None:
        output = {
            "type": "function_call_output",
            "call_id": item["call_id"],
            "output": json.dumps(result),
        }
        await self.send("conversation.item.create", item=output)

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.seen]

    def audio(self, item_id: str) -> bytes:
        """Return the audio of one item as it came."""
        return b"".join(
            base64.b64decode(event["delta"])
            for event in self.seen
            if event["type"] == "response.output_audio.delta" and event["item_id"] == item_id
        )


@asynccontextmanager
async def dial(
    openai: OpenAIEmulator,
    *,
    model: str = "gpt-realtime-2.1",
    key: str | None = None,
    query: str = "",
    **headers: str,
) -> AsyncIterator[Client]:
    """Open a session, unconfigured."""
    url = openai.base_url.replace("http", "ws") + f"/realtime?model={model}{query}"
    sent = {"Authorization": f"Bearer {key or openai.api_key}", **headers}
    async with websockets.connect(
        url, additional_headers=sent, compression=None, max_size=None, max_queue=None, proxy=None
    ) as socket:
        yield Client(socket)
