"""Tells what the caller said: at once, late, swapped, failed or never. Keeps no audio."""

from collections.abc import Callable
from typing import Any

from tools.emulators.openai.conversation import Item
from tools.emulators.openai.faults import Faults
from tools.emulators.openai.usage import transcription_usage
from tools.emulators.openai.wire import Wire

_DELAY_MS = 120
_EVENT = "conversation.item.input_audio_transcription"


class Transcriber:
    """One session's speech recognition. `committed` may run beside the response that answers."""

    def __init__(self, wire: Wire, faults: Callable[[], Faults]) -> None:
        self._wire = wire
        self._faults = faults
        self._held: list[Item] = []

    async def committed(self, item: Item) -> None:
        """Transcribe a committed user item."""
        faults = self._faults()
        if faults.no_transcription:
            return
        if faults.transcription_late:
            self._held.append(item)
        elif faults.transcription_out_of_order and not self._held:
            self._held.append(item)
        else:
            await self._wire.pause(_DELAY_MS)
            await self._tell(item)
            await self.flush()

    async def response_done(self, *, last: bool) -> None:
        """Tell what was held back until now; `last`: no later caller will free the swapped one."""
        if last or not self._faults().transcription_out_of_order:
            await self.flush()

    async def flush(self) -> None:
        held, self._held = self._held, []
        for item in held:
            await self._tell(item)

    async def _tell(self, item: Item) -> None:
        at: dict[str, Any] = {"item_id": item.id, "content_index": 0}
        if self._faults().transcription_failed:
            error = {
                "type": "transcription_error",
                "code": "audio_unintelligible",
                "message": "The audio could not be transcribed.",
                "param": None,
            }
            await self._wire.emit(f"{_EVENT}.failed", **at, error=error)
            return
        item.view["content"][0]["transcript"] = item.heard
        if item.heard:
            await self._wire.emit(f"{_EVENT}.delta", **at, delta=item.heard)
        usage = transcription_usage(item.heard, item.audio_ms)
        await self._wire.emit(f"{_EVENT}.completed", **at, transcript=item.heard, usage=usage)
