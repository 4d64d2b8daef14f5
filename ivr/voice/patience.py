"""Who owes the next word, how long it is waited for, and how often it is asked for."""

from .floor import Floor
from .script import Limits
from .timers import Timer, Timers

MODEL_TRIES = 2


class Patience:
    """With the caller, who says nothing, and with the model, which does not answer."""

    def __init__(self, limits: Limits, timers: Timers) -> None:
        self._limits = limits
        self._timers = timers
        self._nudges = 0
        self._failures = 0

    def watch(self, floor: Floor, now: float, *, is_listening: bool, is_busy: bool) -> None:
        """Start the timer of whoever has to say something now; `is_busy`: we have to act first."""
        is_silent = not (floor.playback.is_playing or floor.is_caller_speaking or is_busy)
        caller_owes = is_silent and is_listening and floor.slot.is_free
        model_owes = is_silent and not floor.slot.is_free
        self._timers.keep(Timer.SILENCE, now + self._limits.silence_s, wanted=caller_owes)
        self._timers.keep(Timer.ANSWER, now + self._limits.answer_s, wanted=model_owes)

    def caller_is_there(self) -> None:
        self._nudges = 0

    def may_nudge(self) -> bool:
        """Whether to ask the silent caller once more; counts."""
        self._nudges += 1
        return self._nudges <= self._limits.nudges

    def model_is_there(self) -> None:
        self._failures = 0

    def may_retry(self) -> bool:
        """Whether to ask a model that failed once more; counts."""
        self._failures += 1
        return self._failures < MODEL_TRIES
