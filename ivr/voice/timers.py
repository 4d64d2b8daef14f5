"""Named moments at which something is due. Has no clock: time is an argument."""

import math
from enum import StrEnum


class Timer(StrEnum):
    READY = "ready"  # the model must have taken our session
    ROTATION = "rotation"  # the model session nears the end that the service sets it
    ANSWER = "answer"  # the model owes sound
    MONOLOGUE = "monologue"  # nobody speaks this long: the end of the speech was lost
    SILENCE = "silence"  # nobody has said anything since playback ended
    KEYS = "keys"  # the caller has stopped keying in
    LENGTH = "length"  # the call has lasted long enough
    GOODBYE = "goodbye"  # the goodbye's mark should be back
    FINAL = "final"  # even a goodbye that goes wrong ends
    TRANSCRIPTION = "transcription"  # what the caller said should be written out
    LAST_WORDS = "last_words"  # after the hang-up: what was just said is still being transcribed


class Timers:
    """At most one moment per name; seconds of any steady clock."""

    def __init__(self) -> None:
        self._due: dict[Timer, float] = {}

    @property
    def wake_at(self) -> float:
        """The first moment due; infinity when there is none."""
        return min(self._due.values(), default=math.inf)

    def set(self, timer: Timer, at: float) -> None:
        self._due[timer] = at

    def keep(self, timer: Timer, at: float, *, wanted: bool) -> None:
        """Let the timer run while it is wanted; one that runs already keeps its moment."""
        if wanted:
            self._due.setdefault(timer, at)
        else:
            self.clear(timer)

    def clear(self, timer: Timer) -> None:
        self._due.pop(timer, None)

    def clear_all(self) -> None:
        self._due.clear()

    def take(self, now: float) -> Timer | None:
        """Remove and return the oldest that is due: what it leads to may stop the others."""
        if self.wake_at > now:
            return None
        timer = min(self._due, key=self._due.__getitem__)
        del self._due[timer]
        return timer
