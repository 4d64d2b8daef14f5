"""What people want, what is known of it, and who is to do something about it."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from ivr.db import columns
from ivr.db.tables.words import Lifecycle


class Lead(SQLModel, table=True):
    """What one contact wants from one tenant; at most one open per contact and profile.

    `stage_pin`: a person, or a timer, has set the stage; without one it follows from the values.
    """

    __tablename__: ClassVar[str] = "leads"
    __table_args__ = (
        Index(
            "one_open_lead",
            "tenant_id",
            "contact_id",
            "profile",
            unique=True,
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    contact_id: uuid.UUID = Field(foreign_key="contacts.id", index=True)
    profile: str
    stage: str
    stage_pin: str | None = None
    lifecycle: str = Lifecycle.NEW
    status: str = "new"
    created_at: datetime = columns.time(index=True)
    updated_at: datetime = columns.time()
    lost_reason: str | None = None
    last_inbound_at: datetime | None = columns.maybe_time(index=True)
    closed_at: datetime | None = columns.maybe_time()


class FieldValue(SQLModel, table=True):
    """One value a field was given, never changed; the one that counts is chosen by provenance."""

    __tablename__: ClassVar[str] = "field_values"

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    lead_id: uuid.UUID = Field(foreign_key="leads.id", index=True)
    conversation_id: uuid.UUID = Field(foreign_key="conversation_sessions.id", index=True)
    name: str
    value: str | None
    raw: str
    source: str
    problem: str | None = None
    quote: str | None = None
    turn_item_id: str | None = None
    details: dict[str, Any] = columns.json()
    created_at: datetime = columns.time()


class Transition(SQLModel, table=True):
    """One move of a lead on one axis; append only, `seq` gap-free per lead and axis."""

    __tablename__: ClassVar[str] = "transitions"
    __table_args__ = (UniqueConstraint("lead_id", "axis", "seq"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    lead_id: uuid.UUID = Field(foreign_key="leads.id")
    axis: str
    seq: int
    from_value: str | None
    to_value: str
    actor: str
    reason: str
    at: datetime = columns.time()


class ReviewItem(SQLModel, table=True):
    """Something a person must decide."""

    __tablename__: ClassVar[str] = "review_items"

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    kind: str
    lead_id: uuid.UUID = Field(foreign_key="leads.id", index=True)
    conversation_id: uuid.UUID = Field(foreign_key="conversation_sessions.id")
    submission_id: uuid.UUID | None = Field(default=None, foreign_key="submissions.id")
    detail: dict[str, Any] = columns.json()
    created_at: datetime = columns.time()
    resolved_at: datetime | None = columns.maybe_time()
    resolution: str | None = None


class Task(SQLModel, table=True):
    """Something a person is to do for a lead; at most one open per lead and kind."""

    __tablename__: ClassVar[str] = "tasks"
    __table_args__ = (
        Index(
            "one_open_task",
            "lead_id",
            "kind",
            unique=True,
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    lead_id: uuid.UUID = Field(foreign_key="leads.id", index=True)
    conversation_id: uuid.UUID | None = Field(default=None, foreign_key="conversation_sessions.id")
    kind: str
    reason: str
    created_at: datetime = columns.time()
    due_at: datetime | None = columns.maybe_time(index=True)
    done_at: datetime | None = columns.maybe_time()
    note: str | None = None


class Escalation(SQLModel, table=True):
    """A conversation that a person is to take over; at most one open per conversation."""

    __tablename__: ClassVar[str] = "escalations"
    __table_args__ = (
        Index(
            "one_open_escalation",
            "conversation_id",
            unique=True,
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    lead_id: uuid.UUID = Field(foreign_key="leads.id", index=True)
    conversation_id: uuid.UUID = Field(foreign_key="conversation_sessions.id")
    trigger: str
    reason: str
    state: str
    assignee: str | None = None
    created_at: datetime = columns.time(index=True)
    due_at: datetime | None = columns.maybe_time()
    acknowledged_at: datetime | None = columns.maybe_time()
    resolved_at: datetime | None = columns.maybe_time()
    resolution: str | None = None
