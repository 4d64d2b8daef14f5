"""Tells when the caller speaks: WebRTC's detector with patience. No clock but the audio's."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from ivr.errors import Unavailable
from ivr.offline.sound import BYTES_PER_MS, RATE, decode

FRAME_MS = 20
_FRAME = FRAME_MS * BYTES_PER_MS
_STRICTNESS = 2  # 0 to 3; 3 loses the quiet ends of words
_LOOK_BACK = 10  # frames in which ...
_ENOUGH = 8  # ... so many must be speech: 160 ms, so that a click is no word


@dataclass(frozen=True, slots=True)
class Started:
    """Speech began at `ms` since the first audio."""

    ms: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Speech ended: the given silence has passed at `ms`."""

    ms: int


def _detector() -> Any:
    try:
        import webrtcvad
    except ImportError as exc:
        raise Unavailable("the offline voice needs webrtcvad: pip install 'ivr[demo]'") from exc
    return webrtcvad.Vad(_STRICTNESS)


class Vad:
    """Feed it mu-law audio of any length; `silence_ms` may change between two feeds."""

    def __init__(self, *, silence_ms: int = 500) -> None:
        self.silence_ms = silence_ms
        self.is_speech = False
        self._detector = _detector()
        self._rest = b""
        self._ms = 0
        self._voiced: deque[bool] = deque(maxlen=_LOOK_BACK)
        self._quiet_ms = 0

    def feed(self, ulaw: bytes) -> list[Started | Stopped]:
        """Return what changed within `ulaw`."""
        data = self._rest + ulaw
        whole = len(data) - len(data) % _FRAME
        self._rest = data[whole:]
        changes = (self._frame(data[at : at + _FRAME]) for at in range(0, whole, _FRAME))
        return [change for change in changes if change is not None]

    def reset(self) -> None:
        """Forget that somebody speaks: the audio was committed or cleared by hand."""
        self.is_speech = False
        self._voiced.clear()

    def _frame(self, frame: bytes) -> Started | Stopped | None:
        voiced = self._detector.is_speech(decode(frame).tobytes(), RATE)
        self._ms += FRAME_MS
        return self._in_speech(voiced) if self.is_speech else self._in_silence(voiced)

    def _in_silence(self, voiced: bool) -> Started | None:
        self._voiced.append(voiced)
        if sum(self._voiced) < _ENOUGH:
            return None
        self.is_speech, self._quiet_ms = True, 0
        begun = self._ms - len(self._voiced) * FRAME_MS
        self._voiced.clear()
        return Started(begun)

    def _in_speech(self, voiced: bool) -> Stopped | None:
        self._quiet_ms = 0 if voiced else self._quiet_ms + FRAME_MS
        if self._quiet_ms < self.silence_ms:
            return None
        self.is_speech = False
        return Stopped(self._ms)
