"""A minute's worth at once, then evenly; in memory that has an end."""

import pytest

from ivr.doors import allowance
from ivr.doors.allowance import Allowance


@pytest.mark.parametrize("quota", [1, 7, 30, 600, 6000])
def test_a_minutes_worth_may_come_at_once_and_not_one_more(quota: int) -> None:
    requests = Allowance("key", quota)
    granted = [requests.take("a", now=1000.0) for _ in range(quota)]
    assert not any(left.wait_seconds for left in granted)
    assert [left.remaining for left in granted] == list(reversed(range(quota)))
    refused = requests.take("a", now=1000.0)
    assert refused.wait_seconds == pytest.approx(60 / quota)
    assert refused.remaining == 0
    assert requests.take("b", now=1000.0).wait_seconds == 0, "everybody has their own"


def test_a_clock_that_passes_a_power_of_two_adds_no_second() -> None:
    """The sum is rounded there, and a third of a minute becomes a little more than 20 s."""
    left = Allowance("key", 3).take("a", now=2**13 - 5.123456789)
    assert left.reset_seconds > 20
    assert left.headers["RateLimit"] == '"key";r=2;t=20'


def test_who_waits_as_told_may_come_again() -> None:
    requests = Allowance("key", 6)
    for _ in range(6):
        requests.take("a", now=0.0)
    wait = requests.take("a", now=3.0).wait_seconds
    assert requests.take("a", now=3.0 + wait - 0.1).wait_seconds > 0
    assert requests.take("a", now=3.0 + wait).wait_seconds == 0
    assert requests.take("a", now=3.0 + wait).wait_seconds > 0


def test_who_never_stops_gets_the_quota_and_no_more() -> None:
    requests = Allowance("key", 60)
    granted = sum(requests.take("a", now=tenth / 10).wait_seconds == 0 for tenth in range(6000))
    assert granted in (60 + 599, 60 + 600)


def test_what_was_not_used_is_not_saved_up() -> None:
    requests = Allowance("key", 5)
    requests.take("a", now=0.0)
    assert sum(requests.take("a", now=9000.0).wait_seconds == 0 for _ in range(10)) == 5


def test_looking_takes_nothing() -> None:
    requests = Allowance("key", 1)
    assert requests.look("a", now=0.0).wait_seconds == 0
    requests.take("a", now=0.0)
    assert requests.look("a", now=0.0).wait_seconds == 60


def test_nought_is_no_limit() -> None:
    requests = Allowance("key", 0)
    assert not any(requests.take("a", now=0.0).wait_seconds for _ in range(10_000))


def test_the_headers_are_those_of_the_draft() -> None:
    left = Allowance("key", 600).take("a", now=0.0)
    assert left.headers == {"RateLimit-Policy": '"key";q=600;w=60', "RateLimit": '"key";r=599;t=1'}


def test_a_flood_of_names_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "MOST_NAMES", 100)
    requests = Allowance("key", 10)
    for number in range(10_000):
        requests.take(f"name {number}", now=0.0)
        assert len(requests._full_at) <= 100


def test_who_has_used_nothing_up_makes_room_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "MOST_NAMES", 3)
    requests = Allowance("key", 1)
    requests.take("long ago", now=0.0)
    requests.take("now", now=100.0)
    requests.take("now, too", now=100.0)
    requests.take("another", now=100.0)
    assert requests.look("now", now=100.0).wait_seconds == 60
