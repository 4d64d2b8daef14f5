"""What the emulated text model says in a conversation with tools, as data. No I/O.

Steps are taken in order from `OpenAIEmulator.steps`; where there is none, its mind (`think`)
answers, a function of what it is shown. `by_message` makes one out of a table, so that any number
of conversations may be held at once.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

# int: an HTTP status. hang: no answer. not_json: a broken body. other: JSON of another shape.
# refusal, length: as the service says them. filtered: the content filter.
Fault = int | Literal["hang", "not_json", "other", "refusal", "length", "filtered"]


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call; arguments given as text are sent as they are, also when they are no JSON."""

    name: str
    arguments: Mapping[str, Any] | str

    @property
    def wire(self) -> str:
        given = self.arguments
        return given if isinstance(given, str) else json.dumps(dict(given), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Say:
    """One answer of the model: words, calls, both, or neither (then it is empty)."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model is shown in one request."""

    messages: Sequence[Mapping[str, Any]]
    tools: tuple[str, ...]

    @property
    def instructions(self) -> str:
        """The system's words."""
        first = self.messages[0]
        return str(first["content"]) if first["role"] in ("system", "developer") else ""

    @property
    def last_message(self) -> str:
        """What the person wrote last."""
        said = [m["content"] for m in self.messages if m["role"] == "user"]
        return str(said[-1]) if said else ""

    @property
    def round(self) -> int:
        """How often the model has answered that message already, with tool calls."""
        count = 0
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            count += message["role"] == "assistant"
        return count

    @property
    def results(self) -> list[dict[str, Any]]:
        """The results of the tools called since that message."""
        found: list[dict[str, Any]] = []
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            if message["role"] == "tool":
                found.append(json.loads(message["content"]))
        return found[::-1]


Mind = Callable[[Shown], Say]


def by_message(table: Mapping[str, Sequence[Say]], *, default: Say | None = None) -> Mind:
    """Return the mind that answers each message by its steps, round by round."""

    def answer(shown: Shown) -> Say:
        steps = table.get(shown.last_message)
        if steps is not None and shown.round < len(steps):
            return steps[shown.round]
        assert default is not None, f"nothing to say to {shown.last_message!r} ({shown.round})"
        return default

    return answer


def save(name: str, value: str, *, heard_as: str = "") -> Call:
    """Return a call of `save_field`."""
    return Call("save_field", {"name": name, "value": value, "heard_as": heard_as or value})
