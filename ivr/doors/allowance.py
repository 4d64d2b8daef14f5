"""How many requests somebody may make: one number per name, in the memory of this process.

A minute's worth may come at once, then they come evenly (GCRA). Each process counts for itself, so
behind a balancer with two of them a limit is up to twice as high: it keeps a machine alive, it is
no quota, and wants no Redis.
"""

import math
from dataclasses import dataclass

MINUTE = 60.0
_ROUNDING = 1e-6  # what was added up in thousands of small steps must not lack the last one
MOST_NAMES = 50_000  # about 10 MB; who fills it only makes us forget who had used something up


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of an allowance of `quota` a minute, and when all of it is there again."""

    policy: str
    quota: int
    remaining: int
    reset_seconds: float
    wait_seconds: float  # 0: it was granted

    @property
    def headers(self) -> dict[str, str]:
        """As in draft-ietf-httpapi-ratelimit-headers."""
        reset = math.ceil(self.reset_seconds - _ROUNDING)
        return {
            "RateLimit-Policy": f'"{self.policy}";q={self.quota};w={MINUTE:.0f}',
            "RateLimit": f'"{self.policy}";r={self.remaining};t={reset}',
        }


class Allowance:
    """So many a minute for each name; `now` is of a clock that never goes back."""

    def __init__(self, policy: str, per_minute: int) -> None:
        self._policy = policy
        self._quota = per_minute
        self._interval = MINUTE / per_minute if per_minute else 0.0
        self._full_at: dict[str, float] = {}  # when nothing of it is used any more

    def take(self, name: str, *, now: float) -> Left:
        """Take one, if there is one."""
        left = self.look(name, now=now)
        if left.wait_seconds or not self._quota:
            return left
        self._make_room(now)
        full_at = max(self._full_at.get(name, now), now) + self._interval
        self._full_at[name] = full_at
        return Left(self._policy, self._quota, self._remaining(full_at - now), full_at - now, 0.0)

    def look(self, name: str, *, now: float) -> Left:
        """Return what is left and take nothing."""
        used = max(self._full_at.get(name, now) - now, 0.0)
        wait = used + self._interval - MINUTE if self._quota else 0.0
        wait = wait if wait > _ROUNDING else 0.0
        return Left(self._policy, self._quota, self._remaining(used), used, wait)

    def _remaining(self, used: float) -> int:
        return int((MINUTE - used) / self._interval + _ROUNDING) if self._interval else 0

    def _make_room(self, now: float) -> None:
        if len(self._full_at) < MOST_NAMES:
            return
        self._full_at = {name: when for name, when in self._full_at.items() if when > now}
        while len(self._full_at) >= MOST_NAMES:
            for name in list(self._full_at)[: MOST_NAMES // 2]:
                del self._full_at[name]
