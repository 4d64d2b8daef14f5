"""What the caller does: speaks, keys something in, leaves. Decides nothing about the call."""

from . import realtime
from .assistant import Assistant
from .commands import Command, ToModel
from .floor import Floor
from .keypad import Keypad
from .patience import Patience
from .script import Limits
from .timers import Timer, Timers
from .transcript import Transcript


class Caller:
    """The person on the line, as far as the wires tell of them."""

    def __init__(
        self,
        limits: Limits,
        timers: Timers,
        *,
        floor: Floor,
        transcript: Transcript,
        assistant: Assistant,
        patience: Patience,
    ) -> None:
        self._limits = limits
        self._timers = timers
        self._floor = floor
        self._transcript = transcript
        self._assistant = assistant
        self._patience = patience
        self._keypad = Keypad()

    @property
    def is_keying(self) -> bool:
        return self._keypad.is_active

    def started(self, item_id: str, now: float) -> list[Command]:
        """They speak: nobody else does."""
        self._patience.caller_is_there()
        self._timers.set(Timer.MONOLOGUE, now + self._limits.monologue_s)
        return self._floor.caller_started(item_id, now)

    def stopped(self, item_id: str, now: float) -> None:
        """They have said something: it is being written out, and will be answered."""
        self._timers.clear(Timer.MONOLOGUE)
        if item_id and self._floor.caller_item == item_id:
            self._transcript.expect(item_id, now)
        self._floor.caller_stopped()

    def pressed(self, digit: str, now: float) -> list[Command]:
        """Take a key; all of them are sent after `#`, or when no more come."""
        self._patience.caller_is_there()
        commands = [] if self._keypad.is_active else self._floor.key_pressed(now)
        if self._keypad.press(digit):
            return [*commands, *self.send_keys(now)]
        self._timers.set(Timer.KEYS, now + self._limits.keys_s)
        return commands

    def send_keys(self, now: float) -> list[Command]:
        """Tell the assistant what was keyed in, as soon as it can be told."""
        if not self._assistant.is_ready:
            self._timers.set(Timer.KEYS, now + self._limits.keys_s)
            return []
        self._timers.clear(Timer.KEYS)
        keys = self._keypad.take()
        if not keys:
            return []
        said = realtime.message("user", f"The caller keyed in: {keys}")
        return [ToModel(said), *self._floor.ask()]

    def left(self, now: float) -> list[Command]:
        """They are gone: a word cut off is a turn as well."""
        if (item_id := self._floor.caller_item) is None:
            return []
        self._transcript.expect(item_id, now)
        return [ToModel(realtime.commit())]
