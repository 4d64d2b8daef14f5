"""A wall clock that jumps: of this process, and of a server's process that shares a file with it.

What measures durations (the loop's clock, `time.monotonic`) goes on as it does in a machine.
"""

import mmap
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from ivr.db import tables

FILE = "CHAOS_CLOCK"  # the variable that names the file to a server's process
_SECONDS = struct.Struct("d")


class Clock:
    """How far the wall clock is ahead of the right time; kept in a file that processes share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("a+b") as file:
            file.truncate(_SECONDS.size)
            self._memory = mmap.mmap(file.fileno(), _SECONDS.size)

    @property
    def ahead_s(self) -> float:
        """How many seconds it is ahead, negative when it is behind."""
        return float(_SECONDS.unpack_from(self._memory)[0])

    def jump(self, seconds: float) -> None:
        """Put the clock forward or back."""
        _SECONDS.pack_into(self._memory, 0, self.ahead_s + seconds)

    def close(self) -> None:
        """Let go of the file."""
        self._memory.close()


def set_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything in this process that asks for the time ask `clock`."""
    right_time = time.time

    class Jumping(datetime):
        @classmethod
        # The original promises its own class; callers here only compare.
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=clock.ahead_s)

    monkeypatch.setattr(tables, "datetime", Jumping)
    monkeypatch.setattr(time, "time", lambda: right_time() + clock.ahead_s)


@contextmanager
def clock_in(folder: Path) -> Iterator[Clock]:
    """Lend a clock that is right until it jumps."""
    clock = Clock(folder / "clock")
    try:
        yield clock
    finally:
        clock.close()


def clock_of_environment() -> Clock:
    """Return the clock that the environment names."""
    return Clock(Path(os.environ[FILE]))
