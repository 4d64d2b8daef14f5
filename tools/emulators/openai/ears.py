"""The session's input audio buffer: counts what is appended, finds speech, commits user items.

What happens because of it (cancelling, answering) is asked of the session through `Listener`.
"""

import base64
import binascii
from typing import Any, Protocol

from tools.emulators.openai import vad
from tools.emulators.openai.conversation import Item
from tools.emulators.openai.refusal import Refusal, invalid_value
from tools.emulators.openai.responses import Stage
from tools.emulators.openai.transcription import Transcriber

_MAX_APPEND = 15 * 1024 * 1024
_MIN_COMMIT_MS = 100


class Listener(Protocol):
    """Whom the ears tell."""

    def heard(self) -> str:
        """Return what the caller said in the audio just committed."""

    async def interrupt(self) -> None:
        """The caller speaks over the assistant: no response is active when this returns."""

    def answer(self) -> None:
        """The caller's turn is over: begin a response."""

    def later(self, transcription: Any) -> None:
        """Run a coroutine beside everything else."""


class Ears:
    """One session's input side."""

    def __init__(self, stage: Stage, listener: Listener, transcriber: Transcriber) -> None:
        self._stage = stage
        self._listener = listener
        self._transcriber = transcriber
        self._vad = vad.Vad()
        self._buffer_ms = 0.0
        self._item_id = ""
        self._speech_from_ms = 0
        self._idle_from_ms: float | None = None
        self.received = bytearray()
        self.configure()

    def configure(self) -> None:
        """Follow a session.update."""
        self._vad.use(self._stage.config.input_format)
        turns = self._stage.config.turn_detection
        self._vad.settings = vad.settings(turns) if turns else None
        if turns is None:
            self._vad.reset()

    @property
    def total_ms(self) -> float:
        """All audio appended so far: the service's only sense of the caller's time."""
        return self._vad.total_ms

    async def append(self, encoded: str) -> None:
        """Take one input_audio_buffer.append."""
        piece = _decode(encoded)
        self.received += piece
        self._buffer_ms += len(piece) / self._vad.format.bytes_per_ms
        for event in self._vad.listen(piece):
            match event:
                case vad.SpeechStarted(at_ms=at):
                    await self._started(at)
                case vad.SpeechStopped(at_ms=at):
                    await self._stopped(at)
        await self._check_idle()

    async def commit(self) -> None:
        """Commit by hand; raises Refusal on (almost) nothing. Never creates a response."""
        if self._buffer_ms < _MIN_COMMIT_MS:
            raise Refusal(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of "
                f"audio, but buffer only has {self._buffer_ms:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        self._vad.reset()
        await self._commit(self._stage.new_id("item"), self._buffer_ms, self._listener.heard())

    async def clear(self) -> None:
        self._vad.reset()
        self._buffer_ms = 0.0
        await self._stage.wire.emit("input_audio_buffer.cleared")

    async def spoke(self, text: str | None, *, ms: int = 1000) -> str:
        """Act as if the caller had said `text` in `ms` of audio up to now; return the item's id."""
        await self._started(int(self.total_ms))
        await self._stopped(int(self.total_ms) + ms, text)
        return self._item_id

    def response_started(self) -> None:
        """Stop the idle clock."""
        self._idle_from_ms = None

    def response_ended(self, audio_ms: float) -> None:
        """Start the idle clock; it runs from response.done plus the time that playing takes."""
        self._idle_from_ms = self.total_ms + audio_ms

    async def _started(self, at_ms: int) -> None:
        self._item_id = self._stage.new_id("item")
        self._idle_from_ms, self._speech_from_ms = None, at_ms
        await self._stage.wire.emit(
            "input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._item_id
        )
        if self._turn_detection["interrupt_response"]:
            await self._listener.interrupt()

    async def _stopped(self, at_ms: int, text: str | None = None) -> None:
        await self._stage.wire.emit(
            "input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=self._item_id
        )
        said = self._listener.heard()
        await self._commit(
            self._item_id, at_ms - self._speech_from_ms, said if text is None else text
        )
        if self._turn_detection["create_response"]:
            self._listener.answer()

    async def _check_idle(self) -> None:
        """Commit silence that lasted too long, and have it answered.

        Source: openai SDK types/realtime/input_audio_buffer_timeout_triggered.py.
        """
        limit = self._turn_detection.get("idle_timeout_ms")
        since = self._idle_from_ms
        if limit is None or since is None or self._vad.speaking or self.total_ms - since < limit:
            return
        self._idle_from_ms, item_id = None, self._stage.new_id("item")
        await self._stage.wire.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=int(since),
            audio_end_ms=int(self.total_ms),
            item_id=item_id,
        )
        await self._commit(item_id, self.total_ms - since, "")
        self._listener.answer()

    async def _commit(self, item_id: str, ms: float, text: str) -> None:
        item = self._stage.conversation.append(_user_audio(item_id))
        item.audio_ms, item.heard, self._buffer_ms = ms, text, 0.0
        wire = self._stage.wire
        await wire.emit(
            "input_audio_buffer.committed", item_id=item_id, previous_item_id=item.previous_id
        )
        await self._announce(item)
        if self._stage.config.transcribes:
            self._listener.later(self._transcriber.committed(item))

    async def _announce(self, item: Item) -> None:
        for kind in ("conversation.item.added", "conversation.item.done"):
            await self._stage.wire.emit(kind, item=item.view, previous_item_id=item.previous_id)

    @property
    def _turn_detection(self) -> dict[str, Any]:
        return self._stage.config.turn_detection or {
            "interrupt_response": False,
            "create_response": False,
        }


def _user_audio(item_id: str) -> dict[str, Any]:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_audio", "transcript": None}],
    }


def _decode(encoded: str) -> bytes:
    try:
        piece = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise invalid_value("audio", "not base64") from None
    if not 0 < len(piece) <= _MAX_APPEND:
        raise invalid_value("audio", f"between 1 byte and 15 MiB are allowed, not {len(piece)}")
    return piece
