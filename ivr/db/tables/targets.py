"""Finished leads on their way to their targets."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from ivr.db import columns
from ivr.db.tables.words import SubmissionState


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
    session_id: uuid.UUID = Field(foreign_key="conversation_sessions.id", index=True)
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
    session_id: uuid.UUID = Field(foreign_key="conversation_sessions.id", index=True)
    retry_count: int = 0
    last_retry_at: datetime | None = columns.maybe_time()
    created_at: datetime = columns.time(index=True)
    resolved: bool = Field(default=False, index=True)
    resolution: str | None = None
