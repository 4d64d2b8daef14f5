"""The shape of a field, of an answer's verdict and of a field type; knows no type itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

VocabularyKind = Literal["digits", "year", "words", "yes_no", "names", "open"]

LONGEST_ANSWER = 2000  # characters; nobody says more in one turn, and patterns stay quick


@dataclass(frozen=True, slots=True)
class Field:
    """One thing a business wants to know, with the words to ask for it."""

    key: str
    type: str
    label: str
    ask: str
    asked: bool = True  # no: tools, staff or the contact unasked make it known
    required: bool = True
    confirm: bool = False
    pii: str = "none"
    stage: str = ""
    choices: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    help: str = ""
    ask_caller: str = ""  # asked instead of `ask` when the caller's number is known; has {number}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A good answer: `value` is canonical, `details` is what follows from it (a ZIP's state)."""

    value: str
    spoken: str
    details: Mapping[str, str] = field(default_factory=dict)
    ask_more: str = ""  # the value is usable, but this would complete it ("And your last name?")


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An answer to ask back with yes or no; a yes makes `suggestion` the value."""

    suggestion: str
    spoken: str
    question: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer we cannot take, with the reason as the assistant would say it."""

    reason: str
    partial: str = ""  # the usable beginning of an answer, which the next one may complete


Checked = Accepted | Doubtful | Refused


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a closed recogniser must know to hear a field; `length` counts digits, 0 is any.

    digits: single digit words. year: number words. yes_no, words: `words` are whole phrases.
    names: `words` are first and last names, said in any order. open: no closed list exists.
    """

    kind: VocabularyKind
    words: tuple[str, ...] = ()
    length: int = 0


class FieldType(ABC):
    """What a field type can do; a module here has one subclass, `TYPES` one instance of it."""

    options: Mapping[str, type] = {}  # what a profile may set for fields of this type

    @abstractmethod
    def check(self, field: Field, raw: str, *, today: date, insisted: bool) -> Checked:
        """Return the verdict on an answer; `insisted` = the caller stood by a doubtful one."""

    def find(self, field: Field, text: str, *, today: date) -> Accepted | None:
        """Return the value inside a sentence about something else, when there is no doubt."""
        return None

    def spoken(self, field: Field, value: str) -> str:
        """Return how to say a canonical value aloud."""
        return value

    def known(self, value: str) -> bool:
        """Return whether a canonical value tells anything; a flag that is false does not."""
        return bool(value)

    def rule(self, field: Field, *, today: date | None) -> str:
        """Return what a good value is, as one clause; with `today` None, one that never ages."""
        return ""

    def vocabulary(self, field: Field) -> Vocabulary:
        """Return the words with which people answer."""
        return Vocabulary(kind="open")

    def keyed(self, field: Field, keys: str) -> str:
        """Return the answer that keypad digits stand for, "" when a keypad cannot give one."""
        return ""

    def join(self, partial: str, raw: str) -> str:
        """Return one answer out of a beginning heard before and what came now."""
        return f"{partial} {raw}"

    def problem(self, field: Field) -> str:
        """Return what is wrong with a field of this type in a profile, "" when nothing is."""
        return ""
