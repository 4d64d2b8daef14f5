"""Where a dialogue of the rules collector stands, as data that JSON can carry; decides nothing."""

import copy
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ivr.agent.phrases import Medium

# answer: of `asking`. confirm: its value was read back. doubt: `suggestion` was asked back.
# caller: whether the number they call from will do. more: what completes the value, if anything.
STATE = "collector"  # in a conversation's state: where its collector stands
Mode = Literal["answer", "confirm", "doubt", "caller", "more", "done"]


@dataclass(slots=True)
class State:
    values: dict[str, str] = field(default_factory=dict)
    settled: list[str] = field(default_factory=list)  # confirmed, or not to be confirmed any more
    skipped: list[str] = field(default_factory=list)
    attempts: dict[str, int] = field(default_factory=dict)
    asking: str = ""  # a field's key; "" before the first question
    mode: Mode = "answer"
    question: str = ""  # what was asked last, to be said again on request
    suggestion: str = ""
    heard: str = ""  # the words that led to the suggestion
    partial: str = ""
    nudges: int = 0
    silences: int = 0
    turns: int = 0
    caller_number: str = ""  # "" once it was refused
    medium: Medium = "voice"
    language: str = ""  # of the other's words; "" as long as they did not tell


def restored(saved: Mapping[str, Any], *, known: Set[str]) -> State:
    """Return the state that `saved` holds, without the fields that the profile has lost since."""
    names = {entry.name for entry in fields(State)}
    state = State(**{name: copy.copy(saved[name]) for name in saved if name in names})
    state.values = {key: value for key, value in state.values.items() if key in known}
    if state.asking not in known:
        state.asking = ""
    return state
