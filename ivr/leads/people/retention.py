"""Keeps nothing longer than it should be kept: people, after what their business says, and traces.

A person is forgotten whose leads are all closed, with whom nobody has anything left to do, and who
was last heard from longer ago than `config.retention_days`. What came in, what was told to webhook
endpoints, and answers kept for repeats are there to be looked up for a month, whoever they are of.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, delete, exists, func, or_
from sqlalchemy.orm import aliased
from sqlmodel import col, select

from ivr.db import Database
from ivr.db.engine import is_ending
from ivr.db.tables import (
    Conversation,
    ConversationStatus,
    DeliveryState,
    Escalation,
    IdempotencyRecord,
    InboundEvent,
    Lead,
    OutboxEvent,
    ReviewItem,
    Submission,
    SubmissionState,
    Task,
    Tenant,
    WebhookDelivery,
    utc_now,
)
from ivr.errors import Conflict, NotFound
from ivr.leads.people import forgetting
from ivr.tenants import config

ACTOR = "timer"
TRACES_KEPT = timedelta(days=30)
EVERY_SECONDS = 600.0
BATCH = 200
PACE_SECONDS = 0.05  # between two transactions: old rows must not be heard in a call
# Held ones wait for what the silent person has not told: nobody's work.
_UNSENT = SubmissionState.open_states() - {SubmissionState.HELD}

log = structlog.get_logger(__name__)


class Retention:
    """Forgets and prunes for one process."""

    def __init__(self, db: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._db = db
        self._clock = clock

    @classmethod
    @asynccontextmanager
    async def open(cls, db: Database) -> AsyncIterator["Retention"]:
        """Look for what is too old every ten minutes while the block runs."""
        retention = cls(db)
        task = asyncio.create_task(_run(retention), name="retention")
        try:
            yield retention
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def sweep(self) -> int:
        """Forget whose time has come, a batch of each business; return how many people."""
        now, forgotten = self._clock(), 0
        async with self._db.read() as session:
            tenants = (await session.exec(select(Tenant))).all()
        for tenant in tenants:
            days = config.of(tenant).retention_days
            if days is not None:
                forgotten += await self._forget(tenant, now - timedelta(days=days), now=now)
        return forgotten

    async def prune(self) -> int:
        """Delete all traces that are too old, in small transactions; return how many rows."""
        before, pruned = self._clock() - TRACES_KEPT, 0
        for table, which in _traces(before):
            while ids := await self._found(which):
                pruned += await self._delete(table, ids)
                await asyncio.sleep(PACE_SECONDS)
        return pruned

    async def _forget(self, tenant: Tenant, before: datetime, *, now: datetime) -> int:
        """Forget a batch of people; who cannot be forgotten keeps nobody else waiting."""
        done_with, forgotten = _done_with(tenant.id, before), 0
        for contact_id in dict.fromkeys(await self._found(done_with)):
            await asyncio.sleep(PACE_SECONDS)
            still = done_with.where(Lead.contact_id == contact_id)
            try:
                await forgetting.forget(
                    self._db.for_tenant(tenant.id),
                    tenant.id,
                    contact_id,
                    actor=ACTOR,
                    now=now,
                    only_if=still,
                )
            except (Conflict, NotFound):  # they are here again, or another process was first
                continue
            except Exception:
                if is_ending():
                    raise
                log.exception("not forgotten", contact_id=str(contact_id))
                continue
            forgotten += 1
        return forgotten

    async def _found(self, query: Any) -> Sequence[Any]:
        async with self._db.read() as session:
            found: Sequence[Any] = (await session.exec(query.limit(BATCH))).all()
            return found

    async def _delete(self, table: Any, ids: Sequence[Any]) -> int:
        these: list[tuple[Any, Any]] = [(table, col(table.id).in_(ids))]
        if table is OutboxEvent:
            these.insert(0, (WebhookDelivery, col(WebhookDelivery.event_id).in_(ids)))
        async with self._db.write() as session:
            for one, condition in these:
                statement = delete(one).where(condition)
                result = await session.exec(statement.execution_options(synchronize_session=False))
        return int(result.rowcount)


def _done_with(tenant_id: uuid.UUID, before: datetime) -> Any:
    """Return the query for the contacts to forget, a contact once for each of its leads."""
    other: Any = aliased(Lead)
    is_kept = exists().where(
        other.contact_id == Lead.contact_id,
        or_(other.closed_at.is_(None), _heard(other) > before, _is_worked_on(other)),
    )
    return (
        select(Lead.contact_id)
        .where(
            Lead.tenant_id == tenant_id,
            col(Lead.created_at) <= before,
            col(Lead.closed_at).is_not(None),
            _heard(Lead) <= before,
            ~is_kept,
        )
        .order_by(col(Lead.created_at), col(Lead.id))
    )


def _heard(lead: Any) -> ColumnElement[datetime]:
    return func.coalesce(lead.last_inbound_at, lead.created_at)


def _is_worked_on(lead: Any) -> ColumnElement[bool]:
    """Whether somebody or something has still to do with a lead, closed as it is."""
    return or_(
        *(
            exists().where(col(table.lead_id) == lead.id, is_open)
            for table, is_open in (
                (Conversation, col(Conversation.status) == ConversationStatus.OPEN),
                (Task, col(Task.done_at).is_(None)),
                (Escalation, col(Escalation.resolved_at).is_(None)),
                (ReviewItem, col(ReviewItem.resolved_at).is_(None)),
                (Submission, col(Submission.state).in_(_UNSENT)),
            )
        )
    )


def _traces(before: datetime) -> list[tuple[Any, Any]]:
    """Return what grows, and which rows of it are too old, the oldest first."""
    untold = exists().where(
        col(WebhookDelivery.event_id) == col(OutboxEvent.id),
        col(WebhookDelivery.state) != DeliveryState.DELIVERED,
    )
    going_on = exists().where(
        col(Conversation.id) == col(InboundEvent.conversation_id),
        col(Conversation.status) == ConversationStatus.OPEN,
    )
    return [
        (
            OutboxEvent,
            select(OutboxEvent.id)
            .where(col(OutboxEvent.created_at) <= before, ~untold)
            .order_by(col(OutboxEvent.created_at)),
        ),
        (
            InboundEvent,
            select(InboundEvent.id)
            .where(
                # By their numbers, since no index has their times; the first ones are the oldest.
                col(InboundEvent.id).in_(_first(InboundEvent)),
                and_(col(InboundEvent.received_at) <= before, ~going_on),
            )
            .order_by(col(InboundEvent.id)),
        ),
        (
            IdempotencyRecord,
            select(IdempotencyRecord.id)
            .where(col(IdempotencyRecord.created_at) <= before)
            .order_by(col(IdempotencyRecord.created_at)),
        ),
    ]


def _first(table: Any) -> Any:
    return select(table.id).order_by(col(table.id)).limit(10 * BATCH)


async def _run(retention: Retention) -> None:
    while True:
        try:
            await retention.sweep()
            await retention.prune()
        except Exception:
            if is_ending():
                raise
            log.exception("what is too old was not looked at")
        await asyncio.sleep(EVERY_SECONDS)
