"""A goodbye under way: why, whether it has been said, and the mark that proves it was heard."""

from dataclasses import dataclass

from .commands import Command
from .floor import Floor
from .script import HANDOVER, Limits, Script
from .timers import Timer, Timers


@dataclass(slots=True)
class Goodbye:
    """`spoken`: said or asked for; `is_final`: the caller cannot talk us out of it."""

    reason: str
    spoken: bool
    transfer: bool = False
    is_final: bool = False
    mark: str | None = None

    def amend(self, reason: str, *, transfer: bool) -> None:
        """Take over what a better informed source says; who was promised a person gets one."""
        if transfer or not self.transfer:
            self.reason = reason
        self.transfer = self.transfer or transfer


class Farewell:
    """How a call comes to its goodbye; one that the caller talks into never was."""

    def __init__(self, script: Script, limits: Limits, timers: Timers, floor: Floor) -> None:
        self.goodbye: Goodbye | None = None
        self._script = script
        self._limits = limits
        self._timers = timers
        self._floor = floor

    @property
    def is_final(self) -> bool:
        return self.goodbye is not None and self.goodbye.is_final

    def decide(self, reason: str, *, spoken: bool, transfer: bool) -> bool:
        """Decide on goodbye; False when it was decided before."""
        if self.goodbye is not None:  # said before it was done by tool: the tool knows the reason
            self.goodbye.amend(reason, transfer=transfer)
            return False
        self.goodbye = Goodbye(reason, spoken=spoken, transfer=transfer)
        return True

    def insist(self, now: float) -> None:
        """From now on the caller is not listened to, and it ends in any case."""
        assert self.goodbye is not None, "a goodbye that nobody decided on"
        self.goodbye.is_final = True
        self._floor.stop_listening()
        self._timers.clear(Timer.MONOLOGUE)
        self._timers.set(Timer.FINAL, now + self._limits.final_s)

    def say(self, now: float, *, has_model: bool) -> list[Command]:
        """Have it said if it was decided on, and once it was said, have it proven heard."""
        goodbye = self.goodbye
        if goodbye is None or (not goodbye.spoken and not has_model):
            return []
        if goodbye.spoken:
            return self._bookmark(goodbye, now) if goodbye.mark is None else []
        goodbye.spoken = True
        words = HANDOVER if goodbye.transfer else self._script.farewell
        return self._floor.ask(words, may_use_tools=False)

    def is_marked(self, mark: str) -> bool:
        """Whether this mark stands behind the goodbye."""
        return self.goodbye is not None and self.goodbye.mark == mark

    def abandon(self) -> None:
        self.goodbye = None
        self._timers.clear(Timer.GOODBYE)

    def _bookmark(self, goodbye: Goodbye, now: float) -> list[Command]:
        goodbye.mark, wait_s, command = self._floor.bookmark("bye")
        self._timers.set(Timer.GOODBYE, now + wait_s + self._limits.mark_grace_s)
        return [command]
