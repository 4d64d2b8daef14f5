"""The months of budgets: from midnight to midnight where the business is. Pure."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ivr.errors import BadRequest

NAME = r"20[0-9]{2}-(0[1-9]|1[0-2])"  # 2026-11


@dataclass(frozen=True, slots=True)
class Month:
    """A month of a time zone; `start` and `end` are UTC, `end` is no longer in it."""

    name: str  # "2026-11"
    zone: str
    start: datetime
    end: datetime

    def days(self) -> list[tuple[date, datetime]]:
        """Return its days, each with the moment (UTC) at which it ends."""
        first = date.fromisoformat(f"{self.name}-01")
        count = (_next(first) - first).days
        found = [first + timedelta(days=number) for number in range(count)]
        return [(day, _midnight(day + timedelta(days=1), self.zone)) for day in found]


def month_at(moment: datetime, zone: str) -> Month:
    """Return the month in which a moment lies."""
    return _month(moment.astimezone(ZoneInfo(zone)).date().replace(day=1), zone)


def month_named(name: str, zone: str) -> Month:
    """Return a month by its name, "2026-11"; raise `BadRequest`."""
    if re.fullmatch(NAME, name) is None:
        raise BadRequest("month: expected a year and a month, like 2026-11")
    return _month(date.fromisoformat(f"{name}-01"), zone)


def _month(first: date, zone: str) -> Month:
    return Month(
        name=f"{first:%Y-%m}",
        zone=zone,
        start=_midnight(first, zone),
        end=_midnight(_next(first), zone),
    )


def _next(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _midnight(day: date, zone: str) -> datetime:
    """Return when a day begins; where the clocks skip midnight, the moment at which they do."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)
