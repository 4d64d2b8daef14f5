"""One written turn with a model: what was said, the tools it calls, and its answer.

Knows no database and no provider: `tools` commits the values, `vendors.llm` asks the model.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ivr.agent.text_turn import LONGEST
from ivr.agent.tool_schemas import CALL_BACK, TRANSFER
from ivr.agent.toolbox import ToolBox
from ivr.db.tables import Role, Turn
from ivr.errors import ModelError
from ivr.vendors.llm import Message, Spoken, TextModel, ToolCall, ToolResult, Usage, Written

MOST_ROUNDS = 6  # of tool calls in one turn
MOST_TURNS = 40  # of the history that a model is shown
LONGEST_HISTORY = 12_000
LONGEST_REPLY = 1_500
_PERSON = (TRANSFER, CALL_BACK)
_QUESTION = re.compile(r"[?؟]\s*$")
_CONFIDENCE = re.compile(
    r"[\s\[(*_]{0,9}\bconfidence\b[*_\s:=]{0,9}([01](?:[.,]\d+)?|[.,]\d+)[\s\])*_.]{0,9}$",
    re.IGNORECASE,
)
# A tool call that was written down instead of made, or an answer in code.
_RUBBISH = re.compile(r"^\s*(?:[{<]|```|\[\s*[{\"])|\b(?:save_field|end_call|tool_call)\b")


@dataclass(slots=True)
class ModelTurn:
    """What came of a turn; while it goes on, what has come of it so far."""

    text: str = ""
    ends: str | None = None
    asks_person: bool = False
    confidence: float | None = None
    used: list[Usage] = field(default_factory=list)


class TextModelTurn:
    """One turn; `result.used` has what it took, also when it fails."""

    def __init__(
        self,
        model: TextModel,
        tools: ToolBox,
        *,
        instructions: str,
        schemas: Sequence[Mapping[str, Any]],
        until: float,
    ) -> None:
        self.result = ModelTurn()
        self._model = model
        self._tools = tools
        self._instructions = instructions
        self._schemas = schemas
        self._until = until  # on the monotonic clock

    async def run(self, turns: Sequence[Turn]) -> ModelTurn:
        """Return the answer; raise `ModelError` when there is none that can be sent."""
        history: list[Message] = list(history_of(turns))
        for _ in range(MOST_ROUNDS):
            spoken = await self._ask(history)
            self._keep(spoken.text)
            results = [await self._run(call) for call in spoken.calls]
            if self._is_complete(spoken, results):
                break
            history += [spoken, *results]
        if not self.result.text:
            raise ModelError(f"{self._model.name} called tools and gave no answer")
        return self.result

    async def _ask(self, history: Sequence[Message]) -> Spoken:
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise ModelError(f"{self._model.name} took too long")
        spoken = await self._model.converse(
            instructions=self._instructions,
            history=history,
            tools=self._schemas,
            timeout_seconds=seconds,
        )
        self.result.used.append(spoken.usage)
        if spoken.problem:
            raise ModelError(f"{self._model.name} {spoken.problem}")
        if not spoken.calls and not spoken.text:
            raise ModelError(f"{self._model.name} gave an empty answer")
        return spoken

    def _keep(self, said: str) -> None:
        """Keep the words for the contact and the model's confidence; raise `ModelError`."""
        text, confidence = read_answer(said)
        if _RUBBISH.search(text):
            raise ModelError(f"{self._model.name} wrote code instead of an answer")
        self.result.text = text or self.result.text
        self.result.confidence = self.result.confidence if confidence is None else confidence

    def _is_complete(self, spoken: Spoken, results: Sequence[ToolResult]) -> bool:
        """Whether the words may go out: nothing was called, or its result changes nothing."""
        if not spoken.calls:
            return True
        is_done = bool(self.result.ends) or self.result.asks_person
        closes = is_done or asks(self.result.text)
        failed = any(_has_failed(result.output) for result in results)
        return closes and not failed and bool(read_answer(spoken.text)[0])

    async def _run(self, call: ToolCall) -> ToolResult:
        if call.name in _PERSON:
            self.result.asks_person = True
            return ToolResult(call=call, output=json.dumps({"a_person_takes_over": True}))
        output = await self._tools.run(call.name, call.arguments)
        if output.ends == "complete" and (missing := await self._tools.missing()):
            problem = f"still missing: {', '.join(missing)}; go on asking"
            return ToolResult(call=call, output=json.dumps({"problem": problem}))
        self.result.ends = output.ends or self.result.ends
        return ToolResult(call=call, output=output.output)


def history_of(turns: Sequence[Turn]) -> list[Written]:
    """Return the end of a transcript as a model is shown it: bounded, the contact first."""
    shown: list[Written] = []
    room = LONGEST_HISTORY
    for turn in reversed(turns[-MOST_TURNS:]):
        text = turn.text.strip()[:LONGEST] or "(nothing)"
        room -= len(text)
        if shown and room < 0:
            break
        shown.append(Written(by="person" if turn.role == Role.CALLER else "assistant", text=text))
    if shown and shown[-1].by == "assistant":  # some providers want a person to begin
        shown.append(Written(by="person", text="(earlier messages are not shown)"))
    return shown[::-1]


def read_answer(said: str) -> tuple[str, float | None]:
    """Return the words for the contact, and the confidence that stood on the last line."""
    match = _CONFIDENCE.search(said)
    text = (said[: match.start()] if match else said).strip()
    confidence = float(match[1].replace(",", ".")) if match else None
    known = confidence is not None and confidence <= 1
    return text[:LONGEST_REPLY].strip(), confidence if known else None


def asks(text: str) -> bool:
    """Whether words for the contact end with a question."""
    return bool(_QUESTION.search(text))


def _has_failed(output: str) -> bool:
    answer = json.loads(output)
    return "problem" in answer or "ask_back" in answer or "send" in answer
