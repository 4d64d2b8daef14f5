"""Words around an answer: fillers, lead-ins, corrections; what is common to several types."""

import re
import unicodedata

SHORT = 6  # words; more than a request or an excuse has
# "So", "Oh" and "Ah" are names as well: fillers only before a comma or a beginning sentence.
_FILLER = (
    r"um+|uh+|er+m?|hm+|well|okay|ok|sure|yes|yeah|yep|yup|hi|hello|hey"
    r"|(?:so|oh|ah)(?=\s*,|\s+(?:it|that|my|i|this|um|uh)\b)"
)
_LEADING = re.compile(rf"^[\s,.!]*(?:(?:{_FILLER})\b[\s,.!]*)+", re.IGNORECASE)
_AFTERWORD = "please|thanks|thank you|sir|ma'am|i think|i guess|speaking|here"
_TRAILING = re.compile(rf"[\s,.!?]*(?:\b(?:{_AFTERWORD})\b[\s,.!?]*)*$", re.IGNORECASE)
_CORRECTION = re.compile(
    r"\b(?:no,? wait|wait|sorry|i mean|i meant|actually|rather|correction|scratch that|make that)\b"
    r"[\s,.]*(?:no\b[\s,.]*)?(?:it'?s\b|that'?s\b|it is\b)?",
    re.IGNORECASE,
)
# What keyboards put around words where two directions of writing meet; nobody sees them.
_DIRECTION = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
_UNKNOWING = re.compile(
    r"(?<!\w)(?:(?:لا|ما|لست) (?:[أا]عرف|[أا]علم|[أا]دري|[أا]تذكر|مت[أا]كد)|مدري"
    r"|مش عارف|لا فكرة)(?!\w)"
    r"|\b(?:(?:do not|don't|dont) (?:know|remember|have (?:one|it|that))|no (?:idea|clue)|not sure"
    r"|dunno|idk|i forget|(?:do not|don't|dont) want to (?:give|tell|say|share)"
    r"|rather not|none of your business|why do you)\b",
    re.IGNORECASE,
)


def as_ascii_digits(text: str) -> str:
    """Return `text` in its plain form: every script's digits as 0-9, no ligatures or widths."""
    if text.isascii():
        return text
    return "".join(
        str(unicodedata.decimal(char)) if char.isdecimal() else char
        for char in unicodedata.normalize("NFKC", text)
        if char.isdecimal() or not char.isdigit()
    )


def tidy(text: str) -> str:
    """Return `text` with single spaces and straight apostrophes, without marks of direction."""
    return " ".join(_DIRECTION.sub("", text).replace("\u2019", "'").split())


def strip_fillers(text: str) -> str:
    """Return `text` without "um, yes ..." in front and "... please" behind."""
    return _TRAILING.sub("", _LEADING.sub("", tidy(text), count=1))


def after_correction(text: str) -> str:
    """Return what follows the last "no wait", "sorry", "I mean" in `text`; else ""."""
    parts = _CORRECTION.split(text)
    return parts[-1].strip(" ,.") if len(parts) > 1 else ""


def is_only_correcting(text: str) -> bool:
    """Whether there is nothing but "sorry", "no wait" and the like, which answers nothing."""
    return not re.search(r"\w", _CORRECTION.sub("", strip_fillers(text)))


def without_arabic_signs(text: str) -> str:
    """Return `text` without Arabic vowel signs and stretched letters, which few people type."""
    return re.sub("[\u0640\u064b-\u0652]", "", text)


def knows_nothing(text: str) -> bool:
    """Whether it says no more than "I don't know", where any words would do for an answer."""
    return is_unknowing(text) and len(text.split()) <= SHORT


def is_unknowing(text: str) -> bool:
    """Whether the speaker says that they do not know or do not want to tell."""
    return bool(_UNKNOWING.search(without_arabic_signs(tidy(text))))
