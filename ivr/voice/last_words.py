"""From the hang-up to the end of a call: what was said last is written out, what ran is counted."""

from . import realtime
from .commands import Command, Ended, HangUp
from .floor import Floor
from .script import Limits
from .timers import Timer, Timers
from .transcript import Transcript


class LastWords:
    """`is_over`: nothing that happens is of interest any more."""

    def __init__(
        self, limits: Limits, timers: Timers, transcript: Transcript, floor: Floor
    ) -> None:
        self.is_over = False
        self._limits = limits
        self._timers = timers
        self._transcript = transcript
        self._floor = floor
        self._verdict: Ended | None = None
        self._cancelled: str | None = None

    def begin(self, verdict: Ended, now: float) -> list[Command]:
        """Hang up; who needs another voice does not wait for what is being written out."""
        self._verdict = verdict
        self._floor.playback.cut(now)  # what was not heard by now never will be
        self._transcript.finish("assistant")
        self._timers.clear_all()
        self._timers.set(Timer.LAST_WORDS, now + self._limits.last_words_s)
        return [HangUp(), *(self.complete(now) if verdict.fallback else ())]

    def hear(self, event: realtime.Event, now: float) -> None:
        """Take what the caller said last; what the assistant says now, nobody hears."""
        match event:
            case realtime.AssistantText() | realtime.AssistantTextDelta():
                return
            case realtime.ResponseStarted(response=response):
                self._floor.slot.started(response.id)
            case realtime.ResponseEnded(response=response):
                self._floor.slot.ended(response.id)  # what was owed is moot
        self._transcript.receive(event, now)

    def settle(self, now: float) -> list[Command]:
        """Return the verdict as soon as there is nothing to wait for.

        A response that runs costs what it has cost by now: it is stopped, and its end tells.
        """
        running = self._floor.slot.response_id
        if running is None:
            return [] if self._transcript.awaits_caller else self.complete(now)
        if running == self._cancelled:
            return []
        self._cancelled = running
        return [self._floor.cancel(running)]

    def complete(self, now: float) -> list[Command]:
        """Wait no longer: return what is known, and the verdict; once."""
        if self.is_over or self._verdict is None:
            return []
        self.is_over = True
        self._timers.clear_all()
        self._transcript.finish("user", "assistant")
        return [*self._transcript.leave(self._floor.playback, now), self._verdict]
