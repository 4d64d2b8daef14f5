"""Writes down what others want to be told of, in the transaction in which it happens.

Sending is `delivery`'s work. Whether a tenant has endpoints at all is asked of the database once
in a transaction, for all its events: a copy in memory would miss the first events after another
process has added the first endpoint.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import DeliveryState, OutboxEvent, WebhookDelivery, WebhookEndpoint

_KNOWN = "ivr.webhooks.outbox"  # in `session.info`, which ends with the transaction


@dataclass(frozen=True, slots=True)
class _Listener:
    """An endpoint as far as an event needs it."""

    endpoint_id: uuid.UUID
    types: Mapping[str, Any]


async def emit(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    type: str,
    *,
    lead_id: uuid.UUID | None,
    data: dict[str, Any],
    now: datetime,
) -> None:
    """Have every endpoint of the tenant that wants this type told; without one nothing is written.

    Call it after the row it tells of is written: then a new endpoint misses nothing, see
    `endpoints.add`. `data` is plain JSON.
    """
    listeners = await _listeners(session, tenant_id)
    wanted = [listener for listener in listeners if wants(listener.types, type)]
    if not wanted:
        return
    event = OutboxEvent(
        tenant_id=tenant_id, type=type, lead_id=lead_id, payload=data, created_at=now
    )
    session.add(event)
    await session.flush()
    session.add_all(first_delivery(event, one.endpoint_id, now=now) for one in wanted)


async def is_wanted(session: AsyncSession, tenant_id: uuid.UUID, type: str) -> bool:
    """Return whether anybody is told of such events: what only they cost need not be done else."""
    listeners = await _listeners(session, tenant_id)
    return any(wants(listener.types, type) for listener in listeners)


def rfc3339(moment: datetime) -> str:
    """Return a time as the data of events has it: `2026-11-20T15:00:00Z`."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def wants(types: Mapping[str, Any], type: str) -> bool:
    """Return whether an endpoint with these `types` is told of such an event."""
    only = types.get("only")
    return not only or type in only


def first_delivery(event: OutboxEvent, endpoint_id: uuid.UUID, *, now: datetime) -> WebhookDelivery:
    """Return the row that has an event sent to an endpoint at once."""
    return WebhookDelivery(
        tenant_id=event.tenant_id,
        event_id=event.id,
        endpoint_id=endpoint_id,
        state=DeliveryState.PENDING,
        next_attempt_at=now,
        updated_at=now,
    )


def is_active() -> ColumnElement[bool]:
    """Return the condition under which an endpoint is told of anything."""
    return col(WebhookEndpoint.disabled_at).is_(None)


async def _listeners(session: AsyncSession, tenant_id: uuid.UUID) -> tuple[_Listener, ...]:
    known: dict[uuid.UUID, tuple[_Listener, ...]] = session.info.setdefault(_KNOWN, {})
    if tenant_id not in known:
        query = select(WebhookEndpoint.id, WebhookEndpoint.types).where(
            WebhookEndpoint.tenant_id == tenant_id, is_active()
        )
        with session.no_autoflush:  # the caller's rows are written when it is done with them
            found = (await session.exec(query)).all()
        known[tenant_id] = tuple(_Listener(*row) for row in found)
    return known[tenant_id]
