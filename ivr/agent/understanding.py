"""What a caller means besides a plain answer: requests, corrections, answers to other questions.

Pure text in, findings out; what follows from them is for the collector.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from enum import StrEnum

from ivr.agent.goodbye import caller_says_goodbye
from ivr.agent.person_request import wants_person
from ivr.leads.field_types.person_name import standing_alone
from ivr.leads.field_types.speech import (
    after_correction,
    is_only_correcting,
    tidy,
    without_arabic_signs,
)
from ivr.leads.field_types.spoken_numbers import FILLERS, is_number_word, tokens
from ivr.leads.field_types.yes_no import is_yes, split_answer
from ivr.leads.fields import (
    Accepted,
    Checked,
    Doubtful,
    Field,
    Refused,
    check,
    find,
    vocabulary,
)

_REPEAT = re.compile(
    r"\b(?:repeat|say (?:that|it) again|one more time|come again|what (?:did you say|was that)"
    r"|(?:didn't|did not|couldn't|can't) (?:hear|catch|understand))\b"
    r"|(?<!\w)(?:كرر|[أا]عد|تعيد|ممكن تعيد|مرة [أا]خرى|لم [أا]فهم|ما فهمت|ماذا (?:قلت|تقصد))(?!\w)"
    r"|^(?:but |and )?i(?:'ve| have)? (?:already |just )?(?:told|said|gave|answered)\b"
    r"[\w ]{0,25}[.!]*$"
    r"|^(?:sorry|pardon(?: me)?|excuse me|huh|what|again)[?.!, ]*$",
    re.IGNORECASE,
)
_MACHINE = re.compile(
    r"\bwho are you\b|(?<!\w)من [أا]نت(?!\w)"
    r"|\b(?:are you|is this|am i (?:talking|speaking) (?:to|with)) (?:an? |the )?"
    r"(?:real |live |actual )?(?:robot|bot|machine|computer|ai|human|person|recording)\b"
    r"|(?<!\w)(?:هل )?[أا]نت (?:روبوت|بوت|[آا]لة|[آا]لي|[إا]نسان|شخص حقيقي|ذكاء اصطناعي)(?!\w)",
    re.IGNORECASE,
)
_CORRECTING = re.compile(
    r"^(?:no|nope|wait|sorry)\b|\b(?:actually|i meant?|correct(?:ion)?|change|wrong|not right"
    r"|instead|mistake|should be)\b|(?<!\w)(?:[أا]قصد|عفوا|بل|بدلا|تصحيح|خطأ)(?!\w)",
    re.IGNORECASE,
)
_WHY = re.compile(
    r"^(?:(?:and|but|so)\s+)?(?:why|how|where)\b|^(?:لماذا|ليش|كيف|[أا]ين|وين|كم)(?!\w)", re.I
)
_ASKS = re.compile(
    r"^(?:(?:and|but|so|ok|okay|well)\b[\s,]*)*"
    r"(?:(?:what|when|who|which)\b|(?:is|are|do|does|did|can|could|will|would|should|may)"
    r"\s+(?:i|you|we|they|he|she|it|this|that|there|the|your|my|an?|some\w+|any\w+)\b)"
    r"|^(?:هل|ما|ماذا|متى|من)(?!\w)",
    re.IGNORECASE,
)
_HELLO = re.compile(
    r"^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|مرحبا|[أا]هلا|السلام عليكم)\b"
    r"(?:\s+there\b)?[\s,.!،]*)+",
    re.IGNORECASE,
)
_MOST_POLITE = 12  # words
_POLITE = re.compile(
    r"(?:\b(?:thanks?(?: (?:you|u|yo))?|thx|ty|tysm|cheers|so much|very much|a (?:lot|million)"
    r"|again|k+|ok(?:ay|ey|ie)?|all ?right|cool|great|perfect|awesome|nice|good|sounds good|got it"
    r"|will do|(?:good ?)?bye(?:[ -]bye)?|see (?:you|ya)|cya|later|soon|talk to you|then|you too"
    r"|no problem|np|no|nope|yes|yep|sure|that(?:'s| is) (?:all|it|fine|great)"
    r"|(?:i )?appreciate (?:it|that)|have a (?:good|great|nice) (?:day|one|evening|night|weekend)"
    r"|(?:for )?(?:your|the) help|for everything|shukran|lol|haha|gracias|merci)\b"
    r"|(?<!\w)(?:شكرا|جزيلا|لك|لكم|تمام|ماشي|حسنا|[أا]وكي|مع السلامة|باي|نعم|لا"
    r"|يعطيك العافية)(?!\w)"
    r"|[^\w?؟]|_)+",
    re.IGNORECASE,
)
_COMMON_WORDS = frozenset("of the a an your full code number vehicle".split())


class Request(StrEnum):
    """What a caller may want instead of answering."""

    GOODBYE = "goodbye"
    PERSON = "person"
    REPEAT = "repeat"
    MACHINE = "machine"  # "are you a robot?"


def request(text: str) -> Request | None:
    """Return what the caller asks for, None when it is nothing of that kind."""
    plain = without_arabic_signs(tidy(text))
    if _MACHINE.search(plain):
        return Request.MACHINE
    if wants_person(plain):
        return Request.PERSON
    if caller_says_goodbye(plain):
        return Request.GOODBYE
    return Request.REPEAT if _REPEAT.search(plain) else None


def asks_back(text: str) -> bool:
    """Whether it is a question to us; "why" needs no question mark, "Will Smith" is none."""
    plain = _HELLO.sub("", without_arabic_signs(tidy(text)))
    return bool(_WHY.search(plain)) or (plain.endswith(("?", "؟")) and bool(_ASKS.search(plain)))


def is_polite(text: str) -> bool:
    """Whether it is nothing but thanks, an "ok", a goodbye or a thumb up: nothing to act upon."""
    plain = without_arabic_signs(tidy(text))
    return len(plain.split()) <= _MOST_POLITE and bool(_POLITE.fullmatch(plain))


def volunteered(
    asked: Field | None,
    fields: Iterable[Field],
    values: Mapping[str, str],
    text: str,
    *,
    today: date,
) -> dict[str, Accepted]:
    """Return clear answers within `text` to others than `asked`: missing ones, and corrections."""
    fields, found = list(fields), {}
    for field in fields:
        is_asked = asked is not None and field.key == asked.key
        answer = None if is_asked else find(field, text, today=today)
        if answer is None or answer.value == values.get(field.key):
            continue
        if asked is not None and _may_be_part(asked, field, text):
            continue
        if field.key not in values or _is_correction(field, text, asked):
            found[field.key] = answer
    if found and (asked is None or asked.type not in ("person_name", "free_text")):
        found |= _name_beside(fields, {*values, *found}, text, today=today)
    return found


def _name_beside(
    fields: Iterable[Field], known: Collection[str], text: str, *, today: date
) -> dict[str, Accepted]:
    """Return the name, where none is known yet, that stands alone beside other answers."""
    wanted = [it for it in fields if it.type == "person_name" and it.key not in known]
    for at, clause in enumerate(_clauses(_HELLO.sub("", text)) if wanted else []):
        single = bool(wanted[0].options.get("single"))
        name = standing_alone(clause, is_first=at == 0, single=single)
        verdict = check(wanted[0], name, today=today) if name else None
        if isinstance(verdict, Accepted):
            return {wanted[0].key: verdict}
    return {}


def best(field: Field, text: str, others: Iterable[Field], *, today: date) -> Checked:
    """Return the verdict on an answer to `field`, looking past corrections and other clauses.

    `others` are the fields answered in the same text; their clauses are not taken for this one.
    """
    others = list(others)
    readings = [after_correction(text), text, *_clauses(text)]
    verdicts = []
    for reading in filter(None, readings):
        if not any(find(other, reading, today=today) for other in others):
            verdicts.append(check(field, reading, today=today))
        elif answer := find(field, reading, today=today):
            verdicts.append(answer)
    usable = _first_usable(verdicts) or check(field, "", today=today)
    if isinstance(usable, Accepted):
        return usable
    return find(field, text, today=today) or usable  # "oh sure, so my name is John, nice day"


def value_in_reply(field: Field, text: str, *, today: date) -> Accepted | None:
    """Return the value of `field` in a reply to a yes-or-no question about it, None without one."""
    if not text or is_yes(text) is True:
        return None
    verdict = best(field, text, [], today=today)
    is_number = vocabulary(field).kind in ("digits", "year")
    if isinstance(verdict, Accepted) and (is_number or is_yes(text) is None):
        return verdict
    return None  # a "no" is no name


def without_no(field: Field, text: str) -> str:
    """Return `text` without a "no," in front, where the field itself cannot be answered by no."""
    answer, rest = split_answer(text)
    takes_no = field.type in ("yes_no", "choice", "free_text")
    return rest if answer is False and rest and not takes_no else text


def _first_usable(verdicts: list[Checked]) -> Checked | None:
    """Accepted before doubtful before refused; among equals, the first reading."""
    for kind in (Accepted, Doubtful, Refused):
        for verdict in verdicts:
            if isinstance(verdict, kind):
                return verdict
    return None


def _clauses(text: str) -> list[str]:
    parts = re.split(r"[,;!?،؛؟\n]\s*|\.\s+|\band\b", text)
    clauses = [part.strip() for part in parts if part.strip()]
    return [it for it in clauses if not is_only_correcting(it)] if len(clauses) > 1 else []


def _may_be_part(asked: Field, other: Field, text: str) -> bool:
    """Whether a bare number, clear for `other`, may be a part of the longer one asked for."""
    longer = vocabulary(asked).length > vocabulary(other).length > 0
    return longer and not any(
        word not in FILLERS and word not in ("hundred", "thousand") and not is_number_word(word)
        for word in tokens(text)
    )


def _is_correction(field: Field, text: str, asked: Field | None) -> bool:
    """Whether `text` corrects: it says so, or names the field ("my zip is ...").

    An answer in free words may speak of anything: there it must begin with it.
    """
    if asked is not None and asked.type == "free_text":
        return bool(_CORRECTING.match(tidy(text)))
    words = set(re.findall(r"\w+", text.casefold()))
    named = set(re.findall(r"[a-z]+", f"{field.label} {field.key}".casefold())) - _COMMON_WORDS
    return bool(_CORRECTING.search(tidy(text)) or words & named)
