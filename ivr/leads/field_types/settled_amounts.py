"""Whether an amount that somebody names is settled: "around 800,000" is not, "it is fixed" is.

Text in, yes, no or nothing out; which amount it is, is `amounts`' work.
"""

import re

from ivr.leads.field_types.amounts import amounts, is_about_money
from ivr.leads.field_types.speech import without_arabic_signs
from ivr.leads.field_types.spoken_numbers import TEENS, TENS, UNITS

_WORDS = "|".join((*UNITS, *TEENS, *TENS))
_NUMBER = (
    rf"(?:(?:[$€£]|[a-z]{{2,3}}) ?)?(?:\d|half a|an? (?:hundred|million)|{_WORDS}"
    r"|نصف|نص|مليون|مئة|مية|ألف)"
)
_SETTLED = "fixed|confirmed|final|finali[sz]ed|approved|set|firm|secured|certain"
_SETTLED_ARABIC = "محددة|محدده|مؤكدة|مؤكده|ثابتة|ثابته|نهائية|نهائيه|معتمدة|جاهزة"
_ABOUT = (
    r"(?:\b(?:around|about|roughly|approximately|approx\.?|circa|nearly|almost|close to|maybe|some"
    r"|more or less|perhaps|probably)|~"
    r"|(?<!\w)(?:حوالي|حوالى|تقريبا|نحو|في حدود|بحدود|قرابة|ما يقارب))"
)
_NOT = r"(?:\bnot|n't)\s+(?:yet |been |quite |really )*"
_OPEN = re.compile(
    rf"{_ABOUT}\s*{_NUMBER}"
    r"|\d[\d,.]*\s*(?:k|thousand|million|[a-z]{3})?\s*(?:or so|give or take|approximately)\b"
    r"|\d[\d,.]*\s*(?:ألف|الف|مليون)?\s*(?:ريال\s*)?تقريبا"
    rf"|{_NOT}(?:{_SETTLED}|decided|sure)\b"
    r"|\b(?:unsure|flexible|negotiable|can stretch|could stretch)\b"
    rf"|(?<!\w)(?:غير|ليست|ليس|مو|مش|لم تكن) (?:{_SETTLED_ARABIC}|مت[أا]كد)"
    r"|(?<!\w)(?:مرنة|مرنه|قابلة للتفاوض)",
    re.IGNORECASE,
)
_CLOSED = re.compile(
    r"\b(?:budget|price|amount|money|financing|loan|mortgage|it|that)\b(?:\s+of\s+[^.!?]{1,30}?)?"
    rf"\s*(?:is|are|has been|was|'s)\s+(?:already |all |now )*(?:{_SETTLED})\b"
    rf"|\b(?:{_SETTLED}) (?:budget|price|amount|financing|loan|mortgage)\b"
    r"|\bpre-?approved\b|\bexactly\s+(?:[$€£]\s*)?\d"
    rf"|(?<!\w)[وف]?(?:ال)?ميزانيت?[يةهنا]*\s+(?:\S+\s+){{0,4}}?(?:{_SETTLED_ARABIC})",
    re.IGNORECASE,
)
_LARGE = 100_000  # minor units: a smaller bare number may count anything


def is_settled(text: str) -> bool | None:
    """Return whether an amount in `text` is settled, None where that cannot be told."""
    plain = without_arabic_signs(text).replace("\u2019", "'")
    found = amounts(plain, "USD")
    if not is_about_money(plain) and not any(it.is_clear or it.high >= _LARGE for it in found):
        return None
    is_open = bool(_OPEN.search(plain))
    is_closed = bool(_CLOSED.search(_OPEN.sub(" ", plain)))
    return None if is_open == is_closed else is_closed
