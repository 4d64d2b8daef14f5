"""Decides whether a new call gets a voice: how many there are, how fast they come, how we feel.

No clock, no I/O: time and measurements are arguments. Who is refused becomes a lead all the same;
that is for the reception.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

BURST_SECONDS = 2.0  # calls come in bunches: so many seconds' worth of them may come at once
SLOW_SAMPLES = 2  # a single long pause is a garbage collection, not an overload
CALM_SAMPLES = 4  # and one good moment is no recovery
CALM_PART = 0.5  # of the limit


class Refusal(StrEnum):
    """Why a caller gets no voice."""

    CAP = "cap"
    RATE = "rate"
    LAG = "lag"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process takes upon itself; no `memory_bytes`: whatever there is."""

    calls: int
    new_calls_per_second: float
    loop_lag_seconds: float
    memory_bytes: int | None = None


class Admission:
    """The door-keeper of one process; moments are seconds of any clock that only goes forward."""

    def __init__(self, limits: Limits, now: float) -> None:
        self.admitted = 0
        self.refused: Counter[Refusal] = Counter()
        self._limits = limits
        self._burst = max(1.0, limits.new_calls_per_second * BURST_SECONDS)
        self._tokens = self._burst
        self._filled_at = now
        self._is_slow = False
        self._samples_against = 0  # how often in a row the lag spoke against the present verdict
        self._is_full = False

    def ask(self, now: float, *, taken: int) -> Refusal | None:
        """Let a call in and return None, or return why not; `taken`: calls that have a place."""
        refusal = self.judge(now, taken=taken)
        if refusal is None:
            self._tokens -= 1
            self.admitted += 1
        else:
            self.refused[refusal] += 1
        return refusal

    def judge(self, now: float, *, taken: int) -> Refusal | None:
        """Return what the next call would be told; counts nothing."""
        self._fill(now)
        if taken >= self._limits.calls:
            return Refusal.CAP
        if self._is_full:
            return Refusal.MEMORY
        if self._is_slow:
            return Refusal.LAG
        return Refusal.RATE if self._tokens < 1 else None

    def note_lag(self, seconds: float) -> None:
        """Take how late the event loop was; a verdict changes after several samples in a row."""
        limit = self._limits.loop_lag_seconds
        is_against = seconds < limit * CALM_PART if self._is_slow else seconds > limit
        self._samples_against = self._samples_against + 1 if is_against else 0
        if self._samples_against >= (CALM_SAMPLES if self._is_slow else SLOW_SAMPLES):
            self._is_slow = not self._is_slow
            self._samples_against = 0

    def note_memory(self, used_bytes: int) -> None:
        """Take how much memory the process holds."""
        limit = self._limits.memory_bytes
        self._is_full = limit is not None and used_bytes > limit

    def _fill(self, now: float) -> None:
        earned = (now - self._filled_at) * self._limits.new_calls_per_second
        self._tokens = min(self._burst, self._tokens + earned)
        self._filled_at = now
