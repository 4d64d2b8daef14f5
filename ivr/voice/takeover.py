"""What a model session has to be told and has to do when it takes up a call.

The first one greets. Each later one is empty, as there is no way to resume a session: it is told
what was said, as far as it was heard, with the tools that were called, and does what the one
before it still owed. If nothing was owed the caller notices nothing.
"""

from collections.abc import Sequence
from enum import StrEnum

from . import realtime
from .commands import Command, RecordTurn, ToModel
from .floor import Floor
from .hearing import Hearing
from .script import GO_ON, Script
from .transcript import Line, Transcript


class Debt(StrEnum):
    """What the caller is waiting for."""

    NOTHING = "nothing"
    GREETING = "greeting"
    WORDS = "words"  # to be understood: their sound was kept, and is answered without being asked
    ANSWER = "answer"
    REST = "rest"  # of an answer that broke off


class Takeover:
    """Between two sessions of a call, and before the first."""

    def __init__(
        self, script: Script, transcript: Transcript, floor: Floor, hearing: Hearing
    ) -> None:
        self.debt = Debt.GREETING
        self._is_under_way = True
        self._script = script
        self._transcript = transcript
        self._floor = floor
        self._hearing = hearing

    def begin(self, *, is_greeting: bool) -> None:
        """The session in use is of no more use: note what it owes, which may be not its own."""
        if self._is_under_way:
            return
        self._is_under_way = True
        self.debt = self._assess(is_greeting=is_greeting)
        if self.debt is not Debt.WORDS:
            self._hearing.keep_latest()
        self._hearing.keep_all()
        self._transcript.break_off(self._floor.playback)
        self._floor.lose_model()

    def owe_answer(self) -> None:
        if self.debt is Debt.NOTHING:
            self.debt = Debt.ANSWER

    def complete(self, *, may_ask: bool) -> list[Command]:
        """The new session is ready: tell it all, let it hear, and have it pay what is owed."""
        debt, self.debt, self._is_under_way = self.debt, Debt.NOTHING, False
        commands = [*self._history(), *self._conversation()]
        if debt is Debt.REST:
            commands.append(ToModel(realtime.message("system", GO_ON)))
        if may_ask and debt is Debt.GREETING:
            commands += self._floor.ask(self._script.opening, may_use_tools=False)
        elif may_ask and debt in (Debt.ANSWER, Debt.REST):
            commands += self._floor.ask()
        return [*commands, *(ToModel(realtime.append(audio)) for audio in self._hearing.take())]

    def give_result(self, call_id: str, output: str) -> list[Command]:
        """Give a tool's result to the session in use, even if another one called the tool."""
        if self._floor.names.knows(call_id):
            wire_id = self._floor.names.wire(call_id)
            return [ToModel(realtime.function_call_output(wire_id, output))]
        line = self._transcript.line_of_call(call_id)
        return self._retell(line) if line else []

    def correct(self, turns: Sequence[RecordTurn]) -> list[Command]:
        """Say what was heard of words that the session in use was told of and cannot truncate."""
        cut = [turn for turn in turns if turn.cut and not self._floor.names.knows(turn.item_id)]
        return [
            ToModel(realtime.message("system", f"Of your last words only this was heard: {t.text}"))
            for t in cut
        ]

    def _assess(self, *, is_greeting: bool) -> Debt:
        slot = self._floor.slot
        is_unheard = self._transcript.awaits_caller and not slot.is_free
        if self._floor.is_caller_speaking or is_unheard:
            return Debt.WORDS
        if slot.is_free:
            return Debt.NOTHING
        if self._floor.is_answering:
            return Debt.REST
        return Debt.GREETING if is_greeting else Debt.ANSWER

    def _history(self) -> list[Command]:
        commands: list[Command] = []
        for item_id, role, text in self._script.replay:
            self._transcript.skip(self._floor.names.ours(item_id))
            commands.append(ToModel(realtime.message(role, text, item_id=item_id)))
        return commands

    def _conversation(self) -> list[Command]:
        lines = self._transcript.retell(self._floor.playback)
        return [command for line in lines for command in self._retell(line)]

    def _retell(self, line: Line) -> list[Command]:
        name = f"line_{line.number}"  # the service's own names may be too long, or be taken
        self._transcript.skip(self._floor.names.ours(name))
        if line.call is None:
            return [ToModel(realtime.message(line.role, line.text, item_id=name))]
        call, output = line.call, line.output or ""
        return [
            ToModel(realtime.function_call(name, call.name or "", call.arguments or "{}")),
            ToModel(realtime.function_call_output(name, output)),
        ]
