"""Every table, in one place because foreign keys ignore folder borders. No queries here.

Rows belong to a tenant; times are aware UTC; phone numbers are E.164; JSON columns hold dicts.
"""

import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from ivr.db import columns


def utc_now() -> datetime:
    """Return the time; taken once per operation and passed on."""
    return datetime.now(UTC)


class Channel(StrEnum):
    """The door a conversation came through."""

    VOICE = "voice"


class ConversationStatus(StrEnum):
    """`OPEN` until every ending's one finaliser has run."""

    OPEN = "open"
    FINISHED = "finished"


class Role(StrEnum):
    """Who said a turn."""

    ASSISTANT = "assistant"
    CALLER = "user"


class Source(StrEnum):
    """Where a field's value comes from, the most trusted first."""

    CONFIRMED = "confirmed"
    CALLER_ID = "caller_id"
    TYPED = "typed"
    TOOL = "tool"
    EXTRACTED = "extracted"
    INFERRED = "inferred"


class Axis(StrEnum):
    """What moves in the life of a lead."""

    STAGE = "stage"
    LIFECYCLE = "lifecycle"
    STATUS = "status"


class Lifecycle(StrEnum):
    """What the system is doing with a lead."""

    NEW = "NEW"
    QUALIFYING = "QUALIFYING"
    QUALIFIED = "QUALIFIED"
    SUBMITTED = "SUBMITTED"
    DISQUALIFIED = "DISQUALIFIED"


class SubmissionState(StrEnum):
    """Where a finished lead is on its way to the target."""

    PENDING = "pending"  # waits for its first attempt or, with next_attempt_at, for the next
    IN_FLIGHT = "in_flight"  # committed before the request leaves
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # refused, or retries spent: waits for an operator
    AMBIGUOUS = "ambiguous"  # may have been taken: waits for a review
    HELD = "held"  # the tenant's policy does not let this lead go yet
    RESOLVED = "resolved"  # an operator closed it without sending

    @classmethod
    def open_states(cls) -> frozenset["SubmissionState"]:
        """Return the states in which somebody or something still has work to do."""
        return frozenset({cls.PENDING, cls.IN_FLIGHT, cls.FAILED, cls.AMBIGUOUS, cls.HELD})


class ReviewKind(StrEnum):
    """Why a person must look."""

    EXTRACTION = "extraction"
    AMBIGUOUS_SUBMISSION = "ambiguous_submission"


class TaskKind(StrEnum):
    """What a person is to do for a lead."""

    CALL_BACK = "call_back"


class Tenant(SQLModel, table=True):
    """A business that gets leads."""

    __tablename__: ClassVar[str] = "tenants"

    id: uuid.UUID = columns.own_id()
    slug: str = Field(unique=True)
    name: str
    phone_number: str | None = Field(default=None, unique=True)
    profile: str
    timezone: str
    status: str = "active"
    created_at: datetime = columns.time()


class Contact(SQLModel, table=True):
    """A person."""

    __tablename__: ClassVar[str] = "contacts"

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    name: str | None = None
    created_at: datetime = columns.time()


class ContactPoint(SQLModel, table=True):
    """A way to reach a person: `kind` phone or email, `value` normalised."""

    __tablename__: ClassVar[str] = "contact_points"
    __table_args__ = (UniqueConstraint("tenant_id", "kind", "value"),)

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    contact_id: uuid.UUID = Field(foreign_key="contacts.id", index=True)
    kind: str
    value: str
    created_at: datetime = columns.time()


class Lead(SQLModel, table=True):
    """What one contact wants from one tenant; at most one open per contact and profile."""

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
    lifecycle: str = Lifecycle.NEW
    status: str = "new"
    created_at: datetime = columns.time(index=True)
    updated_at: datetime = columns.time()
    closed_at: datetime | None = columns.maybe_time()


class Conversation(SQLModel, table=True):
    """One exchange with one person on one channel; `session_key` is the CallSid of a call.

    `finish_after` is the moment at which the finaliser runs unless the conversation goes on: so a
    conversation whose process died is finished all the same. A call has as many `streams` as were
    opened for it, one after another; `carried_by` is the executor id of who carries the open one.
    `line_closed_at`: Twilio has said that the phone call itself is over. Until then whoever cares
    for the call moves `line_due_at`, at which Twilio is asked; `line_tries` counts that asking.
    """

    __tablename__: ClassVar[str] = "conversation_sessions"
    __table_args__ = (UniqueConstraint("tenant_id", "channel", "session_key"),)

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    lead_id: uuid.UUID = Field(foreign_key="leads.id", index=True)
    channel: str
    session_key: str
    from_number: str | None = None
    to_number: str | None = None
    state: dict[str, Any] = columns.json()
    status: str = ConversationStatus.OPEN
    episode: int = 1
    stream_opened_at: datetime | None = columns.maybe_time()
    streaming: bool = False
    streams: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    carried_by: str | None = None
    line_closed_at: datetime | None = columns.maybe_time(index=True)
    line_due_at: datetime | None = columns.maybe_time(index=True)
    line_tries: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    started_at: datetime = columns.time(index=True)
    ended_at: datetime | None = columns.maybe_time()
    end_reason: str | None = None
    finish_after: datetime | None = columns.maybe_time(index=True)
    finished_at: datetime | None = columns.maybe_time()
    usage: dict[str, Any] = columns.json()


class Turn(SQLModel, table=True):
    """What one side said; `item_id` is the model's name for it, `cut`: not all of it was heard."""

    __tablename__: ClassVar[str] = "turns"
    __table_args__ = (UniqueConstraint("conversation_id", "item_id"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    conversation_id: uuid.UUID = Field(foreign_key="conversation_sessions.id")
    item_id: str
    position: int
    role: str
    text: str
    cut: bool = False
    heard_ms: int | None = None
    said_at: datetime = columns.time()


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


class Submission(SQLModel, table=True):
    """One finished lead on its way to one target, which may deduplicate on `reference`."""

    __tablename__: ClassVar[str] = "submissions"
    __table_args__ = (UniqueConstraint("conversation_id", "episode", "target"),)

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    lead_id: uuid.UUID = Field(foreign_key="leads.id", index=True)
    conversation_id: uuid.UUID = Field(foreign_key="conversation_sessions.id", index=True)
    episode: int
    target: str
    channel: str
    lead_data: dict[str, Any] = columns.json()
    state: str = Field(default=SubmissionState.PENDING, index=True)
    attempts: int = 0
    next_attempt_at: datetime | None = columns.maybe_time(index=True)
    last_error: str | None = None
    created_at: datetime = columns.time()
    updated_at: datetime = columns.time()

    @property
    def reference(self) -> str:
        """Return our id for this submission, the same on every attempt."""
        return str(self.id)


class SubmissionAttempt(SQLModel, table=True):
    """One request to a target; without `finished_at` we never learnt what became of it."""

    __tablename__: ClassVar[str] = "submission_attempts"
    __table_args__ = (UniqueConstraint("submission_id", "number"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    submission_id: uuid.UUID = Field(foreign_key="submissions.id")
    number: int
    actor: str
    request_hash: str
    started_at: datetime = columns.time()
    finished_at: datetime | None = columns.maybe_time()
    outcome: str | None = None
    status_code: int | None = None
    response: str | None = None
    error: str | None = None


class SucceededLead(SQLModel, table=True):
    """A lead that its target took (the owner's table)."""

    __tablename__: ClassVar[str] = "succeeded_leads"

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    submission_id: uuid.UUID = Field(foreign_key="submissions.id", unique=True)
    lead_data: dict[str, Any] = columns.json()
    channel: str
    session_id: uuid.UUID = Field(foreign_key="conversation_sessions.id")
    submitted_at: datetime = columns.time(index=True)
    npa_response: dict[str, Any] = columns.json()


class FailedLead(SQLModel, table=True):
    """A lead that its target did not take yet (the owner's table); `resolved`: nothing to do."""

    __tablename__: ClassVar[str] = "failed_leads"

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    submission_id: uuid.UUID = Field(foreign_key="submissions.id", unique=True)
    lead_data: dict[str, Any] = columns.json()
    error_message: str
    channel: str
    session_id: uuid.UUID = Field(foreign_key="conversation_sessions.id")
    retry_count: int = 0
    last_retry_at: datetime | None = columns.maybe_time()
    created_at: datetime = columns.time(index=True)
    resolved: bool = Field(default=False, index=True)
    resolution: str | None = None


class InboundEvent(SQLModel, table=True):
    """A webhook that came in, committed before its answer; its key makes a repeat harmless."""

    __tablename__: ClassVar[str] = "inbound_events"
    __table_args__ = (UniqueConstraint("tenant_id", "provider", "kind", "provider_id"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    provider: str
    kind: str
    provider_id: str
    payload: dict[str, Any] = columns.json()
    received_at: datetime = columns.time()


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
