"""What was used, what that cost, and who was told when it became too much."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from ivr.db import columns


class UsageLog(SQLModel, table=True):
    """What one thing took that somebody charges for; it grows while the thing goes on.

    `kind`: realtime, transcription, text, telephony or message. `quantities`: {"input_tokens": 12},
    {"seconds": 61}, {"segments": 2}. `cost_micros`: millionths of a US dollar, None when the price
    is not known. `source_key` names the thing, so that it is noted once.
    """

    __tablename__: ClassVar[str] = "usage_logs"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source_key"),
        Index("usage_of_month", "tenant_id", "at", "tokens", "cost_micros"),
    )

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    conversation_id: uuid.UUID | None = Field(
        default=None, foreign_key="conversation_sessions.id", index=True
    )
    lead_id: uuid.UUID | None = Field(default=None, foreign_key="leads.id", index=True)
    kind: str
    purpose: str
    provider: str
    model: str
    quantities: dict[str, Any] = columns.json()
    tokens: int = Field(default=0, sa_type=BigInteger)
    cost_micros: int | None = Field(default=None, sa_type=BigInteger)
    source_key: str
    at: datetime = columns.time()


class Alert(SQLModel, table=True):
    """Something a tenant was told of, once per `period` ("2026-11")."""

    __tablename__: ClassVar[str] = "alerts"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "period"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    kind: str
    period: str
    detail: dict[str, Any] = columns.json()
    at: datetime = columns.time()


class IdempotencyRecord(SQLModel, table=True):
    """An answered request, by the name its sender gave it: a repeat gets the same answer."""

    __tablename__: ClassVar[str] = "idempotency_records"
    __table_args__ = (UniqueConstraint("tenant_id", "key"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    key: str
    request_sha256: str
    status: int
    body: dict[str, Any] = columns.json()
    headers: dict[str, Any] = columns.json()
    created_at: datetime = columns.time(index=True)
