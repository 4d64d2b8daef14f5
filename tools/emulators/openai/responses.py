"""Performs one response: items, deltas in their pace, cancellation, the end. Decides nothing."""

import asyncio
import base64
import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tools.emulators.openai import audio
from tools.emulators.openai.conversation import Conversation, Item
from tools.emulators.openai.faults import Faults
from tools.emulators.openai.script import Act, CallFunction, Speak
from tools.emulators.openai.session_config import SessionConfig
from tools.emulators.openai.usage import response_usage
from tools.emulators.openai.wire import Wire

_TINY_BYTES = 37
_HUGE_BLOCKS = 30_000 // audio.MS_PER_BLOCK
_BETWEEN_ARGUMENTS_MS = 100
_LIMITS = [
    {"name": "requests", "limit": 20000, "remaining": 19999, "reset_seconds": 0.003},
    {"name": "tokens", "limit": 15000000, "remaining": 14999000, "reset_seconds": 0.001},
]


@dataclass
class Stage:
    """What a session's responses share; audio is sent `pace` times faster than real time."""

    number: int
    wire: Wire
    conversation: Conversation
    config: SessionConfig
    faults: Callable[[], Faults]
    delta_bytes: int
    pace: float
    blocks: int = 0
    cached_tokens: int = 0
    audio_sent: dict[str, bytearray] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{self.number}_{next(self.ids)}"

    def voice(self, text: str, fmt: audio.Format) -> bytes:
        """Return the synthetic speech for `text`, its blocks numbered on."""
        count = audio.speech_blocks(text)
        if self.faults().huge_delta:
            count = max(count, _HUGE_BLOCKS)
        first, self.blocks = self.blocks, self.blocks + count
        return audio.speech(fmt, session=self.number, first=first, count=count)


class Response:
    """One response being performed; `params` is response.create's, {} when the server made it."""

    def __init__(self, stage: Stage, acts: list[Act], params: dict[str, Any]) -> None:
        self.id = stage.new_id("resp")
        self.acts = acts
        self.left: list[Act] = []  # after a cancellation: what was cut or not begun
        self.audio_ms = 0.0
        self.over = asyncio.Event()
        self.out_of_band = params.get("conversation") == "none"
        self._stage = stage
        self._wire = stage.wire
        self._params = params
        self._output: list[Item] = []
        self._cancelled: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def cancel(self, reason: str) -> None:
        """Ask for the end; `reason` is "turn_detected" or "client_cancelled"."""
        if not self._cancelled.done():
            self._cancelled.set_result(reason)

    async def run(self) -> None:
        """Send every event of this response; raises Closed when the socket goes."""
        code = self._stage.faults().response_fails
        await self._wire.emit("response.created", response=self._view("in_progress"))
        for index, act in enumerate([] if code else self.acts):
            done = not self._cancelled.done() and await self._perform(index, act)
            if not done:
                self.left.append(act)
        await self._wire.emit("response.done", response=self._final(code))
        await self._wire.emit("rate_limits.updated", rate_limits=_LIMITS)

    async def _perform(self, index: int, act: Act) -> bool:
        match act:
            case Speak(text=text) if self._modalities == ["text"]:
                return await self._write(index, text)
            case Speak(text=text):
                return await self._speak(index, text)
            case CallFunction(name=name, arguments=arguments):
                return await self._call(index, name, arguments)

    async def _speak(self, index: int, text: str) -> bool:
        item, at = await self._begin(index, {"type": "message", "role": "assistant", "content": []})
        await self._part("response.content_part.added", at, {"type": "audio", "transcript": ""})
        said = await self._say(item, at, text)
        await self._wire.emit("response.output_audio.done", **at)
        await self._wire.emit("response.output_audio_transcript.done", **at, transcript=said)
        await self._part("response.content_part.done", at, {"type": "audio", "transcript": said})
        item.view["content"] = [{"type": "output_audio", "transcript": said}]
        return await self._finish(index, item, complete=said == text)

    async def _say(self, item: Item, at: dict[str, Any], text: str) -> str:
        """Send transcript and audio deltas until the end or a cancel; return the words sent."""
        fmt, said = self._format, ""
        voice, sent = self._stage.voice(text, fmt), 0
        for chunk in self._chunks(voice):
            cut = self._cancelled.done()
            if cut and not (sent and self._stage.faults().late_delta_after_speech):
                break
            sent += len(chunk)
            words = text[len(said) : len(text) * sent // len(voice)]
            if words:
                said += words
                await self._wire.emit("response.output_audio_transcript.delta", **at, delta=words)
            await self._send_audio(item, at, chunk, fmt)
            if cut:
                break
            await self._wait(len(chunk) / fmt.bytes_per_ms / self._stage.pace)
        return said

    async def _send_audio(
        self, item: Item, at: dict[str, Any], chunk: bytes, fmt: audio.Format
    ) -> None:
        ms = len(chunk) / fmt.bytes_per_ms
        item.audio_ms += ms
        self.audio_ms += ms
        self._stage.audio_sent.setdefault(item.id, bytearray()).extend(chunk)
        delta = base64.b64encode(chunk).decode()
        await self._wire.emit("response.output_audio.delta", **at, delta=delta)

    def _chunks(self, voice: bytes) -> Iterator[bytes]:
        faults = self._stage.faults()
        size = _TINY_BYTES if faults.tiny_deltas else self._stage.delta_bytes
        size = len(voice) if faults.huge_delta else size
        return (voice[at : at + size] for at in range(0, len(voice), size))

    async def _write(self, index: int, text: str) -> bool:
        item, at = await self._begin(index, {"type": "message", "role": "assistant", "content": []})
        await self._part("response.content_part.added", at, {"type": "text", "text": ""})
        await self._wire.emit("response.output_text.delta", **at, delta=text)
        await self._wire.emit("response.output_text.done", **at, text=text)
        await self._part("response.content_part.done", at, {"type": "text", "text": text})
        item.view["content"] = [{"type": "output_text", "text": text}]
        return await self._finish(index, item, complete=True)

    async def _call(self, index: int, name: str, arguments: str) -> bool:
        call_id = self._stage.new_id("call")
        view = {"type": "function_call", "name": name, "call_id": call_id, "arguments": ""}
        item, at = await self._begin(index, view)
        at = {key: value for key, value in at.items() if key != "content_index"}
        half = len(arguments) // 2
        for piece in (arguments[:half], arguments[half:]):
            if self._cancelled.done():
                break
            item.view["arguments"] += piece
            await self._wire.emit(
                "response.function_call_arguments.delta", **at, call_id=call_id, delta=piece
            )
            await self._wait(_BETWEEN_ARGUMENTS_MS)
        made = item.view["arguments"]
        await self._wire.emit(
            "response.function_call_arguments.done",
            **at,
            call_id=call_id,
            name=name,
            arguments=made,
        )
        return await self._finish(index, item, complete=made == arguments)

    async def _begin(self, index: int, view: dict[str, Any]) -> tuple[Item, dict[str, Any]]:
        """Announce a new item; return it and the fields that all its events share."""
        base = {
            "id": self._stage.new_id("item"),
            "object": "realtime.item",
            "status": "in_progress",
        }
        view = {**base, **view}
        item = Item(view, None) if self.out_of_band else self._stage.conversation.append(view)
        self._output.append(item)
        where = {"response_id": self.id, "output_index": index}
        await self._wire.emit("response.output_item.added", **where, item=item.view)
        await self._conversation_event("conversation.item.added", item)
        return item, {**where, "item_id": item.id, "content_index": 0}

    async def _finish(self, index: int, item: Item, *, complete: bool) -> bool:
        item.view["status"] = "completed" if complete else "incomplete"
        await self._conversation_event("conversation.item.done", item)
        await self._wire.emit(
            "response.output_item.done", response_id=self.id, output_index=index, item=item.view
        )
        return complete

    async def _conversation_event(self, kind: str, item: Item) -> None:
        if not self.out_of_band:
            await self._wire.emit(kind, item=item.view, previous_item_id=item.previous_id)

    async def _part(self, kind: str, at: dict[str, Any], part: dict[str, Any]) -> None:
        await self._wire.emit(kind, **at, part=part)

    async def _wait(self, ms: float) -> None:
        """Let time pass, but not beyond a cancellation."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._wire.seconds(ms)):
                await asyncio.shield(self._cancelled)

    def _final(self, code: str | None) -> dict[str, Any]:
        if code:
            error = {"type": "server_error", "code": code, "message": "The response failed."}
            return self._view("failed", {"type": "failed", "error": error})
        if self.left:
            details = {"type": "cancelled", "reason": self._cancelled.result()}
            keep = not self._stage.faults().no_usage_when_cancelled
            return self._view("cancelled", details, self._usage() if keep else None)
        return self._view("completed", None, self._usage())

    def _usage(self) -> dict[str, Any]:
        stage = self._stage
        context = [item for item in stage.conversation.items if item not in self._output]
        usage = response_usage(
            stage.config.view["instructions"], context, self._output, stage.cached_tokens
        )
        stage.cached_tokens = usage["input_token_details"]["text_tokens"]
        return usage

    def _view(
        self,
        status: str,
        details: dict[str, Any] | None = None,
        usage: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        config = self._stage.config.view
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": status,
            "status_details": details,
            "output": [item.view for item in self._output],
            "conversation_id": None if self.out_of_band else self._stage.conversation.id,
            "output_modalities": self._modalities,
            "max_output_tokens": self._params.get("max_output_tokens", config["max_output_tokens"]),
            "audio": {
                "output": {
                    "format": config["audio"]["output"]["format"],
                    "voice": config["audio"]["output"]["voice"],
                }
            },
            "usage": usage,
            "metadata": self._params.get("metadata"),
        }

    @property
    def _modalities(self) -> list[str]:
        wanted: list[str] = self._params.get(
            "output_modalities", self._stage.config.view["output_modalities"]
        )
        return wanted

    @property
    def _format(self) -> audio.Format:
        wanted = self._params.get("audio", {}).get("output", {}).get("format")
        return audio.FORMATS[wanted["type"]] if wanted else self._stage.config.output_format
