"""Amounts in words, English or Arabic, as digits: "one point five million" is "1.5 million".

Text in, text out; what is an amount and in which currency is `amounts`' work. Words that make no
number ("three fifty million") stay words: to ask again is better than to add them up.
"""

import re
from collections.abc import Mapping, Sequence

from ivr.leads.field_types.spoken_numbers import TEENS, TENS, UNITS

_ARABIC: Mapping[str, str] = {
    "نصف مليون": "500 k",
    "نص مليون": "500 k",
    "مليونين": "2000 k",
    "مليونان": "2000 k",
    "ألفين": "2 k",
    "الفين": "2 k",
    "مليون ونصف": "1500 k",
    "مليون ونص": "1500 k",
    **{
        f"{stem}{hundred}": str(number * 100)
        for number, stem in enumerate(("ثلاث", "أربع", "خمس", "ست", "سبع", "ثمان", "تسع"), start=3)
        for hundred in ("مئة", "مائة", "مية")
    },
    **dict.fromkeys(("مئتين", "مئتا", "مئتي", "ميتين"), "200"),
    **dict.fromkeys(("مئة", "مائة", "مية"), "100"),
}
_PARTS = {"half": "0.5", "quarter": "0.25", "a quarter": "0.25", "three quarters": "0.75"}
_SMALL = {word: number for number, word in enumerate((*UNITS, *TEENS))} | {
    word: number * 10 for number, word in enumerate(TENS, start=2)
}
_SCALES = {"thousand": 1000, "lakh": 100_000, "million": 1_000_000, "crore": 10**7}

_SCALE = "|".join(_SCALES)
_DIGIT = "|".join(_SMALL)
_WORD = rf"(?:{_DIGIT}|hundred|{_SCALE}|an?(?=\s+(?:hundred|{_SCALE})\b))"
_FIRST = rf"(?:{_DIGIT}|(?<!thanks )(?<!you )an?(?=\s+(?:hundred|{_SCALE})\b))"
_CARDINAL = rf"{_FIRST}(?:[\s-]+(?:and\s+)?{_WORD})*"
_BELOW_SCALES = rf"(?:\d+|(?:{_DIGIT})(?:[\s-]+(?:and\s+)?(?:{_DIGIT}|hundred))*)"
_PART = re.compile(
    rf"(?<!\w)(?P<part>{'|'.join(sorted(_PARTS, key=len, reverse=True))})"
    rf"(?:\s+of)?(?:\s+an?)?\s+(?P<scale>{_SCALE})\b",
    re.IGNORECASE,
)
_HALVES = re.compile(
    rf"(?<!\w)(?:(?P<number>{_BELOW_SCALES})\s+and\s+a\s+half\s+(?P<scale>{_SCALE}|k)"
    rf"|(?P<before>an?|{_BELOW_SCALES})\s+(?P<behind>{_SCALE})\s+and\s+a\s+half)\b",
    re.IGNORECASE,
)
# One pattern for both, so that what was read as one thing and left is not read as the other.
_SPOKEN = re.compile(
    rf"(?<![\w.,])(?:(?:(?P<whole>{_BELOW_SCALES})\s+)?"
    rf"point\s+(?P<fraction>(?:{_DIGIT}|oh|\d+)(?:[\s-]+(?:{_DIGIT}|oh|\d+))*)"
    rf"(?P<scale>\s+(?:{_SCALE}))?"
    rf"|(?P<cardinal>{_CARDINAL}))(?!\w)",
    re.IGNORECASE,
)


def in_digits(text: str) -> str:
    """Return `text` with the number words of amounts as digits, and its signs in one form."""
    plain = text.replace("\u066c", ",").replace("\u066b", ".").replace("'", "")
    for word, digits in _ARABIC.items():
        plain = re.sub(rf"(?<!\w){word}(?!\w)", digits, plain)
    plain = re.sub(r"(?<!\w)(?<!\d\s)ب?مليون(?!\w)", "1000 k", plain)
    plain = _HALVES.sub(_halves, plain)
    plain = _PART.sub(lambda match: f"{_PARTS[match['part'].casefold()]} {match['scale']}", plain)
    return _SPOKEN.sub(_spoken, plain)


def _halves(match: re.Match[str]) -> str:
    number = _number(_words(match["number"] or match["before"]))
    scale = match["scale"] or match["behind"]
    return match[0] if number is None else f"{number}.5 {scale}"


def _spoken(match: re.Match[str]) -> str:
    if match["cardinal"]:
        return _cardinal(match["cardinal"]) or match[0]
    whole = _number(_words(match["whole"] or ""))
    if whole is None:  # "point five million" may be half a million, or "at this point, five"
        return match[0]
    return f"{whole}.{_decimals(_words(match['fraction']))}{match['scale'] or ''}"


def _cardinal(text: str) -> str:
    """Return a number in words as digits, two where an "and" parts them, "" where none is told."""
    words = _words(text)
    if (number := _number(words)) is not None:
        return _written(number, is_clear=words[0] not in ("a", "an"))
    ways = [
        (first, second)
        for at, word in enumerate(words)
        if word == "and"
        if (first := _number(words[:at])) is not None
        if (second := _number(words[at + 1 :])) is not None
    ]
    if len(ways) != 1:
        return ""
    return " and ".join(_written(number, is_clear=True) for number in ways[0])


def _written(number: int, *, is_clear: bool) -> str:
    """Return a number in digits; a clear one in thousands, for "a thousand" may count anything."""
    in_thousands = is_clear and number and number % 1000 == 0
    return f"{number // 1000} k" if in_thousands else str(number)


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d+", text.casefold())


def _number(words: Sequence[str]) -> int | None:
    """Return the number that words name by the grammar of cardinals, None where they break it."""
    total, least, part = 0, 10**9, list[str]()
    for at, word in enumerate(words):
        if word == "and":
            if not at or words[at - 1] not in ("hundred", *_SCALES):
                return None
        elif word in _SCALES:
            count = _below_scales(part, in_thousands=word == "thousand")
            if not count or _SCALES[word] >= least:
                return None
            total, least, part = total + count * _SCALES[word], _SCALES[word], []
        else:
            part.append(word)
    rest = _below_scales(part, in_thousands=False) if part or not words else 0
    return None if rest is None else total + rest


def _below_scales(words: Sequence[str], *, in_thousands: bool) -> int | None:
    """Return what stands before a scale; "three fifty" thousand are 350,000 and nothing else."""
    if "hundred" in words:
        at = words.index("hundred")
        hundreds, rest = _below_hundred(words[:at]), words[at + 1 :]
        more = _below_hundred(rest) if rest else 0
        return None if not hundreds or more is None else hundreds * 100 + more
    values = [_SMALL.get(word, 0) for word in words]
    if in_thousands and len(values) > 1 and 0 < values[0] < 10 <= values[1]:
        more = _below_hundred(words[1:])
        return None if more is None else values[0] * 100 + more
    return _below_hundred(words)


def _below_hundred(words: Sequence[str]) -> int | None:
    match words:
        case ["a" | "an"]:
            return 1
        case [digits] if digits.isdecimal():
            return int(digits)
        case [word]:
            return _SMALL.get(word)
        case [tens, unit] if tens in TENS and unit in UNITS[1:]:
            return _SMALL[tens] + _SMALL[unit]
    return None


def _decimals(words: Sequence[str]) -> str:
    """Return the digits after a point: "two five", "twenty five" and "2 5" are 25."""
    read = ""
    for at, word in enumerate(words):
        follows_tens = at > 0 and words[at - 1] in TENS and word in UNITS[1:]
        read = read[:-1] if follows_tens else read
        read += word if word.isdecimal() else str(_SMALL.get(word, 0))
    return read
