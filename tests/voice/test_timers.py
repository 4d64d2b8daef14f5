"""Timers fall due in their order, each once."""

import math

from ivr.voice.timers import Timer, Timers


def test_what_is_due_is_taken_once_the_oldest_first():
    timers = Timers()
    timers.set(Timer.SILENCE, 3.0)
    timers.set(Timer.LENGTH, 2.0)
    timers.set(Timer.KEYS, 9.0)

    assert timers.wake_at == 2.0
    assert [timers.take(3.0) for _ in range(3)] == [Timer.LENGTH, Timer.SILENCE, None]
    assert timers.wake_at == 9.0


def test_a_timer_that_is_kept_does_not_move():
    timers = Timers()
    timers.keep(Timer.SILENCE, 3.0, wanted=True)
    timers.keep(Timer.SILENCE, 5.0, wanted=True)
    assert timers.wake_at == 3.0

    timers.keep(Timer.SILENCE, 5.0, wanted=False)
    assert timers.wake_at == math.inf
