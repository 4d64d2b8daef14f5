"""When a business opens again, in words: "tomorrow at 9:00 AM". Pure."""

from datetime import datetime

from ivr.leads.profile.shape import Profile

_WEEK = 7  # days; further away a weekday says nothing
_SOON = ("today", "tomorrow")
_ARABIC_SOON = ("اليوم", "غدًا")
_ARABIC_DAYS = ("الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد")


def when(profile: Profile, language: str) -> str:
    """Return when it opens, "" while it is open or if that is not known.

    A language without words gets English.
    """
    if profile.closed is None or profile.closed.opens is None:
        return ""
    opens = profile.closed.opens
    days = (opens.date() - profile.closed.today).days
    return _arabic(opens, days) if language.startswith("ar") else _english(opens, days)


def _english(opens: datetime, days: int) -> str:
    clock = f"{opens:%I:%M %p}".removeprefix("0")
    if days < len(_SOON):
        return f"{_SOON[days]} at {clock}"
    day = f"{opens:%A}" if days < _WEEK else f"{opens:%B} {opens.day}"
    return f"on {day} at {clock}"


def _arabic(opens: datetime, days: int) -> str:
    if days < len(_ARABIC_SOON):
        day = _ARABIC_SOON[days]
    else:
        named = _ARABIC_DAYS[opens.weekday()] if days < _WEEK else f"{opens.day}/{opens.month}"
        day = f"يوم {named}"
    return f"{day} الساعة {opens:%H:%M}"
