"""What people want, what is known of it, and who is to do something about it."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import BigInteger, Index, String, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from ivr.db import columns
from ivr.db.tables.words import Lifecycle

# What lists leave out. As text: an index of some rows is used only where no parameter hides which.
NOT_MERGED = text("lifecycle <> 'MERGED'")
_IS_HOT = text("category = 'hot' AND closed_at IS NULL AND lifecycle <> 'MERGED'")


def _listed(name: str, *columns: str, where: Any = NOT_MERGED) -> Index:
    """An index by which the leads of a tenant are listed in the order in which they came."""
    ordered = ("tenant_id", *columns, "created_at", "id")
    return Index(name, *ordered, sqlite_where=where, postgresql_where=where)


class Lead(SQLModel, table=True):
    """What one contact wants from one tenant; at most one open per contact and profile.

    `stage_pin`: a person, or a timer, has set the stage; without one it follows from the values.
    `score` is 0 to 100, None is unscored; `category` (hot, warm, cold) follows from it, unless a
    person has set it: `score_by` says who. `owner` is the member of staff who has it.
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
        _listed("leads_by_time", where=None),
        Index(
            "leads_by_stage",
            *("tenant_id", "stage", "created_at", "id", "profile"),
            sqlite_where=NOT_MERGED,
            postgresql_where=NOT_MERGED,
        ),
        _listed("leads_by_lifecycle", "lifecycle"),
        _listed("leads_by_status", "status"),
        _listed("leads_by_category", "category"),
        _listed("leads_by_source", "source"),
        _listed("leads_by_owner", "owner"),
        _listed("leads_by_score", "score"),
        _listed("leads_by_word_from_them", "last_inbound_at"),
        _listed("hot_leads", where=_IS_HOT),
    )

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = Field(foreign_key="tenants.id")
    contact_id: uuid.UUID = Field(foreign_key="contacts.id", index=True)
    profile: str
    stage: str
    stage_pin: str | None = None
    lifecycle: str = Lifecycle.NEW
    status: str = "new"
    created_at: datetime = columns.time()
    updated_at: datetime = columns.time()
    lost_reason: str | None = None
    score: int | None = None
    category: str | None = None
    score_by: str | None = None
    owner: str | None = None
    source: str | None = None
    last_inbound_at: datetime | None = columns.maybe_time()
    closed_at: datetime | None = columns.maybe_time()


class LeadWord(SQLModel, table=True):
    """A word under which a lead is found; `created_at` is the lead's, so that hits come in order.

    What the words are made of, `db.lead_words` says.
    """

    __tablename__: ClassVar[str] = "lead_words"
    __table_args__ = (
        Index("words_of_lead", "lead_id", "word"),
        {"sqlite_with_rowid": False},
    )

    tenant_id: uuid.UUID = Field(foreign_key="tenants.id", primary_key=True)
    # By bytes: with the letters of a language a beginning is no range.
    word: str = Field(
        primary_key=True, sa_type=String().with_variant(String(collation="C"), "postgresql")
    )
    created_at: datetime = Field(primary_key=True, sa_type=columns.UtcDateTime)
    lead_id: uuid.UUID = Field(foreign_key="leads.id", primary_key=True)


class LeadCount(SQLModel, table=True):
    """How many leads stand in a stage: the sum over the slots; merged ones are not counted.

    Triggers on `leads` keep it (revision 0005). On PostgreSQL each move adds rows, in slots of
    their own, so that nobody waits for anybody; now and then they are made one.
    """

    __tablename__: ClassVar[str] = "lead_counts"
    __table_args__ = ({"sqlite_with_rowid": False},)

    tenant_id: uuid.UUID = Field(foreign_key="tenants.id", primary_key=True)
    profile: str = Field(primary_key=True)
    stage: str = Field(primary_key=True)
    slot: int = Field(primary_key=True, sa_type=BigInteger)
    leads: int = Field(sa_type=BigInteger)


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
    conversation_id: uuid.UUID = Field(foreign_key="conversation_sessions.id", index=True)
    submission_id: uuid.UUID | None = Field(default=None, foreign_key="submissions.id", index=True)
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
    conversation_id: uuid.UUID | None = Field(
        default=None, foreign_key="conversation_sessions.id", index=True
    )
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
        Index("escalations_in_order", "tenant_id", "created_at", "id"),
        Index(
            "open_escalations",
            *("tenant_id", "created_at", "id"),
            sqlite_where=text("resolved_at IS NULL"),
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    lead_id: uuid.UUID = Field(foreign_key="leads.id", index=True)
    conversation_id: uuid.UUID = Field(foreign_key="conversation_sessions.id", index=True)
    trigger: str
    reason: str
    state: str
    assignee: str | None = None
    created_at: datetime = columns.time(index=True)
    due_at: datetime | None = columns.maybe_time()
    acknowledged_at: datetime | None = columns.maybe_time()
    resolved_at: datetime | None = columns.maybe_time()
    resolution: str | None = None


class QualificationRule(SQLModel, table=True):
    """What a tenant makes of a lead whose fields are so; the first rule that fits decides.

    `conditions`: {"all": [{"field": "budget", "op": "at_least", "value": 500000}, ...]} or "any".
    `outcome` is a lifecycle: QUALIFIED, NURTURING or DISQUALIFIED.
    """

    __tablename__: ClassVar[str] = "qualification_rules"

    id: uuid.UUID = columns.own_id()
    tenant_id: uuid.UUID = columns.of_tenant()
    profile: str
    position: int
    name: str
    conditions: dict[str, Any] = columns.json()
    outcome: str
    reason: str
    is_active: bool = True
    created_at: datetime = columns.time()
