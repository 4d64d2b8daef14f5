"""The cast of the webhook tests: two businesses, events, and a process that delivers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlmodel import select

from ivr.db import Database
from ivr.db.tables import Tenant, WebhookDelivery, WebhookEndpoint
from ivr.sealing import Seal
from ivr.webhooks import endpoints, outbox
from ivr.webhooks.delivery import Deliveries
from tests.leads.cast import Clock
from tools.emulators.receiver import Receiver

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SECRET_KEY = "a-secret-key-of-more-than-32-characters"
SEAL = Seal(SECRET_KEY.encode())


async def tenant_of(db: Database, slug: str = "school") -> Tenant:
    """A business."""
    async with db.write() as session:
        tenant = Tenant(
            slug=slug, name=slug, profile="courses", timezone="Asia/Karachi", created_at=NOW
        )
        session.add(tenant)
    return tenant


async def endpoint_of(
    db: Database, tenant: Tenant, url: str, *types: str, now: datetime = NOW
) -> WebhookEndpoint:
    """An endpoint of the business, in development."""
    async with db.write() as session:
        endpoint, _ = await endpoints.add(
            session, tenant.id, url, types=types, only_public=False, seal=SEAL, now=now
        )
    return endpoint


def secret_of(endpoint: WebhookEndpoint) -> str:
    """The secret that signs for an endpoint."""
    return endpoints.valid_secrets(endpoint, SEAL, now=NOW)[0]


async def listening(db: Database, tenant: Tenant, receiver: Receiver) -> WebhookEndpoint:
    """The receiver's endpoint; the receiver knows the secret."""
    endpoint = await endpoint_of(db, tenant, receiver.url)
    receiver.secrets.append(secret_of(endpoint))
    return endpoint


async def emit(
    db: Database,
    tenant: Tenant,
    *numbers: int,
    type: str = "lead.stage_changed",
    now: datetime = NOW,
) -> None:
    """Events that are told apart by `seq`, in one transaction."""
    async with db.write() as session:
        for number in numbers or (1,):
            data: dict[str, Any] = {"seq": number, "to": "COURSE_SELECTED", "reason": "Ünïcode ✓"}
            await outbox.emit(session, tenant.id, type, lead_id=None, data=data, now=now)


@asynccontextmanager
async def process(
    db: Database, clock: Clock, *receivers: Receiver, request_seconds: float = 5.0
) -> AsyncIterator[Deliveries]:
    """A process that delivers when told to; it and the receivers live by the same clock."""
    for receiver in receivers:
        receiver.clock = lambda: clock().timestamp()
    async with httpx.AsyncClient() as http:
        yield Deliveries(
            db,
            http,
            only_public=False,
            seal=SEAL,
            clock=clock,
            chance=lambda: 0.5,
            request_seconds=request_seconds,
        )


async def attempt_due(deliveries: Deliveries) -> list[str | None]:
    """Make every delivery that is due, and return what became of each."""
    found = await deliveries.due(limit=100)
    return [await deliveries.attempt(number) for number, _ in found if number is not None]


async def delivery_rows(db: Database) -> list[WebhookDelivery]:
    """Every delivery, oldest first."""
    async with db.read() as session:
        query = select(WebhookDelivery).order_by(WebhookDelivery.id)  # type: ignore[arg-type]  # a column
        return list((await session.exec(query)).all())
