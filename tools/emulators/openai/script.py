"""Decides what the emulated model does next: it performs a scenario, turn by turn. No I/O.

A response for a turn with `calls` only makes the calls; once all outputs are there, the next
response speaks. A turn is over when the caller answered; a response asked for in between (a nudge
after silence) does not use up a turn.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tools.scenarios import Call, Scenario, Turn

NUDGE = "Are you still there?"
FILLER = "One moment."
PREAMBLE = "Let me see."

# Models say goodbye before they end the call, in one response, wherever the scenario has it.
_CALLED_AFTER_SPEECH = {"end_call"}


@dataclass(frozen=True, slots=True)
class Speak:
    """A message item of the assistant."""

    text: str


@dataclass(frozen=True, slots=True)
class CallFunction:
    """A function_call item; `arguments` is a JSON string."""

    name: str
    arguments: str


Act = Speak | CallFunction


def calls(wanted: Iterable[Call]) -> list[Act]:
    """Return the acts that make the scenario's calls."""
    return [CallFunction(call.name, json.dumps(dict(call.arguments))) for call in wanted]


class Script:
    """One session's way through a scenario; `default_reply` (None: silence) where there is none."""

    def __init__(
        self,
        scenario: Scenario | None,
        default_reply: str | None,
        *,
        told: Callable[[str], Scenario | None] | None = None,
    ) -> None:
        self._told = told
        self._turns: tuple[Turn, ...] = scenario.turns if scenario else ()
        self._scripted = scenario is not None
        self._default = default_reply
        self._next = 0
        self._called = False  # the next turn's calls were made
        self._problem = False  # one of them was refused
        self._answered = True  # nobody has to say anything before the next turn
        self._outputs = 0  # function outputs since the last response
        self._redo: list[Act] = []  # calls that an interruption kept from being made
        self._takes_over = False  # another session's conversation was replayed to it
        self._rest: list[Act] = []  # of a turn that broke off in that session
        self._made: list[Call] = []  # calls of the next turn that were made in that session
        self._replayed: set[str] = set()  # the ids of all that were

    def meet(self, instructions: str) -> None:
        """Go on as it goes with the caller of whom the session's instructions tell."""
        if self._told is not None and (scenario := self._told(instructions)) is not None:
            self._turns = scenario.turns

    @property
    def finished(self) -> bool:
        """Whether there is a scenario and its last turn was performed."""
        return self._scripted and self._next >= len(self._turns)

    def next_acts(self, missing_outputs: list[str], instructions: str = "") -> list[Act]:
        """Return what the next response does; [] is a response without output.

        `instructions` are the response's own; who takes a conversation over says what they say.
        """
        if not self._scripted:
            return [Speak(self._default)] if self._default is not None else []
        outputs, self._outputs = self._outputs, 0
        if missing_outputs:
            return [Speak(FILLER)]
        if self._takes_over and (words := _exact_words(instructions)):
            return self._say_first(words)
        if self._redo:
            acts, self._redo = self._redo, []
            return acts
        if self._rest:
            acts, self._rest = self._rest, []
            return acts
        if not self._answered:
            return [] if outputs else [Speak(NUDGE)]
        return [] if self.finished else self._perform(self._turns[self._next])

    def aside(self) -> list[Act]:
        """Return what an out-of-band response says; it uses up nothing."""
        return [Speak(self._default)] if self._default is not None else []

    def heard(self) -> str:
        """Return what the caller said in the audio that was committed just now."""
        waited = not self._answered
        self._hear()
        if not waited or not 0 < self._next <= len(self._turns):
            return ""
        return self._turns[self._next - 1].caller

    def interrupted(self, left: Iterable[Act]) -> None:
        """Note a cancelled response's acts that were cut or not begun; calls are made again."""
        if self._scripted:
            self._redo = [act for act in left if isinstance(act, CallFunction)]

    def item_created(self, item: dict[str, Any]) -> None:
        """Take note of an item that the client put into the conversation."""
        match item:
            case {"type": "function_call", "call_id": call_id, "name": name, "arguments": text}:
                self._replayed.add(call_id)
                self._remember(Call(name, json.loads(text)))
            case {"type": "function_call_output", "call_id": call_id, "output": output}:
                self._outputs += call_id not in self._replayed
                self._problem = self._problem or _is_refusal(output)
            case {"role": "user"}:
                self._hear()
            case {"role": "assistant", "content": [{"text": text}, *_]}:
                self._resume_after(text)

    def _hear(self) -> None:
        self._answered, self._rest = True, []

    def _remember(self, call: Call) -> None:
        """Take note of a call made in another session: it is not made again."""
        self._made.append(call)
        self._rest = [act for act in self._rest if act not in calls([call])]

    def _perform(self, turn: Turn) -> list[Act]:
        before = [call for call in _before_speech(turn) if call not in self._made]
        if before and not self._called:
            self._called = True
            return calls(before)
        text = turn.on_problem if self._problem and turn.on_problem else turn.assistant
        self._enter(self._next + 1, answered=not turn.caller)
        acts = [*([Speak(text)] if text else []), *calls(_after_speech(turn))]
        return acts or self.next_acts([])

    def _say_first(self, words: str) -> list[Act]:
        """Say what was told; the caller then answers the last question, perhaps once more."""
        self._takes_over = False
        self._answered = not self._turns[self._next - 1].caller
        return [Speak(words)]

    def _enter(self, turn: int, *, answered: bool) -> None:
        self._next, self._answered = turn, answered
        self._called, self._problem, self._made = False, False, []

    def _resume_after(self, text: str) -> None:
        """Go on behind the turn that spoke `text`, which a session that takes over replays."""
        self._rest = []
        for i, turn in enumerate(self._turns):
            if i >= self._next and text and turn.assistant.startswith(text.rstrip(" .")):
                self._takes_over = True
                self._enter(i + 1, answered=not turn.caller)
                rest = turn.assistant[len(text) :].strip()
                self._rest = [*([Speak(rest)] if rest else []), *calls(_after_speech(turn))]
                return


def _before_speech(turn: Turn) -> list[Call]:
    is_late = _CALLED_AFTER_SPEECH if turn.assistant else set()
    return [call for call in turn.calls if call.name not in is_late]


def _after_speech(turn: Turn) -> list[Call]:
    before = _before_speech(turn)
    return [*(call for call in turn.calls if call not in before), *turn.then_calls]


def _exact_words(instructions: str) -> str:
    """Return what is to be said word for word: all behind a first line that says so."""
    first, _, words = instructions.partition("\n")
    return words.strip() if first.lower().startswith("say exactly") else ""


def _is_refusal(output: str) -> bool:
    """Whether a tool's answer says that nothing was saved."""
    try:
        found = json.loads(output)
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("saved") is False
