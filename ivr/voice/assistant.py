"""The assistant of one call, whichever of the model's sessions lends it its voice.

`model_sessions` counts the sessions, `takeover` says what a new one is told, `hearing` keeps what
it has to hear once more. Here they are one: it hears, is asked to speak, is lost and comes back.
"""

from collections.abc import Sequence

from . import realtime
from .commands import RECOVERABLE, Command, RecordTurn, ToModel
from .floor import Floor
from .hearing import Hearing
from .model_sessions import ModelSessions
from .names import Names
from .script import Limits, Script
from .takeover import Debt, Takeover
from .timers import Timers
from .transcript import Transcript


class Assistant:
    """`is_greeting` and the like are the call's to know, and are told where they matter."""

    def __init__(
        self, script: Script, limits: Limits, timers: Timers, transcript: Transcript, floor: Floor
    ) -> None:
        self._script = script
        self._transcript = transcript
        self._floor = floor
        self._hearing = Hearing(limits.held_frames)
        self._sessions = ModelSessions(limits, timers)
        self._takeover = Takeover(script, transcript, floor, self._hearing)

    @property
    def is_ready(self) -> bool:
        """Whether a session has taken our configuration."""
        return self._sessions.is_ready

    @property
    def is_connected(self) -> bool:
        return self._sessions.is_connected

    @property
    def is_gone(self) -> bool:
        """Whether there is no session, and none is coming."""
        return not (self._sessions.is_connected or self._sessions.is_opening)

    @property
    def is_settled(self) -> bool:
        """Whether the session that serves is the one that will."""
        return self._sessions.is_ready and not self._sessions.is_opening

    def serves_by(self, session: int) -> bool:
        return self._sessions.uses(session)

    def open(self, now: float) -> list[Command]:
        """Open a session; one that serves goes on until the new one is connected."""
        return self._sessions.open(now)

    def connected(
        self, session: int, now: float, *, is_greeting: bool, may_change: bool
    ) -> list[Command]:
        """A session is there: configure it, unless the one before `may` not be left now."""
        if not self._sessions.opens(session):
            return []
        if self._sessions.is_ready:  # until now the one before served on
            if not may_change:
                return self._sessions.keep(now)
            self.break_off(is_greeting=is_greeting)
        dropped = self._sessions.connected()
        self._floor.names = Names(session)
        return [*dropped, ToModel(realtime.session_update(self._script.session))]

    def ready(self, now: float, *, may_ask: bool) -> list[Command]:
        """The session has taken our configuration: tell it all, and have it do what is owed."""
        self._sessions.ready(now)
        return self._takeover.complete(may_ask=may_ask)

    def survives(self, session: int) -> bool:
        """Whether the loss of this session is none of the one that serves."""
        return self._sessions.opens(session) and self._sessions.is_connected

    def needs(self, session: int) -> bool:
        return self._sessions.uses(session) or self._sessions.opens(session)

    def keep(self, now: float) -> list[Command]:
        """Go on with the session that serves: the next one did not come up."""
        return self._sessions.keep(now)

    def drop(self) -> list[Command]:
        """Have no session, and none coming."""
        return self._sessions.drop()

    def may_come_back(self, reason: str, now: float) -> bool:
        """Whether what was lost for this `reason` may be replaced; counts."""
        return reason in RECOVERABLE and self._sessions.may_reopen(now)

    def break_off(self, *, is_greeting: bool) -> None:
        """The session is of no more use: note what it owes the caller."""
        self._takeover.begin(is_greeting=is_greeting)

    def owe_nothing(self) -> None:
        self._takeover.debt = Debt.NOTHING

    def hear(self, audio: str) -> list[Command]:
        """Pass on what the caller says, or keep it for a session that can hear it."""
        self._hearing.keep(audio)
        return [ToModel(realtime.append(audio))] if self._sessions.is_ready else []

    def ask(self) -> list[Command]:
        """Have it speak, now or as soon as there is a session for it."""
        if self._sessions.is_ready:
            return self._floor.ask()
        self._takeover.owe_answer()
        return []

    def give_result(self, call_id: str, output: str) -> list[Command]:
        """Give a tool's result, now or with all that the next session is told."""
        self._transcript.note_output(call_id, output)
        return self._takeover.give_result(call_id, output) if self._sessions.is_ready else []

    def correct(self, turns: Sequence[RecordTurn]) -> list[Command]:
        """Say what was heard of words that another session spoke."""
        return self._takeover.correct(turns) if self._sessions.is_ready else []

    def follow_caller(self) -> None:
        """Keep the sound of words that are not written down; those of a lost session never are."""
        is_open = self._floor.is_caller_speaking or self._transcript.awaits_caller
        if is_open or not self._sessions.is_ready:
            self._hearing.keep_all()
        else:
            self._hearing.keep_latest()

    def grow_old(self, now: float) -> list[Command]:
        """The session nears its end: replace it in a pause, or anyhow if none comes."""
        return self._sessions.grow_old(now)

    def rest(self, now: float) -> list[Command]:
        """Use a pause: an old session is replaced in it."""
        return self._sessions.open(now) if self._sessions.is_old else []
