"""Says in the rows of all calls with an open stream until when somebody looks after them.

One transaction renews them all. Without that they would be finished as abandoned.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db import Database
from ivr.db.engine import patiently
from ivr.db.tables import Conversation, utc_now

# Until the end is written the row must not look abandoned; renewed well before that.
_PARTS = 4
_LOT = 100  # rows renewed by one statement: the calls wait for it

log = structlog.get_logger(__name__)


class Leases:
    """The conversations that this process carries; `grace` is how long each outlasts its stream."""

    def __init__(self, db: Database, *, grace: timedelta) -> None:
        self._db = db
        self._grace = grace
        self._held: dict[uuid.UUID, Callable[[], None]] = {}
        self._joined: set[uuid.UUID] = set()  # not renewed yet
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def hold(self, conversation_id: uuid.UUID, line_closed: Callable[[], None]) -> Iterator[None]:
        """Keep the conversation's row from being finished while its stream is open.

        `line_closed` is called when the row says that the phone call is over: its status may reach
        another process, and the stream's own close may have been lost.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="leases")
        self._held[conversation_id] = line_closed
        self._joined.add(conversation_id)
        self._wake.set()
        try:
            yield
        finally:
            if self._held.get(conversation_id) == line_closed:  # else its next stream holds it
                del self._held[conversation_id]
                self._joined.discard(conversation_id)

    async def close(self) -> None:
        """Renew no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Renew all of them every few seconds, and in between at once those that are new."""
        clock = asyncio.get_running_loop().time
        pause = self._grace.total_seconds() / _PARTS
        due = clock() + pause
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            if clock() >= due:  # not only when it timed out: calls may join all the time
                self._joined |= set(self._held)
                due = clock() + pause
            self._wake.clear()
            try:
                await patiently(self._renew)
            except Exception:
                log.exception("leases not renewed", calls=len(self._joined))

    async def _renew(self) -> None:
        ids = list(self._joined)
        if not ids:
            return
        over: list[uuid.UUID] = []
        async with self._db.write() as session:
            for start in range(0, len(ids), _LOT):
                over += await self._renew_lot(session, ids[start : start + _LOT])
        self._joined.difference_update(ids)
        for conversation_id in over:
            if line_closed := self._held.get(conversation_id):
                line_closed()

    async def _renew_lot(
        self, session: AsyncSession, ids: Sequence[uuid.UUID]
    ) -> Sequence[uuid.UUID]:
        """Renew these and return those among them whose phone call is over."""
        now = utc_now()
        await conversations.continue_until(
            session,
            ids,
            now + self._grace,
            line_due_at=now + self._grace / 2,
            while_streaming=True,
        )
        is_over = col(Conversation.line_closed_at).is_not(None)
        query = select(Conversation.id).where(col(Conversation.id).in_(ids), is_over)
        return (await session.exec(query)).all()
