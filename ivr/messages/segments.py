"""How long a text is to a phone network: its segments, its cheaper spelling, its parts.

GSM 03.38 and its extension table, else UCS-2. Nothing is sent here.
"""

from collections.abc import Iterator

LONGEST = 1600  # characters of one message; Twilio, message resource, Body
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("^{}\\[]~|€\f")  # an escape and a character each
_LOOK_ALIKES = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("“”„‟″", '"'),
        **dict.fromkeys("‐‑‒–—―", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f", " "),
        "…": "...",
    }
)
_ONE, _OF_MANY = 160, 153
_ONE_UCS2, _OF_MANY_UCS2 = 70, 67
_SENTENCE_ENDS = (". ", "! ", "? ", "؟ ", "。", ".\n", "!\n", "?\n", "؟\n")


def is_gsm(text: str) -> bool:
    """Whether every character has its place in the network's own small alphabet."""
    return all(one in _GSM or one in _EXTENSION for one in text)


def count(text: str) -> int:
    """Return how many segments a text is sent, and paid for, in."""
    if is_gsm(text):
        return _packed((1 + (one in _EXTENSION) for one in text), _ONE, _OF_MANY)
    return _packed((1 + (ord(one) > 0xFFFF) for one in text), _ONE_UCS2, _OF_MANY_UCS2)


def _packed(widths: Iterator[int], one: int, of_many: int) -> int:
    """Fill segments; what takes two places is never torn in two."""
    sizes = list(widths)
    if sum(sizes) <= one:
        return 1
    segments, used = 1, 0
    for size in sizes:
        if used + size > of_many:
            segments, used = segments + 1, 0
        used += size
    return segments


def cheapest(text: str) -> str:
    """Return the text with plain quotes and dashes if that makes all of it GSM, else as it is."""
    plain = text.translate(_LOOK_ALIKES)
    return plain if is_gsm(plain) else text


def split(text: str, longest: int = LONGEST) -> list[str]:
    """Return the text in parts that may be sent, torn between sentences or at least words."""
    parts, rest = [], text.strip()
    while len(rest) > longest:
        end = _border(rest, longest)
        parts.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*parts, rest]


def _border(text: str, longest: int) -> int:
    """Return where the first part ends; half a part at least, or it would be many."""
    head, least = text[: longest + 1], longest // 2
    sentence = max(head.rfind(end, least, longest) + len(end.rstrip()) for end in _SENTENCE_ENDS)
    if sentence > least:
        return sentence
    word = max(head.rfind(" ", least), head.rfind("\n", least))
    return word if word > 0 else longest
