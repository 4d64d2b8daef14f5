"""Sends again what was parked, or everything since some moment: a row is put back, nothing sent."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Update, and_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import DeliveryState, OutboxEvent, WebhookDelivery, WebhookEndpoint
from ivr.errors import Conflict, NotFound
from ivr.webhooks import outbox

Parked = tuple[WebhookDelivery, OutboxEvent, WebhookEndpoint]
_OVER = (DeliveryState.PARKED, DeliveryState.DELIVERED)


async def parked(session: AsyncSession, tenant_id: uuid.UUID) -> Sequence[Parked]:
    """Return what could not be delivered, oldest first."""
    query = (
        select(WebhookDelivery, OutboxEvent, WebhookEndpoint)
        .join(OutboxEvent, col(OutboxEvent.id) == col(WebhookDelivery.event_id))
        .join(WebhookEndpoint, col(WebhookEndpoint.id) == col(WebhookDelivery.endpoint_id))
        .where(
            WebhookDelivery.tenant_id == tenant_id,
            WebhookDelivery.state == DeliveryState.PARKED,
        )
        .order_by(col(WebhookDelivery.id))
    )
    return (await session.exec(query)).all()


async def one(
    session: AsyncSession, tenant_id: uuid.UUID, delivery_id: int, *, now: datetime
) -> None:
    """Have one delivery sent again; raise `NotFound`, or `Conflict` when that cannot be."""
    query = (
        select(WebhookDelivery, WebhookEndpoint)
        .join(WebhookEndpoint, col(WebhookEndpoint.id) == col(WebhookDelivery.endpoint_id))
        .where(WebhookDelivery.tenant_id == tenant_id, WebhookDelivery.id == delivery_id)
    )
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound(f"no delivery {delivery_id}; `ivr webhooks parked` shows what is parked")
    if found[1].disabled_at is not None:
        raise Conflict(f"delivery {delivery_id}: its endpoint is disabled")
    changed = await session.exec(_again(now).where(col(WebhookDelivery.id) == delivery_id))
    if changed.rowcount == 0:
        raise Conflict(f"delivery {delivery_id} is on its way already")


async def since(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    moment: datetime,
    *,
    only_parked: bool = False,
    now: datetime,
) -> int:
    """Have every event since then sent again to every endpoint in use; return how many deliveries.

    Also to an endpoint that was added later, say in place of one that was disabled.
    """
    events = (OutboxEvent.tenant_id == tenant_id, col(OutboxEvent.created_at) >= moment)
    query = select(WebhookEndpoint).where(
        WebhookEndpoint.tenant_id == tenant_id, outbox.is_active()
    )
    count = 0
    for endpoint in (await session.exec(query)).all():
        states = (DeliveryState.PARKED,) if only_parked else _OVER
        sent_before = _again(now, states).where(
            col(WebhookDelivery.endpoint_id) == endpoint.id,
            col(WebhookDelivery.event_id).in_(select(OutboxEvent.id).where(*events)),
        )
        count += (await session.exec(sent_before)).rowcount
        if not only_parked:
            count += await _add_missing(session, endpoint, events, now=now)
    return count


def _again(now: datetime, states: Sequence[str] = _OVER) -> Update:
    return (
        update(WebhookDelivery)
        .where(col(WebhookDelivery.state).in_(states))
        .values(
            state=DeliveryState.PENDING,
            attempts=0,
            next_attempt_at=now,
            delivered_at=None,
            updated_at=now,
        )
    )


async def _add_missing(
    session: AsyncSession, endpoint: WebhookEndpoint, events: tuple[Any, ...], *, now: datetime
) -> int:
    """Add the deliveries of events that this endpoint was never to be told of."""
    theirs = and_(
        col(WebhookDelivery.event_id) == col(OutboxEvent.id),
        col(WebhookDelivery.endpoint_id) == endpoint.id,
    )
    query = select(OutboxEvent).outerjoin(WebhookDelivery, theirs)
    found = (await session.exec(query.where(*events, col(WebhookDelivery.id).is_(None)))).all()
    missing = [event for event in found if outbox.wants(endpoint.types, event.type)]
    session.add_all(outbox.first_delivery(event, endpoint.id, now=now) for event in missing)
    return len(missing)
