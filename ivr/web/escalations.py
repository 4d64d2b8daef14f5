"""Escalations over JSON: who waits for a person, take one, give it back, write to the contact."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from ivr import conversations
from ivr.db.tables import Escalation, Tenant, utc_now
from ivr.doors import cursor as cursors
from ivr.doors.credentials import ReadsConversations, WritesConversations
from ivr.doors.cursor import Cursor, Limit, Moment
from ivr.doors.key_first import KeyFirst
from ivr.doors.problems import problems_of
from ivr.doors.wire_values import Short, Words
from ivr.leads.attention import escalations, replies
from ivr.messages import rules
from ivr.web.body import Body

router = APIRouter(prefix="/api/v1/escalations", tags=["escalations"], route_class=KeyFirst)


class By(Body):
    """Who does it."""

    assignee: Short


class Taking(By):
    """Who takes it."""

    instead_of: Short | None = Field(None, description="who has it, to take it over from them")


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


class Filters(Body):
    """Which ones, and how many at once. Another name is an error."""

    everything: bool = Field(False, alias="all", description="those that are over as well")
    limit: Limit = cursors.MOST_AT_ONCE
    cursor: Cursor = None


class Listed(BaseModel):
    """A page of what was asked for, oldest first."""

    escalations: list[Shown]


@router.get("")
async def list_(
    request: Request,
    response: Response,
    tenant: ReadsConversations,
    filters: Annotated[Filters, Query()],
) -> Listed:
    """Return those that are open, with `?all=true` also those that are over.

    While there are more, the header `Link` has the next page.
    """
    everything, limit = filters.everything, filters.limit
    asked = ["escalations", everything]
    behind = cursors.decode(filters.cursor, asked, tuple[Moment, UUID])
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        rows = await escalations.of_tenant(
            session, tenant.id, include_done=everything, limit=limit + 1, behind=behind
        )
    shown, more = cursors.page(rows, limit, asked, lambda row: (row.created_at, row.id))
    if more is not None:
        response.headers["Link"] = cursors.link(request.url, more)
    return Listed(escalations=[_shown(row) for row in shown])


@router.post("/{escalation_id}/take", responses=problems_of(409))
async def take(
    request: Request, tenant: WritesConversations, escalation_id: UUID, by: Taking
) -> Shown:
    """Take it: the assistant is silent, the lead is handed off; 409 when somebody else has it.

    With `instead_of` it is taken over from who is named there; 409 when they have it no more.
    """
    async with request.state["db"].for_tenant(tenant.id).write() as session:
        row = await escalations.take(
            session,
            tenant.id,
            str(escalation_id),
            by.assignee,
            instead_of=by.instead_of,
            now=utc_now(),
        )
        return _shown(row)


@router.post("/{escalation_id}/give-back", responses=problems_of(409))
async def give_back(
    request: Request, tenant: WritesConversations, escalation_id: UUID, by: By
) -> Shown:
    """Let the assistant answer again; once more does nothing. 409 when somebody else has it."""
    async with request.state["db"].for_tenant(tenant.id).write() as session:
        row = await escalations.give_back(
            session, tenant.id, str(escalation_id), by.assignee, now=utc_now()
        )
        return _shown(row)


@router.post("/{escalation_id}/resolve", responses=problems_of(409))
async def resolve(
    request: Request, tenant: WritesConversations, escalation_id: UUID, how: Resolution
) -> Shown:
    """Note that it is dealt with; the lead stays with staff. 409 when somebody else has it."""
    async with request.state["db"].for_tenant(tenant.id).write() as session:
        row = await escalations.resolve(
            session, tenant.id, str(escalation_id), how.assignee, note=how.note, now=utc_now()
        )
        return _shown(row)


@router.post("/{escalation_id}/say", responses=problems_of(409))
async def say(
    request: Request, tenant: WritesConversations, escalation_id: UUID, words: Say
) -> Shown:
    """Write to the contact as the one who has taken it; 409 for everybody else."""
    row = await _say(request.state, tenant, escalation_id, words)
    request.state["outbox"].poke()
    return row


async def _say(state: Any, tenant: Tenant, escalation_id: UUID, words: Say) -> Shown:
    async with state["db"].for_tenant(tenant.id).write() as session:
        row = await escalations.find(session, tenant.id, str(escalation_id))
        conversation = await conversations.by_id(session, row.conversation_id)
        policy = rules.Policy.of(state["settings"])
        await replies.say(
            session, conversation, words.message, words.assignee, policy=policy, now=utc_now()
        )
        return _shown(row)


def _shown(row: Escalation) -> Shown:
    return Shown.model_validate(row)
