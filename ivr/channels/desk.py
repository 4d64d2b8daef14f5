"""The desk behind every written door: what comes in is committed here, and here it is answered.

It opens with the process. A message that is committed and not answered, whatever became of who
took it, is answered by whoever looks for it next; never twice, for the answer is committed with
the event.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import structlog
from sqlalchemy import or_
from sqlmodel import col, select

from ivr.channels import receiving
from ivr.channels.answering import Clerk
from ivr.channels.case import Case
from ivr.channels.first_word import FirstWord
from ivr.channels.inbound import TEXT_CHANNELS, Answer, Inbound, Received
from ivr.channels.lease import LEASE
from ivr.db.engine import despite_races, is_ending
from ivr.db.tables import Conversation, InboundEvent, Tenant, utc_now
from ivr.errors import DatabaseDown
from ivr.leads.attention import staff
from ivr.leads.profile.tenant_profile import own
from ivr.runtime import State

# People send one thought in three messages; they get one answer.
BURST_SECONDS = 1.5
# Conversations that one process answers: what comes in meanwhile must be written down all the same.
AT_ONCE = 48
# For what another process works out.
POLL_SECONDS = 0.1
SWEEP_SECONDS = 5.0
SWEPT = 50  # conversations at once
# Whoever received it is at it.
LEFT_AFTER = timedelta(seconds=5)
CLOSING_SECONDS = 3.0

log = structlog.get_logger(__name__)


class Desk:
    """Receives and answers for one process; `open` is the way to get one."""

    def __init__(self, state: State, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._state = state
        self._clock = clock
        self._clerk = Clerk(state, {}, clock)
        self._workers: dict[uuid.UUID, asyncio.Task[dict[int, Answer]]] = {}
        self._pens = asyncio.Semaphore(AT_ONCE)
        self._later: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, state: State) -> AsyncIterator["Desk"]:
        """Answer, also what a dead process left, while the block runs."""
        desk = cls(state)
        sweeping = asyncio.create_task(desk._sweep_for_ever(), name="desk")
        try:
            yield desk
        finally:
            sweeping.cancel()
            await asyncio.gather(sweeping, return_exceptions=True)
            await desk._close()

    async def receive(self, tenant: Tenant, inbound: Inbound) -> Received:
        """Commit what came in, once; a repeat returns what is there.

        Raises `NotFound` for a conversation that is none of the tenant's, `Conflict` for a name
        that was another request's, and `DatabaseDown`.
        """
        case = self._case(tenant, inbound)
        db = self._state["db"].for_tenant(tenant.id)

        async def write_down() -> Received:
            async with db.write() as session:
                return await receiving.write_down(session, case)

        async with db.turn(receiving.turn_names(case)):
            received = await despite_races(write_down)
        if received.answer is not None:
            self._state["outbox"].poke()  # a notice, or staff are told
        return received

    async def answer(self, received: Received) -> Answer:
        """Return the answer, however long it takes; whoever gives up waiting stops nothing."""
        if received.answer is not None:
            return received.answer
        while True:
            worker = self._worker(received.conversation_id)
            await asyncio.wait({worker})
            if not worker.cancelled() and received.event in worker.result():
                return worker.result()[received.event]
            if (answer := await self._given(received.event)) is not None:
                return answer
            await asyncio.sleep(POLL_SECONDS)

    def answer_later(self, received: Received) -> None:
        """Have it answered by message, together with what follows within a breath."""
        if received.answer is not None:
            return
        task = asyncio.create_task(self._breathe(received.conversation_id))
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    async def sweep(self) -> None:
        """Answer what was left unanswered, by us or by a process that is gone."""
        now = self._clock()
        until = col(Conversation.answering_until)
        query = (
            select(InboundEvent.conversation_id)
            .join(Conversation, col(Conversation.id) == InboundEvent.conversation_id)
            .where(
                col(InboundEvent.answered_at).is_(None),
                col(InboundEvent.received_at) < now - LEFT_AFTER,
                col(Conversation.channel).in_(TEXT_CHANNELS),
                or_(until.is_(None), until <= now, until > now + LEASE),
            )
            .distinct()
            .limit(SWEPT)
        )
        async with self._state["db"].read() as session:
            left = (await session.exec(query)).all()
        workers = {self._worker(one) for one in left if one is not None}
        if workers:
            log.warning("answering what was left", conversations=len(workers))
            await asyncio.wait(workers)

    def _case(self, tenant: Tenant, inbound: Inbound) -> Case:
        settings = self._state["settings"]
        profile = own(self._state["profiles"], tenant)
        silence = timedelta(hours=settings.text_silence_hours)
        can_send = self._state["twilio"] is not None
        return Case(
            tenant=tenant,
            profile=profile,
            inbound=inbound,
            silence=silence,
            staff=staff.on_duty(tenant, profile, settings),
            first_word=FirstWord(tenant, profile, silence, can_send, inbound.now),
        )

    def _worker(self, conversation_id: uuid.UUID) -> asyncio.Task[dict[int, Answer]]:
        """Return the task that answers a conversation; there is one in this process."""
        task = self._workers.get(conversation_id)
        if task is None or task.done():
            task = asyncio.create_task(self._work(conversation_id))
            self._workers[conversation_id] = task
        return task

    async def _work(self, conversation_id: uuid.UUID) -> dict[int, Answer]:
        try:
            async with self._pens:
                return await self._clerk.work(conversation_id)
        except DatabaseDown as exc:
            log.warning("not answered yet", problem=str(exc))
        except Exception:
            log.exception("not answered", conversation_id=str(conversation_id))
        finally:
            if self._workers.get(conversation_id) is asyncio.current_task():
                del self._workers[conversation_id]
        return {}

    async def _breathe(self, conversation_id: uuid.UUID) -> None:
        await asyncio.sleep(BURST_SECONDS)
        await asyncio.wait({self._worker(conversation_id)})

    async def _given(self, event_id: int) -> Answer | None:
        async with self._state["db"].read() as session:
            event = await session.get_one(InboundEvent, event_id)
        return Answer(**event.answer) if event.answered_at and event.answer else None

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await self.sweep()
            except Exception as exc:
                if is_ending():
                    raise
                _tell_not_swept(exc)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _close(self) -> None:
        """Let the answers under way be finished, for a moment; the rest is somebody else's."""
        running = {*self._workers.values(), *self._later}
        if running:
            await asyncio.wait(running, timeout=CLOSING_SECONDS)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        with suppress(DatabaseDown):
            await self._clerk.release()


def _tell_not_swept(error: Exception) -> None:
    if isinstance(error, DatabaseDown):
        log.warning("the desk is not swept", problem=str(error))
    else:
        log.error("the desk is not swept", exc_info=error)
