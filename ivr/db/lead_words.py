"""The words under which a lead is found, made of names, phone numbers and e-mail addresses. Pure.

A name gives its words, without case, accents and the ways in which Arabic spells one letter. A
number gives its digits backwards, so that its last ones are the beginning of a word. An e-mail
address is one word behind a sign of its own: so who looks for a name passes none of them.
"""

import re
import unicodedata

MOST_LETTERS = 60  # of a word; what goes on after them is not looked at
MOST_WORDS = 12  # of a name
LEAST_DIGITS = 4
_WITH_TRUNK_ZERO = 8  # digits, from which on a leading zero is dialled and not part of the number
_ADDRESS = "@"
_END = "\U0010ffff"  # behind every letter
# What decomposing leaves as it is, and people write in two ways.
_SPELLINGS = str.maketrans(
    {
        **{
            "ة": "ه",
            "ى": "ي",
            "ی": "ي",
            "ې": "ي",
            "ے": "ي",
            "ک": "ك",
            "ہ": "ه",
            "ۀ": "ه",
            "ـ": None,
        },
        **{
            "ø": "o",
            "ł": "l",
            "đ": "d",
            "ð": "d",
            "ħ": "h",
            "ı": "i",
            "æ": "ae",
            "œ": "oe",
            "þ": "th",
        },
    }
)


def of_name(name: str) -> list[str]:
    """Return the words of a name: "José O'Neill-Díaz" gives jose, oneill and diaz."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    plain = re.sub(r"['’ʼ`.\u200c-\u200f]", "", plain.translate(_SPELLINGS))
    words = re.findall(r"[^\W_]+", plain)
    return [word[:MOST_LETTERS] for word in dict.fromkeys(words)][:MOST_WORDS]


def of_phone(number: str) -> list[str]:
    """Return the digits of a number, backwards, as one word; nothing for too few of them."""
    digits = _digits(number)
    return [digits[::-1][:MOST_LETTERS]] if len(digits) >= LEAST_DIGITS else []


def of_email(address: str) -> list[str]:
    """Return an e-mail address as one word."""
    plain = unicodedata.normalize("NFKC", address).strip().casefold()
    return [_ADDRESS + plain[:MOST_LETTERS]] if "@" in plain else []


def asked(text: str) -> list[str]:
    """Return the beginnings of words that a lead must have to be what somebody looks for."""
    if "@" in text:
        return of_email(text)
    if re.fullmatch(r"[\s+()./\d\u2010-\u2015-]+", text):
        return of_phone(_without_trunk_zero(text))
    return of_name(text)


def after_all(beginning: str) -> str:
    """Return what comes behind every word that begins so."""
    return beginning + _END


def _without_trunk_zero(text: str) -> str:
    digits = _digits(text.replace("(0)", ""))
    return digits.lstrip("0") if len(digits) >= _WITH_TRUNK_ZERO else digits


def _digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(char)) for char in text if char.isdecimal())
