"""When a target is asked again."""

from datetime import timedelta

from ivr.leads.delivery.delays import DELAYS, LONGEST_DELAY, after


def test_delays_are_spread_around_the_plan() -> None:
    assert after(1, None, chance=0.0) == timedelta(seconds=24)
    assert after(1, None, chance=1.0) == timedelta(seconds=36)


def test_a_target_that_asks_for_longer_gets_it_up_to_a_day() -> None:
    assert after(1, 60.0, chance=0.5) == timedelta(seconds=60)
    assert after(1, 1e6, chance=0.5) == LONGEST_DELAY


def test_after_the_last_delay_it_is_a_person_s() -> None:
    assert after(len(DELAYS), None, chance=0.5) is not None
    assert after(len(DELAYS) + 1, None, chance=0.5) is None
