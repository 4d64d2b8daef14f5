"""How long a lead waits until its target, which did not take it, is asked again. Pure."""

from datetime import timedelta

DELAYS = tuple(
    timedelta(seconds=seconds) for seconds in (30, 2 * 60, 10 * 60, 3600, 6 * 3600, 24 * 3600)
)
LONGEST_DELAY = timedelta(hours=24)
JITTER = 0.2  # of the delay, up or down: leads that failed together do not come back together


def after(attempts: int, retry_after: float | None, *, chance: float) -> timedelta | None:
    """Return the wait after so many attempts: jittered, or as the target asked if longer.

    None: it was tried often enough. `chance` is from 0 to 1, `retry_after` seconds.
    """
    if attempts > len(DELAYS):
        return None
    planned = DELAYS[attempts - 1] * (1 - JITTER + 2 * JITTER * chance)
    asked = min(timedelta(seconds=retry_after or 0), LONGEST_DELAY)
    return max(planned, asked)
