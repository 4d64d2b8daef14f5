"""From the hang-up to the end of a call: the caller's last words may still be being written out."""

from .commands import Command, Ended, HangUp
from .playback import Playback
from .script import Limits
from .timers import Timer, Timers
from .transcript import Transcript


class LastWords:
    """`is_over`: nothing that happens is of interest any more."""

    def __init__(
        self, limits: Limits, timers: Timers, transcript: Transcript, playback: Playback
    ) -> None:
        self.is_over = False
        self._limits = limits
        self._timers = timers
        self._transcript = transcript
        self._playback = playback
        self._verdict: Ended | None = None

    def begin(self, verdict: Ended, now: float) -> list[Command]:
        """Hang up; who needs another voice does not wait for what is being written out."""
        self._verdict = verdict
        self._playback.cut(now)  # what was not heard by now never will be
        self._transcript.finish("assistant")
        self._timers.clear_all()
        self._timers.set(Timer.LAST_WORDS, now + self._limits.last_words_s)
        return [HangUp(), *(self.complete(now) if verdict.fallback else ())]

    def settle(self, now: float) -> list[Command]:
        """Return the verdict as soon as there is nothing to wait for."""
        return [] if self._transcript.awaits_caller else self.complete(now)

    def complete(self, now: float) -> list[Command]:
        """Wait no longer: return what is known, and the verdict; once."""
        if self.is_over or self._verdict is None:
            return []
        self.is_over = True
        self._timers.clear_all()
        self._transcript.finish("user", "assistant")
        return [*self._transcript.leave(self._playback, now), self._verdict]
