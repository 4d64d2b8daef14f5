"""The largest number of calls that one core carries without a caller noticing."""

from collections.abc import Callable

from .run import Plan, Result

MOST_MS = 20.0
FIRST, STEP, FINE = 100, 100, 50
MOST_CALLS = 800

Measure = Callable[[Plan], Result]


def is_carried(result: Result) -> bool:
    """Whether every call was served as promised."""
    is_quick = result.up.p99 < MOST_MS and result.down.p99 < MOST_MS and result.up.count > 0
    losses = result.lost + result.disordered + result.refused + result.broken + result.not_cleared
    return is_quick and losses == 0 and not result.is_void


def search(measure: Measure, plan: Callable[[int], Plan]) -> tuple[int, list[Result]]:
    """Return the largest number carried, and all that was measured on the way."""
    results: list[Result] = []

    def carries(calls: int) -> bool:
        results.append(measure(plan(calls)))
        return is_carried(results[-1])

    best = 0
    while best < MOST_CALLS and carries(best + STEP if best else FIRST):
        best += STEP if best else FIRST
    if best < MOST_CALLS and carries(best + FINE):
        best += FINE
    return best, results
