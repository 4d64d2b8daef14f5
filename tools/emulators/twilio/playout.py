"""The buffer between the server and the caller's ear: audio, marks, clear. No I/O, no clock inside.

8 bytes of 8 kHz mu-law are one millisecond. A mark is echoed when playback reaches it, at once when
nothing is queued; `clear` drops the audio and echoes every outstanding mark, in order
(Twilio: media-streams websocket-messages).
"""

from collections import deque

BYTES_PER_MS = 8
LIMIT_MS = 10 * 60 * 1000  # Twilio: error 31931, "about 10 minutes"


class Playout:
    """What the caller hears and when, told in milliseconds of stream time."""

    def __init__(self, heard: bytearray) -> None:
        self.heard = heard
        self.empty_since = 0.0
        self._pending = bytearray()
        self._played = 0
        self._at = 0.0  # up to here playback is accounted for
        self._marks: deque[tuple[int, str]] = deque()  # (byte position, name)

    @property
    def buffered_ms(self) -> float:
        """Audio that waits to be played."""
        return len(self._pending) / BYTES_PER_MS

    def add(self, ulaw: bytes, now: float) -> bool:
        """Queue audio; False means the buffer would overflow and the audio was dropped."""
        if self.buffered_ms + len(ulaw) / BYTES_PER_MS > LIMIT_MS:
            return False
        if not self._pending:
            self._at = now
        self._pending += ulaw
        return True

    def mark(self, name: str) -> None:
        """Remember a mark behind what is queued now; `advance` tells when it is reached."""
        self._marks.append((self._played + len(self._pending), name))

    def clear(self, now: float) -> list[str]:
        """Drop what has not been played by `now`; return all outstanding marks, in order."""
        reached = self.advance(now)
        if self._pending:
            self._pending.clear()
            self.empty_since = now
        reached += [name for _, name in self._marks]
        self._marks.clear()
        return reached

    def advance(self, now: float) -> list[str]:
        """Play up to `now` and return the names of the marks reached, in order."""
        if self._pending:
            self._play(int((now - self._at) * BYTES_PER_MS), now)
        else:
            self._at = now
        reached = []
        while self._marks and self._marks[0][0] <= self._played:
            reached.append(self._marks.popleft()[1])
        return reached

    def _play(self, count: int, now: float) -> None:
        if count <= 0:
            return
        played = self._pending[:count]
        del self._pending[:count]
        self.heard += played
        self._played += len(played)
        self._at += len(played) / BYTES_PER_MS
        if not self._pending:
            self.empty_since = self._at
            self._at = now
