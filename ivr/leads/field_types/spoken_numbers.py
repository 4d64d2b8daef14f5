"""Numbers as people say and type them: digit runs, cardinals, and digits read aloud.

Knows English number words only, and no field: what a run of digits means is for the types.
"""

import re
from collections.abc import Iterable

UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
)  # fmt: skip
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

DIGIT_WORDS = {word: str(number) for number, word in enumerate(UNITS)} | {
    "oh": "0", "o": "0", "nought": "0", "niner": "9",
}  # fmt: skip
TWO_DIGIT_WORDS = {word: str(number) for number, word in enumerate(TEENS, start=10)}
TENS_WORDS = {word: str(number) for number, word in enumerate(TENS, start=2)} | {"fourty": "4"}
REPEATS = {"double": 2, "triple": 3, "treble": 3}
# Recognisers write these for digits; they count as digits only after a digit.
HOMOPHONES = {"to": "2", "too": "2", "for": "4", "won": "1", "ate": "8", "tree": "3", "fife": "5"}
FILLERS = frozenset({"and", "um", "uh", "er", "erm", "dash", "hyphen", "then", "area", "code"})

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?|\d+")


def tokens(text: str) -> list[str]:
    """Return the words and digit strings of `text`, lower case, without punctuation."""
    return _TOKEN.findall(text.casefold().replace("\u2019", "'"))


def runs(text: str) -> list[str]:
    """Return the digits of each uninterrupted stretch of numbers: ["7705550123", "30093"]."""
    words = _mark_homophones(tokens(text))
    found: list[str] = []
    position, groups = 0, list[str]()
    while position < len(words):
        used = _read_group(words, position, groups)
        if not used and words[position] not in FILLERS:
            found.append("".join(groups))
            groups = []
        position += used or 1
    return [run for run in [*found, "".join(groups)] if run]


def digits(text: str) -> str:
    """Return every digit said or typed in `text`, in order; "" when there is none."""
    return "".join(runs(text))


def read_aloud(value: str, *, groups: Iterable[int] = ()) -> str:
    """Return digits one by one, in groups of the given lengths: "7 7 0, 5 5 5, 0 1 2 3"."""
    parts, rest = [], value
    for length in groups:
        parts.append(rest[:length])
        rest = rest[length:]
    return ", ".join(" ".join(part) for part in [*parts, rest] if part)


def count_word(count: int) -> str:
    """Return a small count in words ("nine"), larger ones in digits."""
    return (*UNITS, *TEENS)[count] if count < 20 else str(count)


def number_phrase(number: str) -> str:
    """Return a number of a product's name as it is said: "250" is "two fifty", "07" "oh seven"."""
    if number.startswith("0") or len(number) > 4:
        return " ".join("oh" if digit == "0" else UNITS[int(digit)] for digit in number)
    if len(number) <= 2:
        return below_hundred(int(number))
    if number.endswith("000"):
        return f"{below_hundred(int(number[:-3]))} thousand"
    if number.endswith("00"):
        return f"{below_hundred(int(number[:-2]))} hundred"
    rest = f"oh {UNITS[int(number[-1])]}" if number[-2] == "0" else below_hundred(int(number[-2:]))
    return f"{below_hundred(int(number[:-2]))} {rest}"


def below_hundred(number: int) -> str:
    """Return 0 to 99 in words: "ninety-nine"."""
    if number < 20:
        return (*UNITS, *TEENS)[number]
    tens, unit = divmod(number, 10)
    return TENS[tens - 2] + (f"-{UNITS[unit]}" if unit else "")


def _mark_homophones(words: list[str]) -> list[str]:
    marked = list(words)
    for index in range(1, len(words)):
        after = words[index + 1] if index + 1 < len(words) else "0"
        goes_on = _is_digit(after) or after in HOMOPHONES
        if words[index] in HOMOPHONES and _is_single(marked[index - 1]) and goes_on:
            marked[index] = HOMOPHONES[words[index]]
    return marked


def is_number_word(word: str) -> bool:
    """Whether a token begins a number: "7", "oh", "fifty", "double"."""
    return _is_digit(word) or word in TWO_DIGIT_WORDS or word in TENS_WORDS or word in REPEATS


def _is_single(word: str) -> bool:
    return word in DIGIT_WORDS or (word.isdigit() and len(word) == 1)


def _is_digit(word: str) -> bool:
    return word.isdigit() or word in DIGIT_WORDS


def _read_group(words: list[str], at: int, groups: list[str]) -> int:
    """Add the number at `at` to `groups`; return how many words it took, 0 when it is none."""
    word = words[at]
    if word in ("hundred", "thousand"):
        return _read_multiplier(words, at, groups)
    if word in REPEATS:
        return _read_repeat(words, at, groups)
    text, used = _read_small(words, at)
    if used:
        groups.append(text)
    return used


def _read_small(words: list[str], at: int) -> tuple[str, int]:
    """Return the number below 100 (or the typed digits) at `at` and how many words it took."""
    word = words[at] if at < len(words) else ""
    if word.isdigit():
        return word, 1
    if word in DIGIT_WORDS:
        return DIGIT_WORDS[word], 1
    if word in TWO_DIGIT_WORDS:
        return TWO_DIGIT_WORDS[word], 1
    if word in TENS_WORDS:
        unit = UNITS.index(words[at + 1]) if at + 1 < len(words) and words[at + 1] in UNITS else 0
        return TENS_WORDS[word] + str(unit), 2 if unit else 1
    return "", 0


def _read_repeat(words: list[str], at: int, groups: list[str]) -> int:
    text, used = _read_small(words, at + 1)
    if len(text) != 1:
        return 0
    groups.append(text * REPEATS[words[at]])
    return 1 + used


def _read_multiplier(words: list[str], at: int, groups: list[str]) -> int:
    """Multiply the last group; "two thousand (and) eight" adds, "eight hundred five" does not."""
    if not groups or len(groups[-1]) > 2 or groups[-1].startswith("0"):
        return 0
    base = int(groups[-1]) * (100 if words[at] == "hundred" else 1000)
    if words[at] == "thousand":
        added, used = _below_thousand(words, at + 1)
    else:
        added, used = _after_hundred(words, at + 1, whole=len(groups[-1]) == 2)
    groups[-1] = str(base + added)
    return 1 + used


def _after_hundred(words: list[str], at: int, *, whole: bool) -> tuple[int, int]:
    """Return what to add after "hundred": what "and" links, or the 99 of "nineteen hundred 99"."""
    linked = at < len(words) and words[at] == "and"
    text, used = _read_small(words, at + linked)
    if used and len(text) <= 2 and (linked or (whole and len(text) == 2)):
        return int(text), used + linked
    return 0, 0


def _below_thousand(words: list[str], at: int) -> tuple[int, int]:
    """Return the number below 1000 that may follow "thousand" and how many words it took."""
    linked = at < len(words) and words[at] == "and"
    text, used = _read_small(words, at + linked)
    if not used or len(text) > 2 or text == "0":
        return 0, 0
    after = at + linked + used
    if after < len(words) and words[after] == "hundred":
        added, more = _after_hundred(words, after + 1, whole=True)
        return int(text) * 100 + added, linked + used + 1 + more
    return int(text), linked + used


def cardinal(text: str) -> int | None:
    """Return the first whole number in `text` ("fifteen hundred", "12,500"), else None."""
    found = runs(re.sub(r"(?<=\d),(?=\d{3}\b)", "", text))
    return int(found[0]) if found else None
