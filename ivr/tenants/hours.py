"""When a business is open: the hours of its week in its own time zone, but for its holidays.

A business that has told no hours is always open. What the clock leaps over when it is put forward
begins with the leap; what it shows twice begins with the first and ends with the second time.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ivr.db.tables import Tenant
from ivr.tenants import config

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MIDNIGHT = "24:00"
_LOOKS_AHEAD = 400  # days; a business that does not open within them is closed for good

Start = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["09:00"])]
End = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", examples=["18:00"])]


class Span(BaseModel):
    """From `start` to `end`, local time; an end before the start is on the next day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Start
    end: End

    @model_validator(mode="after")
    def _lasts(self) -> "Span":
        if self.start == self.end:
            raise ValueError("expected an end that is not the start; all day is 00:00 to 24:00")
        return self


class BusinessHours(BaseModel):
    """The hours of a week; a day that is not there is closed, no day at all is always open."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    monday: Span | None = None
    tuesday: Span | None = None
    wednesday: Span | None = None
    thursday: Span | None = None
    friday: Span | None = None
    saturday: Span | None = None
    sunday: Span | None = None

    def dump(self) -> dict[str, Any]:
        """Return what a tenant's column `business_hours` keeps."""
        return self.model_dump(exclude_none=True)


def is_open(tenant: Tenant, now: datetime) -> bool:
    """Whether people are there at that moment."""
    return next_opening(tenant, now) == now


def next_opening(tenant: Tenant, now: datetime) -> datetime | None:
    """Return `now` while the business is open, else when it opens (UTC); None: not in a year."""
    if not tenant.business_hours:
        return now
    zone = ZoneInfo(tenant.timezone)
    today = now.astimezone(zone).date()
    for start, end in _spans(tenant.business_hours, config.of(tenant).closed_on, zone, today):
        if now < end:
            return max(start, now)
    return None


def _spans(
    week: Mapping[str, Any], holidays: frozenset[date], zone: ZoneInfo, today: date
) -> Iterator[tuple[datetime, datetime]]:
    """Yield when it opens and closes, from yesterday on: that day may have ended after midnight."""
    for number in range(-1, _LOOKS_AHEAD):
        day = today + timedelta(days=number)
        span = week.get(DAYS[day.weekday()])
        if span is None or day in holidays:
            continue
        yield _instant(day, span["start"], zone, fold=0), _closing(day, span, holidays, zone)


def _closing(
    day: date, span: Mapping[str, str], holidays: frozenset[date], zone: ZoneInfo
) -> datetime:
    tomorrow = day + timedelta(days=1)
    if span["start"] < span["end"] != MIDNIGHT:
        return _instant(day, span["end"], zone, fold=1)
    if span["end"] == MIDNIGHT or tomorrow in holidays:
        return _instant(tomorrow, "00:00", zone, fold=0)
    return _instant(tomorrow, span["end"], zone, fold=1)


def _instant(day: date, clock: str, zone: ZoneInfo, *, fold: int) -> datetime:
    """Return when a clock there shows that time, UTC; the moment of the leap if it never does."""
    wall = datetime.combine(day, time.fromisoformat(clock))
    moment = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if _wall(moment, zone) == wall:
        return moment
    moment = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)  # before the leap
    while _wall(moment, zone) < wall:
        moment += timedelta(minutes=1)
    return moment


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
