"""The caller's latest audio, for a model session that has to hear it once more. Bounded.

A session that is lost takes along what it was hearing. Until the caller's words are on record the
sound of them is kept, otherwise only as much as the service needs to find where a speech begins.
That is 7 KiB per call, and at most 270.
"""

from collections import deque

LATEST_FRAMES = 25  # 500 ms


class Hearing:
    """Frames of 20 ms as they came, the newest last; at most `most` of them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._frames: deque[str] = deque(maxlen=most)

    def keep(self, audio: str) -> None:
        self._frames.append(audio)

    def keep_all(self) -> None:
        """From now on keep all that comes."""
        self._resize(self._most)

    def keep_latest(self) -> None:
        """Forget all but the latest, now and from now on."""
        self._resize(min(self._most, LATEST_FRAMES))

    def take(self) -> list[str]:
        """Return what is kept, and keep it no longer."""
        frames = list(self._frames)
        self._frames.clear()
        return frames

    def _resize(self, most: int) -> None:
        if self._frames.maxlen != most:
            self._frames = deque(self._frames, maxlen=most)
