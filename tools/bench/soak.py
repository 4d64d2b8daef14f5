"""Calls that come and go for long: memory must be flat, and nothing may stay open."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from .figures import Figures
from .loop import clock
from .run import ramp, started, warm_up
from .served import Served
from .world import World

SAMPLE_S = 30.0
WARM_PART = 0.2  # of the run, in which caches may still fill
MOST_KIB_PER_MINUTE = 256.0
MOST_FDS = 5  # more than this between the first and the last quarter is a leak
SOCKETS_PER_CALL = 2
LENGTH_S = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment; `spare_fds` are those that belong to no call."""

    minutes: float
    rss_kib: float
    spare_fds: int
    threads: int
    live: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the samples say, the warm-up left out."""

    kib_per_minute: float
    fds_grown: float
    threads_grown: float

    @property
    def is_good(self) -> bool:
        is_flat = self.kib_per_minute <= MOST_KIB_PER_MINUTE
        return is_flat and self.fds_grown <= MOST_FDS and self.threads_grown <= MOST_FDS


def soak(minutes: float, calls: int, *, seed: int, console: Console) -> tuple[Verdict, Figures]:
    """Keep so many calls going for so long."""
    world = World(seed=seed, length_s=LENGTH_S)
    samples: list[Sample] = []
    with started(world) as server:
        warm_up(world)
        ramp(world, calls)
        began = world.figures.opened_at = clock()
        while clock() - began < minutes * 60:
            world.loop.run_until(clock() + SAMPLE_S)
            samples.append(_sample(world, server, clock() - began))
            console.print(_line(samples[-1]))
            forget_latencies(world)
        world.stop_filling()
        world.loop.run_until(clock() + SAMPLE_S, lambda: world.figures.undelivered == 0)
    return judge(samples), world.figures


def judge(samples: Sequence[Sample]) -> Verdict:
    """Return the slope of memory, and how much more is open in the end than in the beginning."""
    kept = samples[int(len(samples) * WARM_PART) :]
    quarter = max(1, len(kept) // 4)
    first, last = kept[:quarter], kept[-quarter:]
    return Verdict(
        kib_per_minute=slope([(sample.minutes, sample.rss_kib) for sample in kept]),
        fds_grown=_mean([s.spare_fds for s in last]) - _mean([s.spare_fds for s in first]),
        threads_grown=_mean([s.threads for s in last]) - _mean([s.threads for s in first]),
    )


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the straight line that fits best; 0 for fewer than two points."""
    if len(points) < 2:
        return 0.0
    mean_x, mean_y = _mean([x for x, _ in points]), _mean([y for _, y in points])
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def forget_latencies(world: World) -> None:
    """Half an hour of them is not needed."""
    figures = world.figures
    for sheet in (figures.up, figures.down, figures.clear, figures.webhook, figures.first_audio):
        del sheet[:]


def _sample(world: World, server: Served, seconds: float) -> Sample:
    live = world.seconds.live
    return Sample(
        minutes=seconds / 60,
        rss_kib=server.rss_kib,
        spare_fds=server.fds - live * SOCKETS_PER_CALL,
        threads=server.threads,
        live=live,
    )


def _line(sample: Sample) -> str:
    return (
        f"{sample.minutes:5.1f} min: {sample.rss_kib / 1024:.1f} MiB, {sample.live} calls, "
        f"{sample.spare_fds} other files and sockets, {sample.threads} threads"
    )


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0
