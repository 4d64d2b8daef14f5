"""One direction of one socket: messages leave one at a time, in the order they were decided in.

Whoever finds the lane empty sends; whoever finds it busy leaves the message and goes on. So no pump
waits for the other's peer, and no task or timer is spent per frame. Knows no socket, only `send`.
"""

from collections import deque
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

MAX_WAITING = 20_000  # messages; a healthy peer has hardly ever one


class Lane:
    """Closed until `open`, and again once its peer failed: what is put in then is lost."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._send: Callable[[str], Awaitable[None]] | None = None
        self._waiting: deque[str] = deque()
        self._busy_since: float | None = None

    def open(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send

    def put(self, text: str) -> None:
        """Add a message behind the others."""
        if self._send is not None:
            self._waiting.append(text)

    def drop(self) -> None:
        """Forget what has not been sent."""
        self._waiting.clear()

    def is_stuck(self, now: float, limit_s: float) -> bool:
        """Whether the peer takes nothing any more."""
        is_late = self._busy_since is not None and now - self._busy_since > limit_s
        return is_late or len(self._waiting) > MAX_WAITING

    async def flush(self) -> None:
        """Send what waits, unless somebody is doing that already. Never raises for a dead peer."""
        if not self._waiting or self._busy_since is not None or self._send is None:
            return
        try:
            while self._waiting:
                self._busy_since = self._clock()
                await self._send(self._waiting.popleft())
        except Exception as error:  # the peer's reader will say what happened
            log.info("peer takes no more", peer=self._name, error=type(error).__name__)
            self._send = None
            self._waiting.clear()
        finally:
            self._busy_since = None
