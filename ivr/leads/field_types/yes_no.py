"""A yes or a no, in the many ways people say them; the canonical values are "yes" and "no"."""

import re
from datetime import date

from ivr.leads.field_types.base import Accepted, Checked, Field, FieldType, Refused, Vocabulary
from ivr.leads.field_types.settled_amounts import is_settled
from ivr.leads.field_types.speech import is_unknowing, tidy, without_arabic_signs

SETTLED = "settled"
YES = (
    "yes", "yeah", "yep", "yup", "ya", "yah", "sure", "correct", "right", "that's right",
    "that is right", "that's correct", "that is correct", "that's it", "okay", "ok", "of course",
    "absolutely", "exactly", "definitely", "certainly", "affirmative", "uh huh", "mm hmm", "mhm",
    "you got it", "you bet", "it is", "i do", "i am", "it does", "sounds good", "perfect",
    "please do", "yes sir", "yes ma'am", "si", "true", "that works", "that's fine", "fine",
    "go ahead", "that one's good", "that's the best one",
)  # fmt: skip
NO = (
    "no", "nope", "nah", "no way", "not really", "negative", "incorrect", "wrong", "that's wrong",
    "that is wrong", "not correct", "not right", "that's not right", "that's not it",
    "that is not right", "that's incorrect", "not quite", "not at all", "it isn't", "it is not",
    "it's not", "i don't", "i'm not", "don't", "never", "uh uh", "nuh uh", "false", "no sir",
    "no ma'am", "no thanks", "no thank you",
)  # fmt: skip
# Written only: recognisers with closed grammars do not know them.
YES_ARABIC = (
    "نعم", "أيوه", "ايوه", "أيوا", "ايوا", "إيه", "اي", "أجل", "اجل", "بلى", "صحيح", "هذا صحيح",
    "تمام", "أكيد", "اكيد", "طبعا", "موافق", "بالتأكيد", "بالطبع", "مضبوط", "حسنا", "ماشي", "اوكي",
    "أوكي",
)  # fmt: skip
NO_ARABIC = (
    "لا", "كلا", "ليس صحيحا", "غير صحيح", "هذا غير صحيح", "خطأ", "غلط", "مو صحيح", "لا شكرا",
    "ليس هذا",
)  # fmt: skip
_HESITATION = re.compile(r"^(?:(?:um+|uh|er|oh|well)\b[\s,.]*)+(?!\s*(?:huh|uh)\b)", re.IGNORECASE)
_UNSURE = re.compile(r"\bmaybe\b")


def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})(?!['\w])", re.IGNORECASE)


_YES, _NO = _pattern((*YES, *YES_ARABIC)), _pattern((*NO, *NO_ARABIC))


def is_yes(text: str) -> bool | None:
    """Return True for a yes, False for a no, None for neither; of both, the first said wins."""
    bare = without_arabic_signs(text.casefold().replace("\u2019", "'"))
    plain = tidy(re.sub(r"[^\w'\s]", " ", bare))
    if _UNSURE.search(plain) or is_unknowing(plain):
        return None
    if plain in ("y", "n"):
        return plain == "y"
    no, yes = _NO.search(plain), _YES.search(plain)
    if no and (not yes or no.start() <= yes.start() or no.end() >= yes.end()):
        return False  # "that's not right": the no holds the yes
    return True if yes else None


def split_answer(text: str) -> tuple[bool | None, str]:
    """Return the yes or no that `text` begins with, and what is said after it."""
    rest = _HESITATION.sub("", without_arabic_signs(tidy(text)), count=1)
    answer, after = _head(rest)
    if answer is None or is_unknowing(text):  # "no idea" is no no
        return is_yes(text), rest
    while (more := _head(after))[0] is answer:  # "no no, that's wrong"
        after = more[1]
    return answer, after


def _head(text: str) -> tuple[bool | None, str]:
    matches = {False: _NO.match(text), True: _YES.match(text)}
    found = [(match.end(), answer) for answer, match in matches.items() if match]
    end, answer = max(found, default=(0, None))
    return answer, text[end:].strip(" ,.!;:?،؛؟")


class YesNo(FieldType):
    options = {"find": str}  # find "settled": whether an amount is, wherever it is said

    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        answer = is_yes(raw)
        if answer is None:
            return Refused("I need a yes or a no")
        return _answer(said_yes=answer)

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        settled = is_settled(tidy(text)) if field.options.get("find") == SETTLED else None
        return None if settled is None else _answer(said_yes=settled)

    def rule(self, field: Field, *, today: date | None) -> str:
        return 'exactly "yes" or "no"'

    def vocabulary(self, field: Field) -> Vocabulary:
        return Vocabulary(kind="yes_no", words=(*YES, *NO))

    def keyed(self, field: Field, keys: str) -> str:
        return {"1": "yes", "2": "no"}.get(keys, "")

    def problem(self, field: Field) -> str:
        is_right = field.options.get("find", SETTLED) == SETTLED
        return "" if is_right else f"find: must be {SETTLED!r}, or left out"


def _answer(*, said_yes: bool) -> Accepted:
    word = "yes" if said_yes else "no"
    return Accepted(word, word)
