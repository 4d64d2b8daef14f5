"""Voice activity detection by energy; its only clock is the audio that was appended. No I/O.

It is far simpler than the service's: a 20 ms window is speech when it is loud enough, two such
windows start speech, and `silence_duration_ms` without one ends it. Good enough to tell a talking
caller from a quiet line.
"""

from dataclasses import dataclass
from typing import Any

from tools.emulators.openai import audio

_START_WINDOWS = 2
_LOUDNESS_AT_FULL_THRESHOLD = (
    6.0  # at the default threshold 0.5: a mean magnitude of 3/255, about -38 dBFS
)
_EAGERNESS_MS = {"high": 300, "medium": 500, "auto": 500, "low": 800}


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """`at_ms` is counted from the session's first appended audio, prefix padding included."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """`at_ms` is the end of the silence that ended the speech."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class VadSettings:
    """What `session.audio.input.turn_detection` asks for."""

    loudness: float
    prefix_ms: int
    silence_ms: int


def settings(turn_detection: dict[str, Any]) -> VadSettings:
    """Return what the API's `server_vad` or `semantic_vad` object means here."""
    if turn_detection["type"] == "semantic_vad":
        silence = _EAGERNESS_MS[turn_detection.get("eagerness") or "auto"]
        return VadSettings(_LOUDNESS_AT_FULL_THRESHOLD / 2, 300, silence)
    return VadSettings(
        loudness=_LOUDNESS_AT_FULL_THRESHOLD * turn_detection.get("threshold", 0.5),
        prefix_ms=turn_detection.get("prefix_padding_ms", 300),
        silence_ms=turn_detection.get("silence_duration_ms", 500),
    )


class Vad:
    """Listens to audio in pieces of any size; without `settings` it detects nothing and counts."""

    def __init__(self) -> None:
        self.format = audio.FORMATS["audio/pcm"]
        self.settings: VadSettings | None = None
        self.total_ms = 0.0
        self.speaking = False
        self._rest = b""
        self._loud = 0
        self._quiet_ms = 0
        self._at_ms = 0

    def listen(self, piece: bytes) -> list[SpeechStarted | SpeechStopped]:
        """Return what `piece` makes known."""
        self.total_ms += len(piece) / self.format.bytes_per_ms
        data, size = self._rest + piece, self.format.block_bytes
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        found = (self._window(data[at : at + size]) for at in range(0, whole, size))
        return [event for event in found if event is not None]

    def use(self, fmt: audio.Format) -> None:
        """Read what comes from now on as `fmt`."""
        if fmt != self.format:
            self.format, self._rest = fmt, b""

    def reset(self) -> None:
        """Forget a speech in progress, as after a manual commit or a clear."""
        self.speaking, self._loud, self._quiet_ms = False, 0, 0

    def _window(self, window: bytes) -> SpeechStarted | SpeechStopped | None:
        self._at_ms += audio.MS_PER_BLOCK
        if self.settings is None:
            return None
        loud = audio.loudness(window, self.format) >= self.settings.loudness
        return (
            self._during(self.settings, loud)
            if self.speaking
            else self._before(self.settings, loud)
        )

    def _before(self, wanted: VadSettings, loud: bool) -> SpeechStarted | None:
        self._loud = self._loud + 1 if loud else 0
        if self._loud < _START_WINDOWS:
            return None
        self.speaking, self._quiet_ms = True, 0
        began = self._at_ms - self._loud * audio.MS_PER_BLOCK
        self._loud = 0
        return SpeechStarted(max(0, began - wanted.prefix_ms))

    def _during(self, wanted: VadSettings, loud: bool) -> SpeechStopped | None:
        self._quiet_ms = 0 if loud else self._quiet_ms + audio.MS_PER_BLOCK
        if self._quiet_ms < wanted.silence_ms:
            return None
        self.reset()
        return SpeechStopped(self._at_ms)
