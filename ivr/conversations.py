"""One exchange with one person on any channel: start it, write down what is said, end it.

Knows no channel and no lead. A conversation is over when its finaliser has run
(`leads/road.py`), not when its socket closed.
"""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import case, func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import Database
from ivr.db.engine import RETRY_SECONDS, storable
from ivr.db.tables import Conversation, ConversationStatus, Role, Turn
from ivr.errors import DatabaseDown, NotFound

WRITE_BEHIND_SECONDS = 0.1
LAST_TRIES_SECONDS = 30.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What one side said; writing the same `item_id` again replaces it, as a cut answer must."""

    item_id: str
    position: int
    role: Role
    text: str
    said_at: datetime
    cut: bool = False
    heard_ms: int | None = None


class ConversationStore:
    """The conversations of one tenant, in one transaction."""

    def __init__(self, session: AsyncSession, tenant_id: uuid.UUID) -> None:
        self._session = session
        self._tenant_id = tenant_id

    async def find(self, channel: str, session_key: str) -> Conversation | None:
        """Return the conversation with this key, e.g. a CallSid."""
        query = select(Conversation).where(
            Conversation.tenant_id == self._tenant_id,
            Conversation.channel == channel,
            Conversation.session_key == session_key,
        )
        return (await self._session.exec(query)).one_or_none()

    async def get(self, channel: str, session_key: str) -> Conversation:
        """Return the conversation with this key; raise `NotFound` with words for an operator."""
        found = await self.find(channel, session_key)
        if found is None:
            raise NotFound(f"no {channel} conversation {session_key}")
        return found

    def start(
        self,
        *,
        lead_id: uuid.UUID,
        channel: str,
        session_key: str,
        from_number: str | None,
        to_number: str | None,
        finish_after: datetime,
        now: datetime,
    ) -> Conversation:
        """Add an open conversation that is finished at `finish_after` unless told otherwise."""
        conversation = Conversation(
            tenant_id=self._tenant_id,
            lead_id=lead_id,
            channel=channel,
            session_key=session_key,
            from_number=from_number,
            to_number=to_number,
            finish_after=finish_after,
            started_at=now,
        )
        self._session.add(conversation)
        return conversation


async def by_id(session: AsyncSession, conversation_id: uuid.UUID) -> Conversation:
    """Return the conversation; raise `NotFound` when there is none."""
    found = await session.get(Conversation, conversation_id)
    if found is None:
        raise NotFound(f"no conversation {conversation_id}")
    return found


async def transcript(session: AsyncSession, conversation_id: uuid.UUID) -> Sequence[Turn]:
    """Return what was said, in the order in which it was said."""
    query = (
        select(Turn)
        .where(Turn.conversation_id == conversation_id)
        .order_by(col(Turn.position), col(Turn.id))
    )
    return (await session.exec(query)).all()


async def next_position(session: AsyncSession, conversation_id: uuid.UUID) -> int:
    """Return the position that the next turn takes."""
    query = select(func.coalesce(func.max(col(Turn.position)), -1) + 1).where(
        Turn.conversation_id == conversation_id
    )
    return (await session.exec(query)).one()


async def write_turn(session: AsyncSession, conversation: Conversation, said: Said) -> None:
    """Add a turn, or replace the one with the same `item_id`."""
    query = select(Turn).where(
        Turn.conversation_id == conversation.id, Turn.item_id == said.item_id
    )
    turn = (await session.exec(query)).one_or_none()
    if turn is None:
        turn = Turn(
            tenant_id=conversation.tenant_id,
            conversation_id=conversation.id,
            item_id=said.item_id,
            position=said.position,
            role=said.role,
            text=storable(said.text),
            said_at=said.said_at,
        )
        session.add(turn)
    turn.position, turn.text, turn.cut, turn.heard_ms = (
        said.position,
        storable(said.text),
        said.cut,
        said.heard_ms,
    )


async def call_over(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    *,
    now: datetime,
    reason: str | None = None,
) -> None:
    """Note that nothing follows: finish at once, or, while a stream is open, when it has closed."""
    await session.exec(
        update(Conversation)
        .where(
            col(Conversation.id) == conversation_id,
            col(Conversation.status) == ConversationStatus.OPEN,
        )
        .values(
            ended_at=func.coalesce(Conversation.ended_at, now),
            end_reason=func.coalesce(reason, Conversation.end_reason),
            finish_after=case(
                (col(Conversation.streaming).is_(True), Conversation.finish_after), else_=now
            ),
        )
    )


async def stream_closed(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    *,
    reason: str,
    finish_after: datetime,
    usage: Mapping[str, Any],
    now: datetime,
) -> None:
    """Note why a stream ended; the episode is finished now if the call is over, else later."""
    # Locked: the call's status comes at the same moment, and each must see what the other wrote.
    conversation = await session.get_one(Conversation, conversation_id, with_for_update=True)
    conversation.streaming = False
    conversation.end_reason = conversation.end_reason or reason
    conversation.usage = {**conversation.usage, **usage}
    later = max(conversation.finish_after or finish_after, finish_after)
    conversation.finish_after = now if conversation.ended_at is not None else later


async def stream_lost(session: AsyncSession, conversation_id: uuid.UUID, *, reason: str) -> None:
    """Note that whoever carried the stream is gone; without that its row waits for their word."""
    await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id, col(Conversation.end_reason).is_(None))
        .values(streaming=False, end_reason=reason)
    )


async def continue_until(
    session: AsyncSession, conversation_id: uuid.UUID, moment: datetime
) -> None:
    """Keep a conversation going until `moment`; a finished one begins its next episode."""
    await session.exec(
        update(Conversation)
        .where(
            col(Conversation.id) == conversation_id,
            col(Conversation.status) == ConversationStatus.FINISHED,
        )
        .values(
            status=ConversationStatus.OPEN,
            episode=col(Conversation.episode) + 1,
            ended_at=None,
            finished_at=None,
        )
    )
    await session.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id)
        .values(finish_after=moment)
    )


class TurnWriter:
    """Writes turns behind the audio path: `put` returns at once, a task commits within 250 ms."""

    def __init__(self, db: Database, conversation: Conversation) -> None:
        self._db = db
        self._conversation = conversation
        self._waiting: dict[str, Said] = {}
        self._wake = asyncio.Event()
        self._give_up_at: float | None = None  # set when closing; the loop's clock
        self._task = asyncio.create_task(self._run(), name=f"turns:{conversation.id}")

    def put(self, said: Said) -> None:
        """Have `said` written soon; a later one with the same `item_id` replaces it."""
        self._waiting[said.item_id] = said
        self._wake.set()

    async def close(self) -> None:
        """Write what still waits and end; 30 s after this a database that is down has its way."""
        self._give_up_at = asyncio.get_running_loop().time() + LAST_TRIES_SECONDS
        self._wake.set()
        await self._task

    async def _run(self) -> None:
        while self._waiting or self._give_up_at is None:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._waiting:
                    await self._flush()
            except DatabaseDown as exc:
                if self._is_too_late:
                    log.error("turns lost", **self._fields, turns=len(self._waiting))
                    return
                log.warning("turns not written yet", **self._fields, problem=str(exc))
                self._wake.set()
                await asyncio.sleep(RETRY_SECONDS)
            if self._give_up_at is None:
                await asyncio.sleep(WRITE_BEHIND_SECONDS)

    async def _flush(self) -> None:
        try:
            await self._write(*self._waiting.values())
        except DatabaseDown:
            raise
        except Exception:  # one that cannot be written must not keep back all the others
            for said in list(self._waiting.values()):
                await self._write_or_drop(said)

    async def _write_or_drop(self, said: Said) -> None:
        try:
            await self._write(said)
        except DatabaseDown:
            raise
        except Exception as exc:
            log.error("turn dropped", **self._fields, problem=type(exc).__name__)
            self._forget(said)

    async def _write(self, *batch: Said) -> None:
        async with self._db.write() as session:
            for said in batch:
                await write_turn(session, self._conversation, said)
        for said in batch:
            self._forget(said)

    def _forget(self, said: Said) -> None:
        if self._waiting.get(said.item_id) is said:
            del self._waiting[said.item_id]

    @property
    def _is_too_late(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._give_up_at is not None and now >= self._give_up_at

    @property
    def _fields(self) -> dict[str, str]:
        return {"conversation_id": str(self._conversation.id)}
