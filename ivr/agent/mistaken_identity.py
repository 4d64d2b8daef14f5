"""Whether somebody says that they are not the person we take them for. Pure, English and Arabic.

What follows from it is for `leads.people.identity`. A wrong number read back ("that's the wrong
number") is none of this: it is about the number, not about who has it.
"""

import re
from dataclasses import dataclass

from ivr.leads.field_types.speech import tidy

_LONGEST = 300  # characters of a message that are read


@dataclass(frozen=True, slots=True)
class Denial:
    """`name`: who they say they are not, None for "not that person"; `recycled`: it is theirs."""

    name: str | None = None
    recycled: bool = False


def denial(text: str) -> Denial | None:
    """Return what somebody says of whom we take them for, None for nothing of that kind."""
    plain = tidy(text[:_LONGEST])
    recycled = bool(_RECYCLED.search(plain))
    for pattern in (_NOT_NAMED, _NOT_NAMED_ARABIC, _GONE):
        if match := pattern.search(plain):
            return Denial(match["name"], recycled=recycled or pattern is _GONE)
    if recycled or _WRONG_PERSON.search(plain):
        return Denial(recycled=recycled)
    return None


_NAME = r"(?P<name>[^\W\d_]+(?:[ '-][^\W\d_]+)?)"
_NUMBER = r"(?:this|that|the|his|her|their)(?: phone| mobile| cell)? (?:number|phone|line)"
_NOT_NAMED = re.compile(
    r"\b(?:this is not|this isn't|i am not|i'm not|you are not (?:talking|speaking) (?:to|with)"
    rf"|there is no|there's no|my name is not|my name isn't) {_NAME}\s*(?:here|[.,!;?]|$)",
    re.IGNORECASE,
)
_NOT_NAMED_ARABIC = re.compile(r"(?:^|\s)(?:لست|مو|مش|ليس) (?P<name>\w+)")
_GONE = re.compile(
    rf"\b{_NAME} (?:no longer|doesn't|does not) (?:has|have|own|use|uses) {_NUMBER}",
    re.IGNORECASE,
)
# Who got "this number from a friend", or has "the number now" that was asked for, denies nothing.
_RECYCLED = re.compile(
    rf"\b(?:{_NUMBER} (?:is mine now|belongs to me now|is my number now)"
    r"|this is my (?:new )?number now"
    r"|i (?:have|got|own) (?:this|his|her|their)(?: phone| mobile| cell)? (?:number|phone|line) now"
    r"|i (?:just )?got (?:this|his|her|their)(?: phone| mobile| cell)? number\b"
    r"(?! (?:from|off|on|through|via|by|in|at|out)\b))|صار رقمي|أصبح رقمي|هذا رقمي الآن",
    re.IGNORECASE,
)
_WRONG_PERSON = re.compile(
    r"\bwrong person\b|\byou(?:'ve| have)? (?:got|have|called|texted|reached|messaged|dialed)"
    r" the wrong (?:number|guy|one)\b|\bi(?:'m| am) (?:not (?:him|her|them|that person|who you"
    r" think)|somebody else|someone else)\b|\bthis is (?:somebody|someone) else\b"
    r"|\b(?:he|she) is not here any ?more\b|(?:شخص غلط|الشخص الخطأ|لست هو|لست هي)",
    re.IGNORECASE,
)
