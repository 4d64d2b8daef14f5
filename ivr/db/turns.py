"""Where those wait who must not do one thing at once, by its name; for one process.

Who waits here holds nothing: no transaction, no connection, and no time limit runs.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary


class Turns:
    """A queue for each name, for as long as somebody stands in it."""

    def __init__(self) -> None:
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, names: Collection[str]) -> AsyncIterator[None]:
        """Wait until nobody else is inside with one of these names."""
        async with AsyncExitStack() as stack:
            for name in sorted(set(names)):  # in one order, or two would wait for each other
                queue = self._queues.setdefault(name, asyncio.Lock())
                await stack.enter_async_context(queue)
            yield
