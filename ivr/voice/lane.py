"""One direction of one socket: what is put in is sent at once, if there is anybody to take it."""

from typing import Protocol

MAX_UNSENT = 16 * 1024 * 1024


class Outlet(Protocol):
    """The sending half of a socket; the socket keeps the order."""

    @property
    def unsent(self) -> int:
        """How much the peer has not taken yet: mostly nothing, as the kernel takes it."""

    def write(self, text: str) -> None:
        """Send without waiting."""


class Lane:
    """Closed until `open`: what is put in then is lost."""

    def __init__(self) -> None:
        self._outlet: Outlet | None = None
        self._late_since: float | None = None

    def open(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._late_since = None

    def put(self, text: str) -> None:
        """Send a message behind the others."""
        if self._outlet is not None:
            self._outlet.write(text)

    def is_stuck(self, now: float, limit_s: float) -> bool:
        """Whether the peer takes nothing any more; to be asked about twice a second."""
        unsent = self._outlet.unsent if self._outlet is not None else 0
        if unsent == 0:
            self._late_since = None
        elif self._late_since is None:
            self._late_since = now
        is_late = self._late_since is not None and now - self._late_since > limit_s
        return is_late or unsent > MAX_UNSENT
