"""Businesses, the keys to their data, and the people who reach them."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from ivr.db import columns
from ivr.db.tables.words import TenantStatus


class Tenant(SQLModel, table=True):
    """A business that gets leads; `phone_number` is the one it writes from.

    `business_hours`: {"monday": {"start": "09:00", "end": "18:00"}, ...}, local times. `config`
    holds what `tenants.config` describes, `secrets` what `sealing` has sealed, by name. A budget is
    per month of its own time zone; None is no limit.
    """

    __tablename__: ClassVar[str] = "tenants"

    id: uuid.UUID = columns.own_id()
    slug: str = Field(unique=True)
    name: str
    phone_number: str | None = Field(default=None, unique=True)
    profile: str
    timezone: str
    status: str = TenantStatus.ACTIVE
    industry: str | None = None
    business_hours: dict[str, Any] = columns.json(server_default="{}")
    config: dict[str, Any] = columns.json(server_default="{}")
    secrets: dict[str, Any] = columns.json(server_default="{}")
    monthly_token_budget: int | None = Field(default=None, sa_type=BigInteger)
    monthly_budget_cents: int | None = Field(default=None, sa_type=BigInteger)  # US cents
    created_at: datetime = columns.time()
    updated_at: datetime | None = columns.maybe_time()


class PhoneNumber(SQLModel, table=True):
    """A number (E.164) under which a tenant is called or written to."""

    __tablename__: ClassVar[str] = "phone_numbers"

    number: str = Field(primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    created_at: datetime = columns.time()


class ApiKey(SQLModel, table=True):
    """A key of a tenant, kept as its SHA-256 only; `hint` is its beginning, to tell keys apart.

    `scopes`: {"only": ["leads:read", ...]}; without `only` it opens all that its kind may. A key of
    the kind `admin` belongs to the tenant `default` and opens what concerns all tenants.
    """

    __tablename__: ClassVar[str] = "api_keys"

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    kind: str
    name: str
    hint: str
    sha256: str = Field(unique=True)
    origin: str | None = None
    scopes: dict[str, Any] = columns.json(server_default="{}")
    created_at: datetime = columns.time()
    expires_at: datetime | None = columns.maybe_time()
    revoked_at: datetime | None = columns.maybe_time()
    last_used_at: datetime | None = columns.maybe_time()


class Contact(SQLModel, table=True):
    """A person."""

    __tablename__: ClassVar[str] = "contacts"

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    name: str | None = None
    created_at: datetime = columns.time()


class ContactPoint(SQLModel, table=True):
    """A way to reach a person: `kind` phone, email or chat, `value` normalised.

    `verified`: a network has shown it (caller ID, SMS, a signed-in visitor), it was not only said.
    """

    __tablename__: ClassVar[str] = "contact_points"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "value"),)

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    contact_id: uuid.UUID = Field(foreign_key="contacts.id", index=True)
    kind: str
    value: str
    verified: bool = Field(default=False, sa_column_kwargs={"server_default": "0"})
    created_at: datetime = columns.time()


class MergeRecord(SQLModel, table=True):
    """Two contacts found to be one person: who was kept, and what moved, so that it can go back.

    `moved`: {"points": [...], "leads": [...], "absorbed": [{"lead", "into", "lifecycle", rows}]}.
    """

    __tablename__: ClassVar[str] = "merge_records"

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    kept_id: uuid.UUID = Field(foreign_key="contacts.id", index=True)
    gone_id: uuid.UUID = Field(foreign_key="contacts.id", index=True)
    reason: str
    moved: dict[str, Any] = columns.json()
    created_at: datetime = columns.time()
    split_at: datetime | None = columns.maybe_time()


class ConsentEvent(SQLModel, table=True):
    """Somebody allowed or forbade us to write to an address; append only, the last one counts.

    `source`: keyword, free_text, provider, form, staff or an error code. `evidence`: their words.
    """

    __tablename__: ClassVar[str] = "consent_events"
    __table_args__ = (Index("consent_of_address", "tenant_id", "address", "channel"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    address: str
    channel: str
    action: str
    source: str
    evidence: str
    at: datetime = columns.time()


class Suppression(SQLModel, table=True):
    """An address that is not written to any more, of somebody of whom nothing else is kept.

    `sha256` is one under a key of the tenant's id and the normalised address (see
    `messages/suppressions.py`): without SECRET_KEY it says nothing, nor does trying all numbers.
    """

    __tablename__: ClassVar[str] = "suppressions"
    __table_args__ = (UniqueConstraint("tenant_id", "sha256", "channel"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    sha256: str
    channel: str
    at: datetime = columns.time()
