"""What we tell others, and whether they have heard it."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from ivr.db import columns


class WebhookEndpoint(SQLModel, table=True):
    """Where a tenant wants to be told of events; `types` {"only": [...]}, empty: of all."""

    __tablename__: ClassVar[str] = "webhook_endpoints"

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    url: str
    secret: str
    previous_secret: str | None = None  # signs too, for a while after `rotated_at`
    rotated_at: datetime | None = columns.maybe_time()
    types: dict[str, Any] = columns.json()
    created_at: datetime = columns.time()
    disabled_at: datetime | None = columns.maybe_time()


class OutboxEvent(SQLModel, table=True):
    """Something happened that others may want to know; written where it happened, told later."""

    __tablename__: ClassVar[str] = "outbox_events"

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    type: str
    lead_id: uuid.UUID | None = Field(default=None, foreign_key="leads.id", index=True)
    payload: dict[str, Any] = columns.json()
    created_at: datetime = columns.time(index=True)


class WebhookDelivery(SQLModel, table=True):
    """One event on its way to one endpoint."""

    __tablename__: ClassVar[str] = "webhook_deliveries"
    __table_args__ = (UniqueConstraint("event_id", "endpoint_id"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    event_id: uuid.UUID = Field(foreign_key="outbox_events.id", index=True)
    endpoint_id: uuid.UUID = Field(foreign_key="webhook_endpoints.id", index=True)
    state: str
    attempts: int = 0
    next_attempt_at: datetime | None = columns.maybe_time(index=True)
    last_status_code: int | None = None
    last_error: str | None = None
    delivered_at: datetime | None = columns.maybe_time()
    updated_at: datetime = columns.time()
