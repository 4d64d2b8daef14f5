"""The months of budgets begin and end at midnight where the business is (S2.37)."""

from datetime import UTC, datetime, timedelta

import pytest

from ivr.costs.months import month_at, month_named
from ivr.errors import BadRequest


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]  # year, month, day, ...


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        # The clocks go back on 1 November 2026 at 02:00: after the month has begun.
        ("America/New_York", utc(2026, 11, 1, 4), utc(2026, 12, 1, 5)),
        ("Asia/Riyadh", utc(2026, 10, 31, 21), utc(2026, 11, 30, 21)),
        ("UTC", utc(2026, 11, 1), utc(2026, 12, 1)),
        ("Pacific/Kiritimati", utc(2026, 10, 31, 10), utc(2026, 11, 30, 10)),
        ("Asia/Kathmandu", utc(2026, 10, 31, 18, 15), utc(2026, 11, 30, 18, 15)),
    ],
    ids=str,
)
def test_a_month_is_of_its_time_zone(zone: str, start: datetime, end: datetime) -> None:
    month = month_named("2026-11", zone)
    assert (month.start, month.end) == (start, end)
    second = timedelta(seconds=1)
    assert month_at(start, zone) == month_at(end - second, zone) == month
    assert month_at(start - second, zone).name == "2026-10"
    assert month_at(end, zone).name == "2026-12"


def test_a_month_whose_first_midnight_the_clocks_skip_begins_when_they_do() -> None:
    # Asunción, until 2024: at midnight of 1 October 2023 it was one o'clock at once.
    september, october = (month_named(f"2023-{it}", "America/Asuncion") for it in ("09", "10"))
    assert september.end == october.start == utc(2023, 10, 1, 4)


def test_months_follow_one_another_without_a_gap_across_years_and_clock_changes() -> None:
    month = month_named("2026-01", "Europe/Berlin")
    for _ in range(24):
        following = month_at(month.end, month.zone)
        assert following.start == month.end
        month = following
    assert month.name == "2028-01"


def test_the_days_of_a_month_end_at_its_midnights() -> None:
    days = month_named("2026-11", "America/New_York").days()
    assert len(days) == 30
    first, second = days[0], days[1]
    assert (first[0].isoformat(), first[1]) == ("2026-11-01", utc(2026, 11, 2, 5)), "25 hours long"
    assert second[1] - first[1] == timedelta(hours=24)


@pytest.mark.parametrize("name", ["2026-13", "2026-00", "2026", "26-11", "2026-11-01", "", "nope"])
def test_another_name_is_refused_in_words(name: str) -> None:
    with pytest.raises(BadRequest, match="month: expected a year and a month, like 2026-11"):
        month_named(name, "UTC")
