"""The benchmark carries calls through a real server process, and reads it rightly."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tools.bench.loop import Loop, clock
from tools.bench.phone import Phone
from tools.bench.run import started
from tools.bench.world import World

PATIENCE_S = 20.0


def test_a_call_is_heard_both_ways_and_becomes_a_lead() -> None:
    with _world() as world:
        phone = _talk(world, seconds=60)
        phone.hang_up()
        _until(world, lambda: phone.caller in world.figures.delivered)

    figures = world.figures
    assert (figures.lost, figures.disordered, figures.problems) == (0, 0, {})
    assert (figures.started, figures.refused, figures.doubled) == (1, 0, 0)
    assert len(figures.webhook) == len(figures.first_audio) == 1


def test_the_relay_carries_the_same_call() -> None:
    with _world(is_bare=True) as world:
        _talk(world, seconds=60)

    assert (world.figures.lost, world.figures.problems) == (0, {})


def test_a_refused_caller_is_counted_and_asked_otherwise() -> None:
    with _world(MAX_CONCURRENT_CALLS="1") as world:
        _talk(world, seconds=60)
        world.ring(60)
        _until(world, lambda: len(world.figures.ended) == 1)

    assert (world.figures.refused, len(world.refusals)) == (1, 1)
    assert len(world.figures.refusal) == 1


def test_after_a_run_every_core_is_ours_again() -> None:
    before = os.sched_getaffinity(0)
    with _world(is_bare=True):
        assert os.sched_getaffinity(0) < before or len(before) == 1
    assert os.sched_getaffinity(0) == before


def test_frames_leave_on_an_absolute_schedule_and_lateness_is_noted() -> None:
    loop = Loop()
    loop.lateness_from = 0.0
    sent: list[float] = []

    def beat() -> bool:
        sent.append(clock())
        return len(sent) < 5

    began = clock()
    loop.beat(beat)
    loop.run_until(clock() + PATIENCE_S, lambda: len(sent) == 5)
    loop.close()

    assert all(at >= began + 0.02 * number for number, at in enumerate(sent, 1))
    assert len(loop.lateness) == 5


@contextmanager
def _world(*, is_bare: bool = False, **settings: str) -> Iterator[World]:
    """A world around a server that runs; everything in it counts, and nobody calls by himself."""
    world = World(is_bare=is_bare, slow=False)
    world.figures.opened_at = 0.0
    world.stop_filling()
    with started(world, **settings):
        yield world


def _talk(world: World, *, seconds: float) -> Phone:
    """Ring, and let both sides hear something."""
    world.ring(seconds)
    figures = world.figures
    _until(world, lambda: len(figures.up) > 10 and len(figures.down) > 2)
    return world.phone(1)


def _until(world: World, done: Callable[[], bool]) -> None:
    world.loop.run_until(clock() + PATIENCE_S, done)
    if not done():
        pytest.fail(f"it did not happen: {world.figures.problems}")
