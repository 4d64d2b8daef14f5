"""Escalations over JSON: who waits for a person, take one, give it back, write to the contact."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints

from ivr import conversations
from ivr.db.tables import Escalation, Tenant, utc_now
from ivr.doors.credentials import Staff
from ivr.leads import escalations

Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1600)]
Who = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]

router = APIRouter(prefix="/api/v1/escalations", tags=["escalations"])


class By(BaseModel):
    """Who does it."""

    assignee: Who


class Resolution(By):
    """Who has dealt with it, and how."""

    note: Words | None = None


class Say(By):
    """What the contact is to read."""

    message: Words


class Shown(BaseModel):
    """One escalation; times are RFC 3339."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    lead_id: UUID
    conversation_id: UUID
    trigger: str
    reason: str
    state: str
    assignee: str | None
    created_at: datetime
    due_at: datetime | None
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    resolution: str | None


class Listed(BaseModel):
    """All that were asked for, oldest first."""

    escalations: list[Shown]


@router.get("")
async def list_(
    request: Request,
    tenant: Staff,
    everything: Annotated[bool, Query(alias="all")] = False,
) -> Listed:
    """Return those that are open, with `?all=true` also those that are over."""
    async with request.state["db"].read() as session:
        rows = await escalations.of_tenant(session, tenant.id, include_done=everything)
    return Listed(escalations=[_shown(row) for row in rows])


@router.post("/{escalation_id}/take")
async def take(request: Request, tenant: Staff, escalation_id: UUID, by: By) -> Shown:
    """Take it: the assistant is silent, the lead is handed off; 409 when somebody else has it."""
    async with request.state["db"].write() as session:
        row = await escalations.take(
            session, tenant.id, str(escalation_id), by.assignee, now=utc_now()
        )
        return _shown(row)


@router.post("/{escalation_id}/give-back")
async def give_back(request: Request, tenant: Staff, escalation_id: UUID, by: By) -> Shown:
    """Let the assistant answer again; once more does nothing."""
    async with request.state["db"].write() as session:
        row = await escalations.give_back(
            session, tenant.id, str(escalation_id), by.assignee, now=utc_now()
        )
        return _shown(row)


@router.post("/{escalation_id}/resolve")
async def resolve(request: Request, tenant: Staff, escalation_id: UUID, how: Resolution) -> Shown:
    """Note that it is dealt with; the lead stays with staff."""
    async with request.state["db"].write() as session:
        row = await escalations.resolve(
            session, tenant.id, str(escalation_id), how.assignee, note=how.note, now=utc_now()
        )
        return _shown(row)


@router.post("/{escalation_id}/say")
async def say(request: Request, tenant: Staff, escalation_id: UUID, words: Say) -> Shown:
    """Write to the contact as the one who has taken it; 409 for everybody else."""
    row = await _say(request.state, tenant, escalation_id, words)
    request.state["outbox"].poke()
    return row


async def _say(state: Any, tenant: Tenant, escalation_id: UUID, words: Say) -> Shown:
    async with state["db"].write() as session:
        row = await escalations.find(session, tenant.id, str(escalation_id))
        conversation = await conversations.by_id(session, row.conversation_id)
        await escalations.staff_says(
            session, conversation, words.message, words.assignee, now=utc_now()
        )
        return _shown(row)


def _shown(row: Escalation) -> Shown:
    return Shown.model_validate(row)
