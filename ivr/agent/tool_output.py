"""What a tool answers: JSON for the model, and what it means for the conversation."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool says to the model (`output` is JSON), and what it means for the conversation."""

    output: str
    ends: str | None = None
    transfer: bool = False


def dumped(**answer: Any) -> str:
    """Return the JSON that a model reads, in the letters it is written in."""
    return json.dumps(answer, ensure_ascii=False)


def problem(why: str) -> ToolOutput:
    """Return that nothing was saved, and why, in words that the model can use."""
    return ToolOutput(dumped(saved=False, problem=why))
