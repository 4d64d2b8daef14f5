"""What came in, what was said, and what was written."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from ivr.db import columns
from ivr.db.tables.words import ConversationStatus


class Conversation(SQLModel, table=True):
    """One exchange with one person on one channel.

    `session_key` is the CallSid of a call, the phone number of who texts, the id of a chat.

    `finish_after` is the moment at which the finaliser runs unless the conversation goes on: so a
    conversation whose process died is finished all the same. A call has as many `streams` as were
    opened for it, one after another; `carried_by` is the executor id of who carries the open one.
    `line_closed_at`: Twilio has said that the phone call itself is over. Until then whoever cares
    for the call moves `line_due_at`, at which Twilio is asked; `line_tries` counts that asking.
    `assistant_paused`: a person has it, the assistant is silent. `answering_until`: somebody works
    out the next written answer; then it is anybody's again.
    """

    __tablename__: ClassVar[str] = "conversation_sessions"
    __table_args__ = (
        UniqueConstraint("tenant_id", "channel", "session_key"),
        Index("conversations_by_start", "tenant_id", "started_at", "id"),
        Index("conversations_by_channel", "tenant_id", "channel", "started_at", "id"),
        Index("conversations_of_number", "tenant_id", "from_number"),
        Index("conversations_by_key", "session_key"),
        Index(
            "open_conversations",
            *("tenant_id", "started_at", "id"),
            sqlite_where=text("status = 'open'"),
            postgresql_where=text("status = 'open'"),
        ),
    )

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
    language: str | None = None
    summary: str | None = None
    assistant_paused: bool = Field(default=False, sa_column_kwargs={"server_default": "0"})
    answering_until: datetime | None = columns.maybe_time()
    usage: dict[str, Any] = columns.json()


class Turn(SQLModel, table=True):
    """What one side said; `item_id` is the model's name for it, `cut`: not all of it was heard."""

    __tablename__: ClassVar[str] = "turns"
    __table_args__ = (
        UniqueConstraint("conversation_id", "item_id"),
        Index("turns_in_order", "conversation_id", "position"),
    )

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


class InboundEvent(SQLModel, table=True):
    """A webhook that came in, committed before its answer; its key makes a repeat harmless.

    `answer`: what it was answered with, and so is every repeat.
    """

    __tablename__: ClassVar[str] = "inbound_events"
    __table_args__ = (
        UniqueConstraint("tenant_id", "provider", "kind", "provider_id"),
        Index(
            "unanswered_events",
            "conversation_id",
            sqlite_where=text("answered_at IS NULL AND conversation_id IS NOT NULL"),
            postgresql_where=text("answered_at IS NULL AND conversation_id IS NOT NULL"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: uuid.UUID = columns.of_tenant()
    provider: str
    kind: str
    provider_id: str
    payload: dict[str, Any] = columns.json()
    received_at: datetime = columns.time()
    conversation_id: uuid.UUID | None = Field(
        default=None, foreign_key="conversation_sessions.id", index=True
    )
    answer: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    answered_at: datetime | None = columns.maybe_time()


class Message(SQLModel, table=True):
    """One written message as the vendor sees it; what was said is a turn as well.

    `provider_id`: the vendor's name for it, e.g. a MessageSid. `media`: {"items": [{url, type}]}.
    `turn_item_id`: the turn whose words it carries; a long one goes out in several messages.
    """

    __tablename__: ClassVar[str] = "messages"
    __table_args__ = (UniqueConstraint("tenant_id", "provider_id"),)

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    conversation_id: uuid.UUID = Field(foreign_key="conversation_sessions.id", index=True)
    direction: str
    channel: str
    purpose: str
    sender: str | None = None
    recipient: str | None = None
    body: str
    template: str | None = None
    turn_item_id: str | None = None
    media: dict[str, Any] = columns.json()
    provider_id: str | None = None
    state: str = Field(index=True)
    segments: int = 1
    attempts: int = 0
    next_attempt_at: datetime | None = columns.maybe_time(index=True)
    error_code: int | None = None
    error: str | None = None
    created_at: datetime = columns.time()
    sent_at: datetime | None = columns.maybe_time()
    updated_at: datetime = columns.time()
