"""What the rules collector does in answer to what it hears, and what it expects next."""

from dataclasses import dataclass
from typing import Literal

from ivr.leads.fields import Field

EndReason = Literal["complete", "incomplete", "caller_goodbye", "silence", "transfer"]


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Save:
    """Keep a canonical value; `insisted` = it was asked back and the caller stood by it."""

    name: str
    value: str
    heard_as: str
    insisted: bool = False


@dataclass(frozen=True, slots=True)
class Confirm:
    """The caller confirmed the value that was read back."""

    name: str


@dataclass(frozen=True, slots=True)
class Deny:
    """The caller said that the value read back is wrong, and did not yet give another."""

    name: str


@dataclass(frozen=True, slots=True)
class CallBack:
    """The caller asked for a person and was promised that one will call back."""


@dataclass(frozen=True, slots=True)
class End:
    """The conversation is over once everything said before is heard; "transfer" = to a person."""

    reason: EndReason


Act = Say | Save | Confirm | Deny | CallBack | End


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the caller will probably say next: an answer, a yes or no, or nothing."""

    field: Field | None
    kind: Literal["answer", "yes_no", "done"]
