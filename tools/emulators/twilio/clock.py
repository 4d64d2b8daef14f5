"""Time as the emulator lives it: `speed` times faster; and waiting for facts."""

import asyncio
from collections.abc import Callable


class Clock:
    """Milliseconds of call time since it was made; every instant is absolute, so nothing drifts."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()

    def now_ms(self) -> float:
        """Return the call time that has passed."""
        return (self._loop.time() - self._began) * 1000 * self.speed

    async def until(self, at_ms: float) -> None:
        """Sleep until `at_ms`; being late still lets everybody else run once."""
        await asyncio.sleep(max(0.0, (at_ms - self.now_ms()) / 1000 / self.speed))

    async def sleep(self, ms: float) -> None:
        """Sleep for `ms` of call time."""
        await self.until(self.now_ms() + ms)


class Facts:
    """Lets tests wait until something is true instead of sleeping."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    def changed(self) -> None:
        """Look again at everything that is waited for."""
        for is_true, waiter in self._waiting:
            if not waiter.done() and is_true():
                waiter.set_result(None)

    async def wait(self, is_true: Callable[[], bool], patience_s: float) -> None:
        """Return when `is_true()`; raises TimeoutError after `patience_s` seconds."""
        if is_true():
            return
        entry = (is_true, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(patience_s):
                await entry[1]
        finally:
            self._waiting.remove(entry)
