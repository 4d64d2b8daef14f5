"""What the calls on the line have used so far, written down now and then for all of them at once.

So that calls that ring find a budget spent while those that have spent it still talk. What a call
used in the end is written by whoever ends it.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import anyio
import structlog

from ivr.costs import usage
from ivr.costs.usage import SoFar, Used
from ivr.db import Database
from ivr.db.tables import utc_now
from ivr.errors import DatabaseDown

BATCH = 10  # calls in one transaction: audio waits while prices are worked out
READ_SECONDS = 30.0  # and so old may a sum be that a budget is held against

log = structlog.get_logger(__name__)


class Meter:
    """The calls of one process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._running: dict[object, Callable[[], SoFar]] = {}
        self._written: dict[object, Sequence[Used]] = {}
        self._reading = asyncio.Lock()

    @asynccontextmanager
    async def counts(
        self,
        tenant_id: uuid.UUID,
        conversation_id: uuid.UUID,
        used: Callable[[], Sequence[Used]],
    ) -> AsyncIterator[None]:
        """Count a stream while the block runs; nothing of it is written any more behind it."""
        key = object()
        self._running[key] = lambda: SoFar(tenant_id, conversation_id, used())
        try:
            yield
        finally:
            del self._running[key]
            self._written.pop(key, None)
            with anyio.CancelScope(shield=True):  # the server may be stopping
                async with self._reading:  # what is older must not overtake what comes next
                    pass

    async def read(self) -> None:
        """Write down what has been used since the last time; raises `DatabaseDown`."""
        keys = list(self._running)
        for start in range(0, len(keys), BATCH):
            async with self._reading:
                await self._write_all(keys[start : start + BATCH])

    async def _write_all(self, keys: Sequence[object]) -> None:
        """Write as many as can be: one, e.g. of somebody who was forgotten, costs no others."""
        try:
            await self._write(keys)
        except DatabaseDown:
            raise
        except Exception as exc:
            if len(keys) == 1:
                log.warning("usage of a call not written", exc_info=exc)
            else:
                for key in keys:
                    await self._write_all([key])

    async def _write(self, keys: Iterable[object]) -> None:
        found = {key: self._running[key]() for key in keys if key in self._running}
        new = {k: it for k, it in found.items() if it.used and it.used != self._written.get(k)}
        if not new:
            return
        async with self._db.write() as session:
            await usage.note_so_far(session, list(new.values()), now=utc_now())
        self._written |= {key: it.used for key, it in new.items() if key in self._running}

    async def run(self) -> None:
        """Read for ever."""
        while True:
            await asyncio.sleep(READ_SECONDS)
            try:
                await self.read()
            except DatabaseDown as exc:
                log.warning("usage of calls not written yet", problem=str(exc))
            except Exception:
                log.exception("usage of calls not written")
