"""When a business is open: weeks, nights, holidays, and clocks that are put forward and back."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from ivr.db.tables import Tenant
from ivr.tenants import hours
from ivr.tenants.hours import BusinessHours

NINE_TO_SIX = {"start": "09:00", "end": "18:00"}
REALTY = {  # the example of the owner's guide
    "monday": NINE_TO_SIX,
    "tuesday": NINE_TO_SIX,
    "wednesday": NINE_TO_SIX,
    "thursday": NINE_TO_SIX,
    "friday": {"start": "09:00", "end": "13:00"},
}
NIGHTS = {"friday": {"start": "20:00", "end": "02:00"}}


def business(
    week: dict[str, Any], zone: str = "Asia/Riyadh", *, holidays: tuple[str, ...] = ()
) -> Tenant:
    config = {"holidays": [{"date": day} for day in holidays]} if holidays else {}
    return Tenant(
        slug="test-realty",
        name="Test Realty",
        profile="real_estate",
        timezone=zone,
        business_hours=BusinessHours.model_validate(week).dump(),
        config=config,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# 2026-11-23 is a Monday; Riyadh is three hours ahead all the year.
@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-23 05:59", "2026-11-23 06:00"),
        ("2026-11-23 06:00", "2026-11-23 06:00"),
        ("2026-11-23 14:59", "2026-11-23 14:59"),
        ("2026-11-23 15:00", "2026-11-24 06:00"),
        ("2026-11-27 10:00", "2026-11-30 06:00"),
        ("2026-11-28 21:30", "2026-11-30 06:00"),
    ],
    ids=["a minute early", "opens", "last minute", "closes", "friday afternoon", "sunday there"],
)
def test_the_week_of_the_guide_in_riyadh(now: str, opens: str) -> None:
    realty = business(REALTY)
    assert hours.next_opening(realty, at(now)) == at(opens)
    assert hours.is_open(realty, at(now)) is (now == opens)


def test_a_business_that_told_no_hours_is_always_open() -> None:
    now = at("2026-11-28 03:00")
    assert hours.is_open(business({}), now)
    assert hours.is_open(business({"monday": None}), now)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-27 19:59", "2026-11-27 20:00"),
        ("2026-11-27 23:59", "2026-11-27 23:59"),
        ("2026-11-28 01:59", "2026-11-28 01:59"),
        ("2026-11-28 02:00", "2026-12-04 20:00"),
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_begins(now: str, opens: str) -> None:
    assert hours.next_opening(business(NIGHTS, "UTC"), at(now)) == at(opens)


def test_a_day_may_last_until_midnight() -> None:
    late = business({"friday": {"start": "09:00", "end": "24:00"}}, "UTC")
    assert hours.is_open(late, at("2026-11-27 23:59"))
    assert not hours.is_open(late, at("2026-11-28 00:00"))


def test_a_holiday_is_closed_as_a_whole_day_of_the_place() -> None:
    realty = business(REALTY, holidays=("2026-11-24",))
    assert hours.next_opening(realty, at("2026-11-23 20:59")) == at("2026-11-25 06:00")
    assert hours.next_opening(realty, at("2026-11-24 08:00")) == at("2026-11-25 06:00")


def test_a_night_ends_where_a_holiday_begins_and_none_begins_on_one() -> None:
    before = business(NIGHTS, "UTC", holidays=("2026-11-28",))
    assert hours.is_open(before, at("2026-11-27 23:59"))
    assert not hours.is_open(before, at("2026-11-28 00:30"))
    on_it = business(NIGHTS, "UTC", holidays=("2026-11-27",))
    assert not hours.is_open(on_it, at("2026-11-28 00:30"))


def test_clocks_put_forward_shorten_the_night_and_not_the_day() -> None:
    """New York, 2026-03-08: 02:00 becomes 03:00, so nine o'clock comes an hour earlier (UTC)."""
    shop = business({"saturday": NINE_TO_SIX, "sunday": NINE_TO_SIX}, "America/New_York")
    assert hours.next_opening(shop, at("2026-03-07 13:00")) == at("2026-03-07 14:00")
    assert hours.next_opening(shop, at("2026-03-08 00:00")) == at("2026-03-08 13:00")


def test_what_the_clock_leaps_over_begins_with_the_leap() -> None:
    bar = business({"sunday": {"start": "02:30", "end": "05:00"}}, "America/New_York")
    assert hours.next_opening(bar, at("2026-03-08 06:00")) == at("2026-03-08 07:00")
    assert hours.is_open(bar, at("2026-03-08 07:00"))
    assert not hours.is_open(bar, at("2026-03-08 06:59"))


def test_what_the_clock_shows_twice_begins_once_and_ends_once() -> None:
    """New York, 2026-11-01: from 02:00 back to 01:00; 01:30 is 05:30 and 06:30 UTC."""
    bar = business({"sunday": {"start": "01:30", "end": "05:00"}}, "America/New_York")
    assert hours.next_opening(bar, at("2026-11-01 04:00")) == at("2026-11-01 05:30")
    assert hours.is_open(bar, at("2026-11-01 06:15"))  # the second 01:15
    late = business({"saturday": {"start": "20:00", "end": "01:30"}}, "America/New_York")
    assert hours.is_open(late, at("2026-11-01 06:29"))
    assert not hours.is_open(late, at("2026-11-01 06:30"))


def test_a_business_that_never_opens_has_no_next_opening() -> None:
    days = tuple(f"2026-{month:02}-{day:02}" for month in (11, 12) for day in range(1, 31))
    gone = business({"monday": NINE_TO_SIX}, holidays=days)
    assert hours.next_opening(gone, at("2026-11-02 08:00")) == at("2027-01-04 06:00")


@pytest.mark.parametrize(
    ("week", "named"),
    [
        ({"monday": {"start": "9:00", "end": "18:00"}}, ("monday", "start")),
        ({"monday": {"start": "09:00", "end": "25:00"}}, ("monday", "end")),
        ({"monday": {"start": "09:00", "end": "1٨:٠٠"}}, ("monday", "end")),
        ({"monday": {"start": "09:00"}}, ("monday", "end")),
        ({"monday": {"start": "09:00", "end": "09:00"}}, ("monday",)),
        ({"mon": NINE_TO_SIX}, ("mon",)),
        ({"monday": {**NINE_TO_SIX, "open": "1"}}, ("monday", "open")),
    ],
)
def test_hours_that_cannot_be_are_refused_by_their_names(
    week: dict[str, Any], named: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationError) as refused:
        BusinessHours.model_validate(week)
    assert refused.value.errors()[0]["loc"] == named
