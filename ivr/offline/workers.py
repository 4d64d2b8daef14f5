"""Ears and mouth in processes of their own: they take a core for a while, and hold Python's lock.

One process per core, started and warmed with the server; the audio path never waits for them.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

import structlog

from ivr.offline import ears, mouth
from ivr.offline.ears import Heard
from ivr.offline.grammar import Grammar
from ivr.offline.sound import BYTES_PER_MS, SILENCE

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
_WARMING = Grammar(name="warming", arcs=((0, 1, 1.0, "yes"),), floor=0.0)


class Workers:
    """`hear` and `speak` off the event loop; a pool with a dead process is replaced."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = self._new_pool()

    async def hear(self, ulaw: bytes, grammar: Grammar) -> Heard:
        """Return what was said in mu-law audio; raises Unavailable."""
        return await self._run(ears.hear, ulaw, grammar)

    async def speak(self, text: str) -> bytes:
        """Return mu-law audio; raises Unavailable."""
        return await self._run(mouth.speak, text)

    async def warm(self) -> None:
        """Start the processes and load what they need; raises Unavailable for a missing package."""
        await asyncio.gather(*(self._run(_warm) for _ in range(self._count)))

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        pool = self._pool
        try:
            return await asyncio.wrap_future(pool.submit(work, *args, **kwargs))
        except BrokenProcessPool:
            if pool is self._pool:  # the first to notice
                log.warning("offline voice worker died; starting new ones")
                self._pool = self._new_pool()
        return await asyncio.wrap_future(self._pool.submit(work, *args, **kwargs))

    def _new_pool(self) -> ProcessPoolExecutor:
        # Not fork: the parent has threads and an event loop.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._count, mp_context=context, initializer=_prepare)


@asynccontextmanager
async def open_workers(count: int | None = None) -> AsyncIterator[Workers]:
    """Yield warm workers, one per core unless told otherwise."""
    workers = Workers(count or os.cpu_count() or 1)
    try:
        await workers.warm()
        yield workers
    finally:
        await asyncio.to_thread(workers.close)


def _prepare() -> None:
    """Leave interrupts to the parent, and do not outlive it, even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "workers have a parent"
    parent.join()
    os._exit(0)


def _warm() -> None:
    ears.hear(SILENCE * (200 * BYTES_PER_MS), _WARMING)
    mouth.speak("Hello.")
