"""Who is let in, with literals: no clock, no loop."""

import pytest

from ivr.admission import Admission, Limits, Refusal

LIMITS = Limits(calls=10, new_calls_per_second=2, loop_lag_seconds=0.1, memory_bytes=1000)


def admission(now: float = 0.0) -> Admission:
    return Admission(LIMITS, now)


def let_in(door: Admission, *, taken: int = 0, at: float = 0.0) -> bool:
    return door.ask(at, taken=taken) is None


def test_calls_are_let_in_up_to_the_cap() -> None:
    door = admission()
    assert let_in(door, taken=9)
    assert door.ask(0.0, taken=10) is Refusal.CAP


def test_a_burst_of_two_seconds_worth_is_let_in_and_no_more() -> None:
    door = admission()
    answers = [door.ask(0.0, taken=0) for _ in range(6)]
    assert answers == [None] * 4 + [Refusal.RATE] * 2


def test_the_rate_is_earned_back_with_time() -> None:
    door = admission()
    while let_in(door):
        pass
    assert not let_in(door, at=0.4)
    assert let_in(door, at=0.5)
    assert not let_in(door, at=0.5)


def test_a_long_calm_earns_no_more_than_a_burst() -> None:
    door = admission()
    assert sum(let_in(door, at=3600.0) for _ in range(10)) == 4


def test_who_is_refused_for_want_of_a_place_costs_the_others_nothing() -> None:
    door = admission()
    for _ in range(20):
        door.ask(0.0, taken=10)
    assert [let_in(door) for _ in range(5)] == [True] * 4 + [False]


def test_one_long_pause_refuses_nobody() -> None:
    door = admission()
    for lag in (0.5, 0.0, 0.5, 0.0):
        door.note_lag(lag)
        assert door.judge(0.0, taken=0) is None


def test_a_loop_that_stays_late_refuses_until_it_has_been_calm_for_a_while() -> None:
    door = admission()
    for lag in (0.11, 0.11):
        door.note_lag(lag)
    assert door.ask(0.0, taken=0) is Refusal.LAG
    for lag in (0.0, 0.0, 0.0, 0.06, 0.0, 0.0, 0.0):  # better, and not yet good for long enough
        door.note_lag(lag)
        assert door.judge(0.0, taken=0) is Refusal.LAG
    door.note_lag(0.0)
    assert door.judge(0.0, taken=0) is None


def test_a_process_that_is_too_big_refuses_until_it_has_shrunk() -> None:
    door = admission()
    door.note_memory(1001)
    assert door.ask(0.0, taken=0) is Refusal.MEMORY
    door.note_memory(1000)
    assert let_in(door)


def test_without_a_limit_no_memory_is_too_much() -> None:
    door = Admission(Limits(10, 2, 0.1, memory_bytes=None), 0.0)
    door.note_memory(10**15)
    assert let_in(door)


@pytest.mark.parametrize(("taken", "told"), [(0, None), (10, Refusal.CAP)])
def test_looking_spends_and_counts_nothing(taken: int, told: Refusal | None) -> None:
    door = admission()
    for _ in range(100):
        assert door.judge(0.0, taken=taken) is told
    assert (door.admitted, door.refused) == (0, {})


def test_every_answer_is_counted() -> None:
    door = admission()
    for taken in (0, 0, 10):
        door.ask(0.0, taken=taken)
    assert (door.admitted, door.refused) == (2, {Refusal.CAP: 1})
