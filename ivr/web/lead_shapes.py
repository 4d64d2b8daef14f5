"""A lead as the REST API shows it: in a list, and whole. Reads rows, decides nothing."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Contact,
    ContactPoint,
    Conversation,
    Escalation,
    FieldValue,
    Lead,
    Source,
    Submission,
    Task,
)
from ivr.leads import values
from ivr.leads.profile import Profile, qualification_fields
from ivr.leads.progress import funnel, scoring

MOST_ROWS = 100  # of conversations, and of submissions: the newest
ScoreLabel = Literal["HOT", "WARM", "COLD", "UNSCORED"]


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ContactShown(BaseModel):
    """Who it is; phones are E.164."""

    id: uuid.UUID
    name: str | None
    phones: list[str]
    emails: list[str]


class LeadBrief(BaseModel):
    """A lead in a list. `stage_pin`: set by hand. `score_by`: the person who set the score."""

    id: uuid.UUID
    contact: ContactShown
    profile: str
    stage: str
    stage_pin: str | None
    lifecycle: str
    status: str
    score: int | None
    score_label: ScoreLabel
    score_by: str | None
    owner: str | None
    source: str | None
    lost_reason: str | None
    created_at: datetime
    updated_at: datetime
    last_contact_at: datetime | None
    closed_at: datetime | None


class FieldShown(BaseModel):
    """What is known of one field. `confirmed`: it was read back and agreed to, or staff said it."""

    value: str
    source: str
    confirmed: bool
    at: datetime
    conversation_id: uuid.UUID


class ConversationShown(_Shown):
    """One exchange with the person; `assistant_paused`: staff have it."""

    id: uuid.UUID
    channel: str
    status: str
    assistant_paused: bool
    started_at: datetime
    ended_at: datetime | None


class SubmissionShown(BaseModel):
    """The lead on its way to a target; `error` is the last one, or why it waits."""

    id: uuid.UUID
    target: str
    state: str
    attempts: int
    error: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    updated_at: datetime


class EscalationShown(_Shown):
    """A conversation that waits for a person, or is with one."""

    id: uuid.UUID
    conversation_id: uuid.UUID
    trigger: str
    reason: str
    state: str
    assignee: str | None
    created_at: datetime
    due_at: datetime | None


class TaskShown(_Shown):
    """Something that staff are to do."""

    id: uuid.UUID
    kind: str
    reason: str
    created_at: datetime
    due_at: datetime | None


class LeadShown(LeadBrief):
    """A whole lead. `lead_data` has every field of the profile, `fields` where the known are from.

    `qualification` has those of the fields that tell what the lead is worth. `escalations` and
    `tasks` are the open ones, `conversations` and `submissions` the newest, newest first.
    """

    first_contact_at: datetime | None
    lead_data: dict[str, str | bool | None]
    fields: dict[str, FieldShown]
    qualification: dict[str, str | None]
    conversations: list[ConversationShown]
    submissions: list[SubmissionShown]
    escalations: list[EscalationShown]
    tasks: list[TaskShown]


async def briefs(session: AsyncSession, leads: Sequence[Lead]) -> list[LeadBrief]:
    """Return leads as a list shows them, in their order; two queries, however many they are."""
    contacts = await _contacts(session, {lead.contact_id for lead in leads})
    return [LeadBrief(**_brief(lead, contacts[lead.contact_id])) for lead in leads]


async def shown(session: AsyncSession, profile: Profile, lead: Lead) -> LeadShown:
    """Return a whole lead, as the session has it now."""
    await session.flush()
    contacts = await _contacts(session, {lead.contact_id})
    held = await values.current(session, lead.id)
    began = select(func.min(col(Conversation.started_at))).where(Conversation.lead_id == lead.id)
    mine: Mapping[str, Any] = {
        "conversations": await _rows(session, Conversation, Conversation.started_at, lead),
        "submissions": await _rows(session, Submission, Submission.created_at, lead),
        "escalations": await _open(session, Escalation, Escalation.resolved_at, lead),
        "tasks": await _open(session, Task, Task.done_at, lead),
    }
    return LeadShown(
        **_brief(lead, contacts[lead.contact_id]),
        first_contact_at=(await session.exec(began)).one(),
        lead_data=funnel.lead_data(profile, held),
        fields=_fields(profile, held),
        qualification=_qualification(profile, held),
        conversations=[ConversationShown.model_validate(row) for row in mine["conversations"]],
        submissions=[_submission(row) for row in mine["submissions"]],
        escalations=[EscalationShown.model_validate(row) for row in mine["escalations"]],
        tasks=[TaskShown.model_validate(row) for row in mine["tasks"]],
    )


def _brief(lead: Lead, contact: ContactShown) -> dict[str, Any]:
    return {
        "id": lead.id,
        "contact": contact,
        "profile": lead.profile,
        "stage": lead.stage,
        "stage_pin": lead.stage_pin,
        "lifecycle": lead.lifecycle,
        "status": lead.status,
        "score": lead.score,
        "score_label": scoring.shown_label(lead.category),
        "score_by": lead.score_by,
        "owner": lead.owner,
        "source": lead.source,
        "lost_reason": lead.lost_reason,
        "created_at": lead.created_at,
        "updated_at": lead.updated_at,
        "last_contact_at": lead.last_inbound_at,
        "closed_at": lead.closed_at,
    }


async def _contacts(
    session: AsyncSession, ids: Iterable[uuid.UUID]
) -> dict[uuid.UUID, ContactShown]:
    wanted = list(ids)
    query = select(Contact.id, Contact.name).where(col(Contact.id).in_(wanted))
    points = (
        select(ContactPoint.contact_id, ContactPoint.kind, ContactPoint.value)
        .where(col(ContactPoint.contact_id).in_(wanted))
        .order_by(col(ContactPoint.created_at), col(ContactPoint.id))
    )
    addresses: dict[tuple[uuid.UUID, str], list[str]] = defaultdict(list)
    for contact_id, kind, value in (await session.exec(points)).all():
        addresses[contact_id, kind].append(value)
    return {
        contact_id: ContactShown(
            id=contact_id,
            name=name,
            phones=addresses[contact_id, "phone"],
            emails=addresses[contact_id, "email"],
        )
        for contact_id, name in (await session.exec(query)).all()
    }


def _fields(profile: Profile, held: Mapping[str, FieldValue]) -> dict[str, FieldShown]:
    return {
        item.key: FieldShown(
            value=row.value,
            source=row.source,
            confirmed=row.source in (Source.CONFIRMED, Source.STAFF),
            at=row.created_at,
            conversation_id=row.conversation_id,
        )
        for item in profile.fields
        if (row := held.get(item.key)) is not None and row.value is not None
    }


def _qualification(profile: Profile, held: Mapping[str, FieldValue]) -> dict[str, str | None]:
    keys = [item.key for item in profile.fields if item.key in qualification_fields.KEYS]
    return {key: held[key].value if key in held else None for key in keys}


def _submission(row: Submission) -> SubmissionShown:
    return SubmissionShown(
        id=row.id,
        target=row.target,
        state=row.state,
        attempts=row.attempts,
        error=row.last_error,
        next_attempt_at=row.next_attempt_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


async def _rows(session: AsyncSession, table: Any, since: Any, lead: Lead) -> Sequence[Any]:
    query = select(table).where(table.lead_id == lead.id)
    newest = query.order_by(col(since).desc(), table.id.desc()).limit(MOST_ROWS)
    return (await session.exec(newest.execution_options(populate_existing=True))).all()


async def _open(session: AsyncSession, table: Any, ended: Any, lead: Lead) -> Sequence[Any]:
    query = select(table).where(table.lead_id == lead.id, col(ended).is_(None))
    ordered = query.order_by(table.created_at, table.id)
    return (await session.exec(ordered.execution_options(populate_existing=True))).all()
