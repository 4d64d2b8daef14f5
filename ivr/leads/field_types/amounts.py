"""Amounts of money in any currency, as people write and say them: "around 800k", "٨٠٠ ألف ريال".

Text in, amounts out; knows English and Arabic words, and no field.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from ivr.leads.field_types.spoken_amounts import in_digits

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
_SIGN = "|".join(f"(?P<{{side}}{code}>{words})" for code, words in CURRENCIES.items())
_SCALE = "|".join(f"(?:{words})" for words in _SCALES)
_AMOUNT = re.compile(
    rf"(?:(?<!\w)(?:{_SIGN.format(side='b')})\s*)?"
    r"(?<![\w+.,])(?P<whole>[1-9]\d{0,2}(?:,\d{3})+|[1-9]\d*|0)(?![\d,]*\d)(?:\.(?P<fraction>\d+))?"
    rf"(?:\s*(?P<scale>{_SCALE})(?!\w))?"
    rf"(?:\s*(?:{_SIGN.format(side='a')})(?!\w))?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"^\s*(?:-|–|to|and|till|until|or|و|إلى|الى|ل|حتى)\s*$", re.IGNORECASE)
_ABOUT_MONEY = re.compile(
    r"\b(?:budget|spend|pay|afford|price|cost)\w*\b|ميزاني|بسعر|سعر", re.IGNORECASE
)
_SPENDS = re.compile(
    r"\bbudget(?:s|ed|ing)?\b(?![\s-]*friendly)|\b(?:spend|spending|pay|paying|afford)\b"
    r"|\b(?:up to|at (?:the )?most|max(?:imum)?|(?:no|not) more than)\b"
    r"|ميزاني|(?<!\w)\w?[أان]?ن?دفع(?!\w)|(?<!\w)[أان]صرف(?!\w)|حد (?:ال)?[أا]قصى|لا [يت]تجاوز",
    re.IGNORECASE,
)
_ASKS_THE_PRICE = re.compile(
    r"\bhow much\b[^.!?]{0,60}?\b(?:spend|pay|afford)\b|(?<!\w)كم\s+(?:\S+\s+){0,2}?\S*دفع",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<!\bapprox)(?<!\bmax)[.!?؟]\s+", re.IGNORECASE)
_UNIT = re.compile(
    r"[\s-]*(?:sq(?:uare)?|sq[\s.]*(?:ft|feet|met\w+|mt?rs?|m|yards?)|ft2?|feet|foot|m2?|mt?rs?"
    r"|met(?:er|re)s?|yards?|acres?|hectares?|km|kilomet\w+|cc|م2?|مترا?ً?|[أا]متار|قدما?ً?)(?!\w)",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"(?:\b(?:apartment|apt|flat|unit|villa|house|plot|land|suite|room|office|shop|building|tower"
    r"|block|floor|street|st|road|rd|avenue|ave|highway|exit|gate|area|size|number|no\.)(?!\w)\.?|#"
    r"|(?<!\w)\w{0,3}(?:شق[ةه]|وحد[ةه]|فيلا|فل[ةه]|قطع[ةه]|[أا]رض|برج|عمار[ةه]|مبنى|بناي[ةه]|شارع"
    r"|طريق|مخرج|بواب[ةه]|دور|طابق|مكتب|محل|مساح[ةه]|مساحتها|رقم))"
    r"(?:\s*(?:\b(?:no|number|nr|num)\b\.?|(?<!\w)رقم|[#:])|\s+of)*\s*$",
    re.IGNORECASE,
)
_ROAD = re.compile(
    r"\s+(?:(?!(?:near|on|at|in|for|by|an?|the|and|or|to|per|is|from)\b)\w+\s+){0,2}"
    r"(?:street|st|road|rd|avenue|ave|boulevard|blvd|drive|highway)\b",
    re.IGNORECASE,
)
_SINCE = re.compile(
    r"(?:\b(?:in|since|built|year|model|until|till|during|end of)"
    r"|(?<!\w)\w?(?:سن[ةه]|عام|منذ|في))\s+$",
    re.IGNORECASE,
)
_NEAR = 40  # characters before a number that may tell what it counts


@dataclass(frozen=True, slots=True)
class Amount:
    """What somebody wants to pay: `low` is `high` but for a range; both in minor units."""

    low: int
    high: int
    currency: str
    is_clear: bool  # it names a currency or a scale, so that it can be nothing else
    may_be_year: bool = False


@dataclass(frozen=True, slots=True)
class _Number:
    """A number as it stands in a text, or a range of two."""

    low: Decimal
    high: Decimal
    currency: str | None
    is_whole: bool  # nothing behind it belongs to it: in "$500-600k" the 500 is not
    is_clear: bool
    may_be_year: bool
    counts: bool  # something else than money


def minor_units(currency: str) -> int:
    """Return how many minor units make one whole unit."""
    return int(10 ** _EXPONENTS.get(currency, 2))


def amounts(text: str, currency: str) -> list[Amount]:
    """Return the amounts in `text`, ranges as one; `currency` is that of bare numbers.

    A number of metres, of a flat, of a street or of a year ("built in 2020") is none.
    """
    plain = in_digits(text)
    merged: list[_Number] = []
    end = 0
    for match in _AMOUNT.finditer(plain):
        number = _number(match, plain)
        linked = merged and _BETWEEN.match(plain[end : match.start()])
        if linked and (whole := _range(merged[-1], number)):
            merged[-1] = whole
        else:
            merged.append(number)
        end = match.end()
    found = [_amount(number, currency) for number in merged if not number.counts]
    return [amount for amount in found if amount.high <= MOST * minor_units(amount.currency)]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, for what one says of money tells nothing of the others."""
    return _SENTENCE_END.split(text)


def is_about_money(text: str) -> bool:
    """Whether a sentence talks about what something may cost."""
    return bool(_ABOUT_MONEY.search(text))


def is_about_spending(text: str) -> bool:
    """Whether somebody tells what they spend; to ask for a price is not that."""
    return bool(_SPENDS.search(_ASKS_THE_PRICE.sub(" ", text)))


def _range(low: _Number, high: _Number) -> _Number | None:
    """Return two numbers as a range: "500 to 600 thousand" is 500,000 to 600,000."""
    if not low.is_whole and high.is_clear:
        low = _scaled_like(low, high)
    is_one_currency = low.currency is None or high.currency in (None, low.currency)
    if low.low != low.high or low.low > high.high or low.counts or not is_one_currency:
        return None
    if high.counts and low.is_clear:
        return None
    return replace(
        high,
        low=low.low,
        currency=low.currency or high.currency,
        is_clear=low.is_clear or high.is_clear,
        may_be_year=low.may_be_year and high.may_be_year,
    )


def _scaled_like(low: _Number, high: _Number) -> _Number:
    for scale in (1_000_000, 1000):
        if low.low * scale <= high.high < low.low * scale * 1000:
            return replace(low, low=low.low * scale, high=low.high * scale)
    return low


def _number(match: re.Match[str], plain: str) -> _Number:
    named = sorted(
        key for key, found in match.groupdict().items() if found and key[1:] in CURRENCIES
    )
    written, scale = match["whole"], match["scale"]
    number = Decimal(f"{written.replace(',', '')}.{match['fraction'] or '0'}") * _factor(scale)
    is_clear = bool(named or scale)
    is_bare = not is_clear and match["fraction"] is None
    may_be_year = is_bare and bool(re.fullmatch(r"(?:19|20)\d\d", written))
    return _Number(
        number,
        number,
        named[0][1:] if named else None,
        is_whole=bool(scale) or any(key.startswith("a") for key in named),
        is_clear=is_clear,
        may_be_year=may_be_year,
        counts=not named and _counts(match, plain, may_be_year=may_be_year),
    )


def _counts(match: re.Match[str], plain: str, *, may_be_year: bool) -> bool:
    """Whether what stands around a number without a currency says that it is no money."""
    start, end = match.start("whole"), match.end()
    if _UNIT.match(plain, end):
        return True
    if match["scale"]:
        return False
    before = plain[max(0, start - _NEAR) : start]
    if may_be_year and _SINCE.search(before):
        return True
    is_short = len(match["whole"]) <= 5  # no house and no flat has a longer number
    return is_short and bool(_PLACE.search(before) or _ROAD.match(plain, end))


def _amount(number: _Number, usual: str) -> Amount:
    currency = number.currency or usual
    low, high = (int(end * minor_units(currency)) for end in (number.low, number.high))
    return Amount(low, high, currency, number.is_clear, number.may_be_year)


def _factor(scale: str | None) -> int:
    if scale is None:
        return 1
    if scale in "mM":  # its pattern looks behind and cannot match alone
        return 1_000_000
    ways = (factor for words, factor in _SCALES.items() if re.fullmatch(words, scale, re.I))
    return next(ways, 1)
