"""Amounts of money in any currency, as people write and say them: "around 800k", "٨٠٠ ألف ريال".

Text in, amounts out; knows English and Arabic words, and no field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from ivr.leads.field_types.spoken_numbers import TEENS, TENS, UNITS

MOST = 10**12  # whole units; more is a slip of the finger

CURRENCIES: Mapping[str, str] = {
    "SAR": r"sar|s\.?r|(?:saudi )?riyals?|ريالات|ريال(?: سعودي)?|ر\.س",
    "AED": r"aed|dhs?|dirhams?|دراهم|درهم(?: إماراتي)?",
    "USD": r"usd|us\$|\$|(?:us )?dollars?|bucks|دولارات|دولار(?: أمريكي)?",
    "EUR": r"eur|€|euros?|يورو",
    "GBP": r"gbp|£|pounds?",
    "PKR": r"pkr|rs|(?:pakistani )?rupees?|روبية",
    "EGP": r"egp|le|جنيهات|جنيه(?: مصري)?",
    "KWD": r"kwd|كويتي",
    "QAR": r"qar",
}
# Minor units of one whole unit (ISO 4217) where it is not the usual 100.
_EXPONENTS = {"KWD": 3}
_SCALES: Mapping[str, int] = {
    r"k|grand|thousand|ألف|الف|آلاف|الاف": 1000,
    r"lakhs?|lacs?": 100_000,
    r"million|mio|mn|(?<=\d)(?<!\d{3})m|مليون|ملايين": 1_000_000,
    r"crores?": 10_000_000,
}
_ARABIC_WORDS: Mapping[str, str] = {
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
_SIGN = "|".join(f"(?P<{{side}}{code}>{words})" for code, words in CURRENCIES.items())
_SCALE = "|".join(f"(?:{words})" for words in _SCALES)
_AMOUNT = re.compile(
    rf"(?:(?<!\w)(?:{_SIGN.format(side='b')})\s*)?"
    r"(?<![\w+.,])(?P<whole>[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*|0)(?![\d,]*\d)(?:\.(?P<fraction>\d+))?"
    rf"(?:\s*(?P<scale>{_SCALE})(?!\w))?"
    rf"(?:\s*(?:{_SIGN.format(side='a')})(?!\w))?",
    re.IGNORECASE,
)
_SMALL = {word: number for number, word in enumerate((*UNITS, *TEENS))} | {
    word: number * 10 for number, word in enumerate(TENS, start=2)
}
_BIG = {"hundred": 100, "thousand": 1000, "lakh": 100_000, "million": 1_000_000, "crore": 10**7}
_WORD = "|".join((*_SMALL, *_BIG))
_WORDED = re.compile(
    rf"(?<!\w)(?:{'|'.join(_SMALL)})(?:[\s-]+(?:and\s+)?(?:{_WORD}))*(?!\w)", re.IGNORECASE
)
_HALVES = re.compile(r"(\w+) and a half (thousand|million|lakh|crore|k)\b", re.IGNORECASE)
_BETWEEN = re.compile(r"^\s*(?:-|–|to|and|till|until|or|و|إلى|الى|ل|حتى)\s*$", re.IGNORECASE)
_ABOUT_MONEY = re.compile(
    r"\b(?:budget|spend|pay|afford|price|cost)\w*\b|ميزاني|بسعر|سعر", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Amount:
    """What somebody wants to pay: `low` is `high` but for a range; both in minor units."""

    low: int
    high: int
    currency: str
    is_clear: bool  # it names a currency or a scale, so that it can be nothing else


def minor_units(currency: str) -> int:
    """Return how many minor units make one whole unit."""
    return int(10 ** _EXPONENTS.get(currency, 2))


def amounts(text: str, currency: str) -> list[Amount]:
    """Return the amounts in `text`, ranges as one; `currency` is that of bare numbers."""
    plain = _in_digits(text)
    found = [(match, _amount(match, currency)) for match in _AMOUNT.finditer(plain)]
    merged: list[Amount] = []
    end = 0
    for match, amount in found:
        linked = merged and _BETWEEN.match(plain[end : match.start()])
        if linked and (whole := _range(merged[-1], amount)):
            merged[-1] = whole
        else:
            merged.append(amount)
        end = match.end()
    return [amount for amount in merged if amount.high <= MOST * minor_units(amount.currency)]


def is_about_money(text: str) -> bool:
    """Whether a sentence talks about what something may cost."""
    return bool(_ABOUT_MONEY.search(text))


def _range(low: Amount, high: Amount) -> Amount | None:
    """Return two amounts as a range: "500 to 600 thousand" is 500,000 to 600,000."""
    if not low.is_clear and high.is_clear:
        low = _scaled_like(low, high)
    if low.low != low.high or low.low > high.high:
        return None
    return replace(high, low=low.low, is_clear=low.is_clear or high.is_clear)


def _scaled_like(low: Amount, high: Amount) -> Amount:
    for scale in (1_000_000, 1000):
        if low.low * scale <= high.high < low.low * scale * 1000:
            return replace(low, low=low.low * scale, high=low.high * scale)
    return low


def _amount(match: re.Match[str], usual: str) -> Amount:
    named = {key[1:] for key, found in match.groupdict().items() if found and key[1:] in CURRENCIES}
    currency = next(iter(sorted(named)), usual)
    whole, fraction = match["whole"].replace(",", ""), match["fraction"] or "0"
    number = Decimal(f"{whole}.{fraction}") * _factor(match["scale"])
    minor = int(number * minor_units(currency))
    return Amount(minor, minor, currency, is_clear=bool(named or match["scale"]))


def _factor(scale: str | None) -> int:
    if scale is None:
        return 1
    if scale in "mM":  # its pattern looks behind and cannot match alone
        return 1_000_000
    ways = (factor for words, factor in _SCALES.items() if re.fullmatch(words, scale, re.I))
    return next(ways, 1)


def _in_digits(text: str) -> str:
    """Return `text` with number words as digits and its signs in one form."""
    plain = text.replace("\u066c", ",").replace("\u066b", ".").replace("'", "")
    plain = re.sub(r"\bhalf a million\b", "500 k", plain, flags=re.IGNORECASE)
    for word, digits in _ARABIC_WORDS.items():
        plain = re.sub(rf"(?<!\w){word}(?!\w)", digits, plain)
    plain = re.sub(r"(?<!\w)(?<!\d\s)ب?مليون(?!\w)", "1000 k", plain)
    plain = _HALVES.sub(lambda match: f"{_value(match[1])}.5 {match[2]}", plain)
    return _WORDED.sub(lambda match: _value(match[0]), plain)


def _value(words: str) -> str:
    """Return number words as digits; digits stay as they are."""
    if words.isdecimal():
        return words
    total = current = 0
    for word in re.findall(r"[a-z]+", words.casefold()):
        if word in _SMALL:
            current += _SMALL[word]
        elif word == "hundred":
            current *= 100
        elif word in _BIG:
            total += current * _BIG[word]
            current = 0
    number = total + current
    return f"{number // 1000} k" if total and number % 1000 == 0 else str(number)
