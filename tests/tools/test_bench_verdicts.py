"""What the benchmark concludes from its figures."""

from array import array
from collections.abc import Callable
from dataclasses import replace

from tools.bench.capacity import is_carried, search
from tools.bench.figures import CallSeconds, Figures, Spread
from tools.bench.run import Plan, Result
from tools.bench.soak import Sample, judge, slope

NONE = Spread(0, 0.0, 0.0, 0.0, 0.0)
QUICK = Spread(1000, 0.2, 0.5, 1.0, 9.0)
GOOD = Result(
    name="ours",
    calls=100,
    up=QUICK,
    down=QUICK,
    clear=QUICK,
    webhook=QUICK,
    first_audio=QUICK,
    health=QUICK,
    lateness=NONE,
    cpu_ms=1.0,
    core_share=0.1,
    generator_share=0.1,
    others_share=0.0,
    kib=100.0,
    base_mib=100.0,
    sent=1000,
    lost=0,
    disordered=0,
    not_cleared=0,
    broken=0,
    refused=0,
    ended=5,
    undelivered=0,
    doubled=0,
    saved=10,
    problems={},
)


def carrying(most: int) -> Callable[[Plan], Result]:
    """A server that loses a frame when there are more calls than this."""
    return lambda plan: replace(GOOD, calls=plan.calls, lost=int(plan.calls > most))


def test_a_spread_is_in_milliseconds() -> None:
    spread = Spread.of(array("d", [number / 1000 for number in range(101)]))
    assert (spread.p50, spread.p95, spread.p99, spread.max) == (50, 95, 99, 100)


def test_a_run_is_void_when_the_generator_was_late() -> None:
    late = replace(GOOD, lateness=Spread(10, 0.1, 4.0, 5.1, 6.0))
    assert late.is_void
    assert not is_carried(late)


def test_calls_are_carried_when_they_are_quick_and_whole() -> None:
    assert is_carried(GOOD)
    assert not is_carried(replace(GOOD, down=Spread(10, 1.0, 5.0, 20.0, 30.0)))
    assert not is_carried(replace(GOOD, disordered=1))
    assert not is_carried(replace(GOOD, refused=1))
    assert not is_carried(replace(GOOD, up=NONE))


def test_the_search_finds_the_most_calls_in_steps_of_fifty() -> None:
    assert search(carrying(260), Plan)[0] == 250
    assert search(carrying(240), Plan)[0] == 200
    assert search(carrying(10), Plan)[0] == 0


def test_call_seconds_add_up_over_calls_that_come_and_go() -> None:
    now = 0.0
    seconds = CallSeconds(lambda: now)
    seconds.begin()
    now = 10.0
    seconds.begin()
    now = 15.0
    seconds.end()
    now = 17.0
    assert (seconds.spent, seconds.live) == (22.0, 1)


def test_leads_are_missing_until_the_buyer_has_them() -> None:
    figures = Figures(ended=["+1", "+2"], delivered={"+1": 2})
    assert (figures.undelivered, figures.doubled) == (1, 1)


def test_a_soak_is_flat_when_nothing_grows_after_the_warm_up() -> None:
    samples = [_sample(minute, rss_kib=300_000 if minute > 3 else 0) for minute in range(20)]
    assert judge(samples).is_good


def test_a_soak_fails_when_memory_or_files_grow() -> None:
    growing = [_sample(minute, rss_kib=300_000 + 300 * minute) for minute in range(20)]
    leaking = [_sample(minute, spare_fds=50 + minute) for minute in range(20)]

    assert round(judge(growing).kib_per_minute) == 300
    assert not judge(growing).is_good
    assert not judge(leaking).is_good


def test_the_slope_is_that_of_the_line_that_fits_best() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert slope([(0, 1)]) == 0


def _sample(minute: int, *, rss_kib: float = 300_000, spare_fds: int = 50) -> Sample:
    return Sample(minutes=minute, rss_kib=rss_kib, spare_fds=spare_fds, threads=20, live=50)
