"""Goodbyes: when the assistant has ended the call by its words, and when the caller has."""

import re

from ivr.leads.field_types.speech import without_arabic_signs
from ivr.leads.profile import Profile

_CALLER = re.compile(
    r"\b(?:good ?bye|bye(?: bye|-bye)?|hang(?:ing)? up|talk to you later"
    r"|have a (?:good|great|nice) (?:day|one|night)|(?:i|i've) (?:have to|gotta|got to) go"
    r"|end (?:the|this) call|not interested|stop calling|forget it"
    r"|never ?mind)\b"
    r"|(?<!\w)(?:مع السلامة|[إا]لى اللقاء|في [أا]مان الله|وداعا|باي|(?:لست|غير|مش|مو) مهتما?"
    r"|لا تتصلوا?|لا تراسل(?:ني|وني))(?!\w)",
    re.IGNORECASE,
)
_ASKING = re.compile(r"\?\s*$")


def is_goodbye(profile: Profile, assistant_text: str) -> bool:
    """Whether a finished turn of the assistant ends the call: a goodbye, no question after it."""
    text = _words(assistant_text)
    said = any(_words(phrase) in text for phrase in profile.goodbye_phrases)
    return said and not _ASKING.search(assistant_text)


def caller_says_goodbye(text: str) -> bool:
    """Whether the caller wants to end the call."""
    return bool(_CALLER.search(without_arabic_signs(text.replace("\u2019", "'"))))


def _words(text: str) -> str:
    """Return the bare words between blanks, so that only whole phrases match."""
    words = re.findall(r"[\w']+", text.casefold().replace("\u2019", "'"))
    return f" {' '.join(words)} ".replace(" good bye ", " goodbye ")
