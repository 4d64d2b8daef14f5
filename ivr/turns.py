"""Writes down what is said, behind the audio: `put` returns at once, in 250 ms it is committed.

The turns of all calls of a process are written together: a transaction costs far more than a turn.
"""

import asyncio
import uuid
from functools import partial

import structlog

from ivr.conversations import Said, write_turns
from ivr.db import Database
from ivr.db.engine import RETRY_SECONDS, patiently
from ivr.db.tables import Conversation
from ivr.errors import DatabaseDown

WRITE_BEHIND_SECONDS = 0.1
LAST_TRIES_SECONDS = 30.0

log = structlog.get_logger(__name__)

Turn = tuple[Conversation, Said]


class TurnLog:
    """The turns that wait, of all calls of a process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: dict[tuple[uuid.UUID, str], Turn] = {}
        self._lock = asyncio.Lock()  # what is read to be written must not be overtaken
        self._task: asyncio.Task[None] | None = None

    def put(self, conversation: Conversation, said: Said) -> None:
        """Have `said` written soon; a later one with the same `item_id` replaces it."""
        self._waiting[conversation.id, said.item_id] = (conversation, said)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="turns")

    async def flush(self, conversation_id: uuid.UUID | None = None) -> None:
        """Write what waits now, of one conversation or of all; raise `DatabaseDown`."""
        async with self._lock:
            if batch := self._of(conversation_id):
                await self._write_all(batch)

    def drop(self, conversation_id: uuid.UUID) -> int:
        """Give up the turns of a conversation and return how many those were."""
        batch = self._of(conversation_id)
        self._forget(batch)
        return len(batch)

    async def close(self) -> None:
        """Stop writing; the writers have been closed before."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            try:
                await self.flush()
                await asyncio.sleep(WRITE_BEHIND_SECONDS)
            except DatabaseDown as exc:
                log.warning("turns not written yet", turns=len(self._waiting), problem=str(exc))
                await asyncio.sleep(RETRY_SECONDS)

    async def _write_all(self, batch: list[Turn]) -> None:
        try:
            await self._write(batch)
        except DatabaseDown:
            raise
        except Exception:  # one that cannot be written must not keep back all the others
            for turn in batch:
                await self._write_or_drop(turn)

    async def _write_or_drop(self, turn: Turn) -> None:
        try:
            await self._write([turn])
        except DatabaseDown:
            raise
        except Exception as exc:
            conversation, _ = turn
            fields = {"conversation_id": str(conversation.id), "problem": type(exc).__name__}
            log.error("turn dropped", **fields)
            self._forget([turn])

    async def _write(self, batch: list[Turn]) -> None:
        async with self._db.write(urgent=True) as session:  # 250 ms are promised
            await write_turns(session, batch)
        self._forget(batch)

    def _of(self, conversation_id: uuid.UUID | None) -> list[Turn]:
        turns = self._waiting.values()
        return [turn for turn in turns if conversation_id in {None, turn[0].id}]

    def _forget(self, batch: list[Turn]) -> None:
        for conversation, said in batch:
            key = conversation.id, said.item_id
            if key in self._waiting and self._waiting[key][1] is said:
                del self._waiting[key]


class TurnWriter:
    """Writes the turns of one call."""

    def __init__(self, turns: TurnLog, conversation: Conversation) -> None:
        self._turns = turns
        self._conversation = conversation

    def put(self, said: Said) -> None:
        """Have `said` written soon; a later one with the same `item_id` replaces it."""
        self._turns.put(self._conversation, said)

    async def close(self) -> None:
        """Write what still waits; 30 s after this a database that is down has its way."""
        this = self._conversation.id
        try:
            await patiently(partial(self._turns.flush, this), seconds=LAST_TRIES_SECONDS)
        except DatabaseDown:
            log.error("turns lost", conversation_id=str(this), turns=self._turns.drop(this))
