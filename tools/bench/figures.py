"""What was measured, as it was measured; reading it is the report's work."""

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field


def _sheet() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class Figures:
    """Seconds and counts of one run. Latencies count from `opened_at` on, calls from the start."""

    opened_at: float = math.inf  # on the loop's clock: what left before is warm-up
    up: "array[float]" = field(default_factory=_sheet)  # phone -> model, a frame each
    down: "array[float]" = field(default_factory=_sheet)  # model -> phone, a delta each
    clear: "array[float]" = field(default_factory=_sheet)  # speech_started -> clear
    webhook: "array[float]" = field(default_factory=_sheet)
    refusal: "array[float]" = field(default_factory=_sheet)  # answered without a stream
    first_audio: "array[float]" = field(default_factory=_sheet)  # webhook sent -> greeting heard
    health: "array[float]" = field(default_factory=_sheet)
    sent: int = 0  # frames of the window, both ways
    lost: int = 0
    disordered: int = 0
    not_cleared: int = 0
    started: int = 0
    refused: int = 0
    broken: int = 0  # calls that ended otherwise than planned
    saved: int = 0  # save_field answered
    ended: list[str] = field(default_factory=list)  # the callers whose call is over
    delivered: dict[str, int] = field(default_factory=dict)  # caller -> leads at the buyer
    problems: dict[str, int] = field(default_factory=dict)

    def problem(self, words: str) -> None:
        """Count something that should not happen."""
        self.problems[words] = self.problems.get(words, 0) + 1

    @property
    def doubled(self) -> int:
        return sum(times - 1 for times in self.delivered.values())

    @property
    def undelivered(self) -> int:
        return sum(caller not in self.delivered for caller in self.ended)


class CallSeconds:
    """How many calls there are, and how much time they have spent."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._live = 0
        self._spent = 0.0
        self._since = clock()

    @property
    def live(self) -> int:
        return self._live

    @property
    def spent(self) -> float:
        """Return the sum over all calls up to now."""
        self._add(0)
        return self._spent

    def begin(self) -> None:
        """A stream is open."""
        self._add(1)

    def end(self) -> None:
        """A stream is closed."""
        self._add(-1)

    def _add(self, change: int) -> None:
        now = self._clock()
        self._spent += self._live * (now - self._since)
        self._since = now
        self._live += change


@dataclass(frozen=True, slots=True)
class Spread:
    """Milliseconds; all zero when nothing was measured."""

    count: int
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: "array[float]") -> "Spread":
        """Return the spread of what was measured."""
        if not seconds:
            return cls(0, 0.0, 0.0, 0.0, 0.0)
        ranked = sorted(seconds)
        last = len(ranked) - 1
        at = [ranked[round(last * share)] * 1000 for share in (0.5, 0.95, 0.99, 1.0)]
        return cls(len(ranked), *at)
