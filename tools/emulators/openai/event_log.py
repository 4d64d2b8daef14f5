"""A list of wire events that a test can wait on. Nothing is ever removed from it."""

import asyncio
from collections.abc import Callable
from typing import Any

Event = dict[str, Any]
Predicate = Callable[[Event], bool]


class EventLog(list[Event]):
    """Events in their order; `first` also sees those that are there already."""

    def __init__(self) -> None:
        super().__init__()
        self._changed: asyncio.Future[None] | None = None

    def add(self, event: Event) -> None:
        """Append and wake whoever waits."""
        self.append(event)
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)
        self._changed = None

    def of(self, kind: str) -> list[Event]:
        """Return the events whose type is `kind`."""
        return [event for event in self if event.get("type") == kind]

    async def first(self, predicate: Predicate, *, within: float = 30.0, nth: int = 0) -> Event:
        """Return the `nth` event that fits, now or within so many seconds; raise TimeoutError."""
        at, left = 0, nth
        try:
            async with asyncio.timeout(within):
                while True:
                    for event in self[at:]:
                        at += 1
                        if predicate(event):
                            if left == 0:
                                return event
                            left -= 1
                    await self._next()
        except TimeoutError:
            raise TimeoutError(f"not within {within} s; there were: {self._summary()}") from None

    async def _next(self) -> None:
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        # Shielded, because several tests may wait and one of them may give up.
        await asyncio.shield(self._changed)

    def _summary(self) -> str:
        counts: dict[str, int] = {}
        for event in self:
            kind = str(event.get("type"))
            counts[kind] = counts.get(kind, 0) + 1
        return ", ".join(f"{count} x {kind}" for kind, count in counts.items()) or "none"
