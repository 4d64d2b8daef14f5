"""What may stand in a log: pure functions from values to values fit for strangers' eyes.

Secrets are hidden always. Personal data (phone numbers, e-mail addresses, names, what was said,
what a lead contains) is hidden unless `pii=True`. A key decides when it is known; patterns look
after the rest. Names cannot be recognised in running text: log them in fields, under a key that
says so.
This file knows neither structlog nor where logs go.
"""

import ast
import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, time, timedelta
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

HIDDEN = "***"
_DEEPEST = 8  # nesting below this is cut: a log line is no place for a tree, and cycles must end
_LONGEST = 20_000  # characters; a base64 audio frame in an error must not stall the loop

_SECRET_KEY = re.compile(
    r"passw|passphrase|secret|api_?key|private_?key|authorization|signature|credential|cookie|token",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_PHONE_WORDS = frozenset({"phone", "phones", "mobile", "msisdn", "caller", "called", "number"})
_NAME_WORDS = frozenset({"name", "names", "surname", "firstname", "lastname", "fullname"})
_PRIVATE_WORDS = frozenset({"email", "zip", "postcode", "address", "street", "value", "arguments"})
_SPEECH_KEYS = frozenset(
    "transcript transcripts text heard heard_as said spoken utterance quote answer"
    " speech speechresult speech_result content body note notes summary instructions prompt"
    " read_back suggestion digits payload frame raw".split()
)
_LEAD_KEYS = frozenset("lead lead_data extracted values known collected fields answers".split())


def redact_value(key: str, value: Any, *, pii: bool = False, depth: int = 0) -> Any:
    """Return `value` as it may be logged under `key`; the types that JSON knows stay themselves."""
    if _SECRET_KEY.search(key):
        return value if _is_harmless(key, value) else HIDDEN
    if depth > _DEEPEST:
        return HIDDEN
    if not pii and value is not None and (hide := _hider(key)) is not None:
        return hide(value)
    return _redact_content(value, pii=pii, depth=depth)


def redact_phone(number: str) -> str:
    """Return the number with all but its last two digits starred: `+*********23`."""
    digits = sum(character.isdecimal() for character in number)
    if digits < 4:
        return HIDDEN
    plus = "+" if number.lstrip().startswith("+") else ""
    tail = [character for character in number if character.isdecimal()][-2:]
    return f"{plus}{'*' * (digits - 2)}{''.join(tail)}"


def redact_speech(text: str) -> str:
    """Return how much was said instead of what: `[12 words]`."""
    count = len(text.split())
    return f"[{count} word{'' if count == 1 else 's'}]"


def redact_transcript(transcript: str) -> str:
    """Return `role: text` lines with the roles kept; a line without one is a continuation."""
    turns: list[tuple[str, str]] = []
    for line in transcript.splitlines():
        role = re.match(
            r"\s*(user|caller|assistant|agent|system|human|ai)\s*:", line, re.IGNORECASE
        )
        if role:
            turns.append((role[1], line[role.end() :]))
        elif line.strip():
            speaker, said = turns.pop() if turns else ("unknown", "")
            turns.append((speaker, f"{said} {line}"))
    return "\n".join(f"{role}: {redact_speech(text)}" for role, text in turns)


def redact_lead(lead: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys with starred values; what is missing stays null, for a reader to see."""
    return {str(key): None if value in (None, "") else HIDDEN for key, value in lead.items()}


def redact_text(text: str, *, pii: bool = False) -> str:
    """Return running text without what looks like a secret, a phone number or an e-mail address."""
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]} [{len(text) - _LONGEST} more characters]"
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    if pii:
        return text
    for pattern, replacement in _LEAKS:
        text = pattern.sub(replacement, text)
    return _NUMBERS.sub(_redact_number, text)


def redact_marker(event: str) -> str | None:
    """Return one of the owner's marker lines with its payload hidden; None when it is not one."""
    if event.startswith(_CONVERSATION):
        return f"{_CONVERSATION}\n{redact_transcript(event.removeprefix(_CONVERSATION))}"
    if event.startswith(_EXTRACTED):
        payload = event.removeprefix(_EXTRACTED).removesuffix("===").strip()
        return f"{_EXTRACTED} {json.dumps(redact_lead(_parse_lead(payload)))} ==="
    return None


_CONVERSATION = "=== CONVERSATION TEXT:"
_EXTRACTED = "=== EXTRACTED LEAD DATA:"


def _parse_lead(payload: str) -> Mapping[str, Any]:
    """Read JSON or a Python dict; what is neither shows nothing of itself."""
    for read in (json.loads, ast.literal_eval):
        try:
            lead = read(payload)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(lead, Mapping):
            return lead
    return {"unreadable": payload}


# Keys


def _is_harmless(key: str, value: Any) -> bool:
    """Return whether the value is no secret: set or not, or how many tokens a model used."""
    counts = isinstance(value, (int, float)) and re.search(r"tokens|token_count", key)
    return value is None or isinstance(value, bool) or bool(counts)


def _hider(key: str) -> Callable[[Any], Any] | None:
    """Return how a value under this key is hidden; None when the key says nothing."""
    plain = key.lower()
    words = {word.lower() for word in _WORDS.findall(key)}
    if plain in _LEAD_KEYS:
        return _hide_lead
    if plain in _SPEECH_KEYS:
        return _hide_speech
    if words & _PHONE_WORDS:
        return _hide_phone
    if plain in {"from", "to"}:
        return _hide_end
    if words & _NAME_WORDS or words & _PRIVATE_WORDS:
        return _hide_all
    return None


def _hide_phone(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, (int, float)) and abs(value) < 1_000_000):
        return value  # a count or an attempt's number, not a telephone's
    if isinstance(value, (date, time, timedelta)):
        return str(value)  # `called_at`
    return redact_phone(str(value))


def _hide_end(value: Any) -> Any:
    """Hide one end of a call, which is a number, but not of a transition, which is a word."""
    text = str(value)
    return redact_phone(text) if sum(map(str.isdecimal, text)) >= 7 else redact_text(text)


def _hide_speech(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if isinstance(value, (list, tuple)):
        return [redact_speech(str(part)) for part in value]
    return redact_speech(str(value))


def _hide_lead(value: Any) -> Any:
    if isinstance(value, Mapping):
        return redact_lead(value)
    if isinstance(
        value, (list, tuple, set, frozenset)
    ):  # `fields=["phone"]` lists keys, not values
        return [part if _is_identifier(part) else HIDDEN for part in value]
    if isinstance(value, str) and not re.fullmatch(_A_UUID, value):
        return HIDDEN
    return _redact_content(value, pii=False, depth=_DEEPEST)


def _is_identifier(part: Any) -> bool:
    return isinstance(part, str) and re.fullmatch(r"[a-z][a-z0-9_]*", part) is not None


def _hide_all(value: Any) -> Any:
    return value if isinstance(value, bool) else HIDDEN


# Contents


def _redact_content(value: Any, *, pii: bool, depth: int) -> Any:
    if value is None or isinstance(value, (bool, float)):
        return value
    if isinstance(value, int):
        return HIDDEN if not pii and _is_nanp(str(value)) else value
    if isinstance(value, (str, PurePath)):
        return redact_text(str(value), pii=pii)
    if isinstance(value, (date, time, timedelta, UUID, Enum)):
        return str(value)  # an enum may subclass str, and is then handled above
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"[{len(value)} bytes]"
    return _redact_structure(value, pii=pii, depth=depth)


def _redact_structure(value: Any, *, pii: bool, depth: int) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {
            redact_text(str(key), pii=pii): redact_value(str(key), part, pii=pii, depth=depth + 1)
            for key, part in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact_value("", part, pii=pii, depth=depth + 1) for part in value]
    return redact_text(repr(value), pii=pii)


# Patterns

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(?:sk-|whsec_)[\w-]{8,}"), HIDDEN),  # OpenAI, Anthropic, webhook secrets
    (re.compile(r"\bivr_[sa]k_[\w-]{24,}"), HIDDEN),  # our own; a hint is shorter
    (re.compile(r"\bSK[0-9a-f]{32}\b"), HIDDEN),  # Twilio API keys
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),  # JSON web tokens
    (re.compile(r"\b(basic|bearer)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"(?<=://)[^\s/@]+@"), f"{HIDDEN}@"),  # user:password@host
    (
        re.compile(
            r"""(['"]?\b[\w-]{0,40}(?:token|password|passwd|secret|api[_-]?key|signature|authorization)"""
            r"""['"]?\s*[=:]\s*)(?:'[^']*'|"[^"]*"|[^\s&,;'"]+)""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    # 32 hex digits on their own look like a Twilio auth token; SIDs have letters in front.
    (re.compile(r"(?<![\w:-])[0-9a-f]{32}(?![\w-])"), HIDDEN),
)

_LEAKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+"), HIDDEN),
    (re.compile(r"\[parameters: .*", re.DOTALL), f"[parameters: {HIDDEN}]"),  # SQLAlchemy's errors
    (re.compile(r"input_value=.*?(?=, input_type=|\n|$)"), f"input_value={HIDDEN}"),  # pydantic's
)

_A_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_NUMBERS = re.compile(
    r"(?P<keep>"
    rf"\b{_A_UUID}\b"
    r"|\b[A-Z]{2}[0-9a-f]{32}\b"  # a Twilio SID
    r"|\b(?:19|20)\d\d-[01]\d-[0-3]\d(?!\d)"  # a date, perhaps with its time
    r"(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?"
    r"|\b(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"  # an IPv4 address
    r")"
    r"|(?:\+|(?<!\w)\(?)\d(?:[\s().,/-]{0,3}\d){6,}"
)


def _redact_number(match: re.Match[str]) -> str:
    text = match[0]
    if match["keep"] is not None or not _is_phone(text):
        return text
    return redact_phone(text)


def _is_phone(text: str) -> bool:
    """Judge a run of at least seven digits; better one number too many than one too few."""
    digits = "".join(character for character in text if character.isdecimal())
    if text.startswith(("+", "(")) or _is_nanp(digits):
        return True
    if re.fullmatch(r"\d+\.\d+", text):
        return False  # a measured quantity
    if len(digits) == 7:
        return re.fullmatch(r"\d{3}[\s.-]\d{4}", text) is not None
    return len(digits) >= 10 and (text.startswith("0") or text != digits)


def _is_nanp(digits: str) -> bool:
    """Return whether this is a North American number; Unix times begin with 1 and never are."""
    return re.fullmatch(r"1?[2-9]\d{2}[2-9]\d{6}", digits) is not None


def hide_exactly(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that hides these very strings; those under six characters are ignored."""
    known = sorted({secret for secret in secrets if len(secret) >= 6}, key=len, reverse=True)
    if not known:
        return lambda text: text
    pattern = re.compile("|".join(map(re.escape, known)))
    return lambda text: pattern.sub(HIDDEN, text)
