"""Which model session a call uses, which one is being opened, and whether another may be.

A session lives an hour at most and its socket can die any time; a new one knows nothing. What it
has to be told is in `takeover`.
"""

from .commands import Command, ConnectModel, DropModel
from .script import Limits
from .timers import Timer, Timers


class ModelSessions:
    """The sessions of one call, numbered from 1. Only one is in use; 0 stands for none."""

    def __init__(self, limits: Limits, timers: Timers) -> None:
        self.is_ready = False  # the one in use has taken our configuration
        self.is_old = False  # it should be replaced in the next pause
        self._limits = limits
        self._timers = timers
        self._used = 0
        self._opening = 0
        self._last = 0
        self._lost_at: float | None = None

    @property
    def is_connected(self) -> bool:
        return self._used > 0

    @property
    def is_opening(self) -> bool:
        return self._opening > 0

    def uses(self, session: int) -> bool:
        return session == self._used > 0

    def opens(self, session: int) -> bool:
        return session == self._opening > 0

    def open(self, now: float) -> list[Command]:
        """Open another one; the one in use serves on until that is connected."""
        self._last += 1
        self._opening = self._last
        self.is_old = False
        self._timers.clear(Timer.ROTATION)
        self._timers.set(Timer.READY, now + self._limits.ready_s)
        return [ConnectModel(self._opening)]

    def connected(self) -> list[Command]:
        """Use the one that was opened from now on; it is not configured yet."""
        commands = _drop(self._used)
        self._used, self._opening, self.is_ready = self._opening, 0, False
        return commands

    def ready(self, now: float) -> None:
        self.is_ready = True
        self._timers.clear(Timer.READY)
        self._timers.set(Timer.ROTATION, now + self._limits.session_s)

    def may_reopen(self, now: float) -> bool:
        """Whether a loss may be made good by another session; counts.

        The first may, and each that comes long enough after the one before: what fails twice within
        a short time is no accident, and the caller is better off with the other voice.
        """
        last, self._lost_at = self._lost_at, now
        return last is None or now - last >= self._limits.forgiven_s

    def drop(self) -> list[Command]:
        """Have no session at all, and none coming."""
        commands = [*_drop(self._used), *_drop(self._opening)]
        self._used = self._opening = 0
        self.is_ready = self.is_old = False
        self._timers.clear(Timer.READY)
        self._timers.clear(Timer.ROTATION)
        return commands

    def grow_old(self, now: float) -> list[Command]:
        """The one in use nears its end: replace it in a pause, or anyhow if none comes."""
        if self.is_old:
            return self.open(now)
        self.is_old = True
        self._timers.set(Timer.ROTATION, now + self._limits.rotation_grace_s)
        return []

    def keep(self, now: float) -> list[Command]:
        """Go on with the one in use: its successor did not come up. Try again soon."""
        commands = _drop(self._opening)
        self._opening = 0
        self._timers.clear(Timer.READY)
        self._timers.set(Timer.ROTATION, now + self._limits.rotation_retry_s)
        return commands


def _drop(session: int) -> list[Command]:
    return [DropModel(session)] if session else []
