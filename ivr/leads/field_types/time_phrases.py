"""When somebody wants something, as people put it within a sentence: "next month", "asap".

Text in, their own words out; no dates: what a month is to them is for a person to ask.
"""

import re

from ivr.leads.field_types.speech import without_arabic_signs

_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_SEASONS = "spring|summer|autumn|fall|winter|ramadan|eid|christmas|new year"
_PERIOD = "week|month|quarter|year"
_UNITS = "days?|weeks?|months?|quarters?|years?"
_COUNT = (
    r"(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve|eighteen|half a"
    r"|(?:a )?couple of|a few|several|\d{1,2}(?: ?(?:-|to|or) ?\d{1,2})?)"
)
_ENGLISH = re.compile(
    rf"\b(?:with)?in (?:the next |about |around |less than )?{_COUNT} (?:{_UNITS})\b"
    rf"|\b(?:over|during) the next (?:{_COUNT} )?(?:{_UNITS})\b"
    rf"|\b{_COUNT} (?:{_UNITS}) from now\b"
    rf"|\b(?:by|before|at|until) the end of (?:the|this|next) (?:{_PERIOD}|{_SEASONS})\b"
    rf"|\b(?:by|before|after) (?:the |this |next )?(?:{_SEASONS}|{_MONTHS})\b"
    rf"|\b(?:this|next|early next|later this) (?:{_PERIOD}|{_SEASONS}|{_MONTHS})\b"
    rf"|\bin (?:early |mid |late )?(?:{_MONTHS}|{_SEASONS})(?: 20\d\d)?\b"
    r"|\b(?:asap|as soon as possible|immediately|right away|straight away)\b",
    re.IGNORECASE,
)
_COMING = "القادم|المقبل|الجاي|القادمة|المقبلة|الجاية"
_PERIODS = "يوم|يومين|[أا]يام|[أا]سبوع|[أا]سبوعين|[أا]سابيع|شهر|شهرين|[أا]شهر|شهور|سنة|سنتين|سنوات"
_ARABIC = re.compile(
    rf"(?<!\w)(?:(?:في )?(?:الشهر|ال[أا]سبوع|العام|السنة|الصيف) (?:{_COMING})"
    r"|هذا (?:الشهر|ال[أا]سبوع|العام)|هذه السنة"
    rf"|(?:خلال|بعد|في غضون) (?:\w+ )?(?:{_PERIODS})(?: تقريبا)?"
    r"|(?:قبل |في |مع )?نهاية (?:هذا |هذه )?(?:الشهر|السنة|العام|ال[أا]سبوع)"
    r"|(?:قبل|بعد) (?:رمضان|العيد|الصيف)"
    r"|في [أا]قرب وقت|ب[أا]سرع وقت|فورا)(?!\w)"
)
# Then it is about when to speak or to meet.
_TALK = re.compile(
    r"\b(?:call|ring|phone|text|write|reach|contact|speak|talk|visit|view(?:ing)?|meet(?:ing)?"
    r"|appointment|available|free|away|back|travel\w*|see (?:it|them|you|one|some|the))\b"
    r"|اتصل|تتصل|موعد|زيارة|أزور|مكالمة",
    re.IGNORECASE,
)


def time_phrase(text: str) -> str | None:
    """Return the one phrase that says when; None without one, with several, or about a meeting."""
    plain = without_arabic_signs(text)
    found = [*_ENGLISH.finditer(plain), *_ARABIC.finditer(plain)]
    said = {match.group().casefold() for match in found}
    if len(said) != 1 or _TALK.search(_clause(plain, found[0])):
        return None
    return found[0].group()


def _clause(text: str, match: re.Match[str]) -> str:
    """Return the clause that a phrase stands in."""
    before = re.split(r"[,.;!?\n،؛؟]", text[: match.start()])[-1]
    return before + re.split(r"[,.;!?\n،؛؟]", text[match.start() :])[0]
