"""Reads a length of time as operators write it: `24h`, `7d`. Pure."""

import re
from datetime import datetime, timedelta

from ivr.errors import BadRequest

_PERIOD = re.compile(r"(?P<number>\d{1,5})(?P<unit>[hd])", re.IGNORECASE)
_UNITS = {"h": "hours", "d": "days"}


def since(text: str, *, now: datetime) -> datetime:
    """Return the moment that long ago; raise `BadRequest` for anything else."""
    read = _PERIOD.fullmatch(text.strip())
    if read is None:
        raise BadRequest("--since: expected a number and h or d, like 24h or 7d")
    return now - timedelta(**{_UNITS[read["unit"].lower()]: int(read["number"])})
