"""Times in words and texts without commands, with literals."""

from datetime import UTC, datetime, timedelta

import pytest

from ivr.cli.period import since
from ivr.cli.terminal import clock, one_line, phone, plain, span

NOW = datetime(2026, 11, 20, 21, 41, 7, tzinfo=UTC)
NEW_YORK = clock("America/New_York", now=NOW)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (47 * 3600, "47 h"),
        (48 * 3600, "2 d"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_times_are_the_business_own() -> None:
    assert NEW_YORK.both(NOW) == "Nov 20 16:41 EST (0 s ago)"
    assert NEW_YORK.relative(NOW + timedelta(hours=2)) == "in 2 h"
    assert NEW_YORK.local(NOW.replace(year=2025)) == "Nov 20 2025 16:41"


def test_an_unknown_zone_is_utc() -> None:
    assert clock("Mars/Olympus", now=NOW).zoned(NOW) == "Nov 20 21:41 UTC"


def test_control_characters_are_shown_not_obeyed() -> None:
    assert plain("a\x1b[31mb\u202ec\nd") == "a�[31mb�c\nd"
    assert one_line("a\n  b\r\n") == "a b�"


def test_a_number_is_shown_as_people_write_it() -> None:
    assert phone("+17705550123") == "+1 770-555-0123"
    assert phone("anonymous") == "anonymous"
    assert phone(None) == ""


def test_a_period_counts_back_from_now() -> None:
    assert since("24h", now=NOW) == since(" 1D ", now=NOW) == NOW - timedelta(days=1)
