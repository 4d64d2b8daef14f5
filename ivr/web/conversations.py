"""Conversations over JSON: read them, write into one as staff, have a person take one (S2)."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from ivr.db import Database
from ivr.db.tables import Channel, Conversation, ConversationStatus, Tenant, Turn, utc_now
from ivr.doors import cursor as cursors
from ivr.doors.credentials import (
    Actor,
    ReadsConversations,
    ReadsNamedConversations,
    WritesConversations,
)
from ivr.doors.cursor import Cursor, Limit, Moment, Number
from ivr.doors.idempotency import Answered, IdempotencyKey, once
from ivr.doors.key_first import KeyFirst
from ivr.doors.problems import problems_of
from ivr.errors import Conflict
from ivr.leads.attention import escalations, replies, staff, talks
from ivr.leads.profile.tenant_profile import own
from ivr.messages import deliveries
from ivr.messages.rules import Policy
from ivr.web import conversation_shapes as shapes
from ivr.web.body import Body
from ivr.web.conversation_shapes import (
    Conversations,
    ConversationShown,
    Escalate,
    Message,
    Messages,
    NewMessage,
)
from ivr.web.escalations import Shown as ShownEscalation

FIRST = 200  # messages that come with their conversation
_NEWEST, _ACTIVE, _MESSAGES = "conversations by start", "active conversations", "messages"

router = APIRouter(prefix="/api/v1/conversations", tags=["conversations"], route_class=KeyFirst)

After = Annotated[int, Query(ge=-1, le=2**31 - 1, description="The last `position` that you have.")]


class Part(Body):
    """Which page of a list. Another name in the query is an error."""

    limit: Limit = 50
    cursor: Cursor = None


class Filters(Part):
    """Which conversations."""

    channel: Channel | None = None
    lead_id: uuid.UUID | None = None


class Behind(Part):
    """Which messages."""

    after: After = -1


@router.get("")
async def list_(
    request: Request,
    tenant: ReadsConversations,
    filters: Annotated[Filters, Query()],
) -> Conversations:
    """List conversations, the last that began first."""
    channel, lead_id, limit = filters.channel, filters.lead_id, filters.limit
    asked = [_NEWEST, channel, lead_id]
    behind = cursors.decode(filters.cursor, asked, tuple[Moment, uuid.UUID])
    async with _db(request, tenant).read() as session:
        rows = await talks.by_start(
            session, tenant.id, channel=channel, lead_id=lead_id, behind=behind, count=limit + 1
        )
        page, more = cursors.page(rows, limit, asked, lambda row: (row.started_at, row.id))
        return await _briefs(session, page, more)


@router.get("/client/{client_id}/active")
async def active(
    request: Request, tenant: ReadsNamedConversations, part: Annotated[Part, Query()]
) -> Conversations:
    """List the conversations of a client that are open or with a person, newest activity first."""
    behind = cursors.decode(part.cursor, _ACTIVE, tuple[Moment, uuid.UUID])
    async with _db(request, tenant).read() as session:
        rows = await talks.active(session, tenant.id, behind=behind, count=part.limit + 1)
        page, more = cursors.page(rows, part.limit, _ACTIVE, lambda found: (found[1], found[0].id))
        return await _briefs(session, [row for row, _ in page], more)


@router.get("/{conversation_id}")
async def read(
    request: Request, tenant: ReadsConversations, conversation_id: uuid.UUID
) -> ConversationShown:
    """Show a conversation with its first 200 messages; of a phone call, its transcript."""
    async with _db(request, tenant).read() as session:
        row = await talks.find(session, tenant.id, conversation_id)
        turns, more = await _page(session, row, FIRST)
        (talk,) = await talks.overview(session, [row])
        became = await _deliveries(session, *turns, talk.last)
    return shapes.shown(talk, turns, became, more)


@router.get("/{conversation_id}/messages")
async def messages(
    request: Request,
    tenant: ReadsConversations,
    conversation_id: uuid.UUID,
    part: Annotated[Behind, Query()],
) -> Messages:
    """List what was said, from the beginning or behind the position `after`."""
    async with _db(request, tenant).read() as session:
        row = await talks.find(session, tenant.id, conversation_id)
        turns, more = await _page(session, row, part.limit, after=part.after, cursor=part.cursor)
        became = await _deliveries(session, *turns)
    return Messages(items=[shapes.message(row, turn, became) for turn in turns], next_cursor=more)


@router.post(
    "/{conversation_id}/messages",
    status_code=201,
    response_model=Message,
    responses=problems_of(409),
)
async def write(
    request: Request,
    tenant: WritesConversations,
    actor: Actor,
    conversation_id: uuid.UUID,
    body: NewMessage,
    key: IdempotencyKey = None,
) -> Response:
    """Write to the contact on the conversation's own channel, and so take the conversation.

    The assistant is silent from then on. 409 while somebody else has it, where the channel carries
    no written words, and where the contact may not be written to.
    """
    policy = Policy.of(request.state["settings"])

    async def work(session: AsyncSession) -> Answered:
        row = await talks.find(session, tenant.id, conversation_id, locked=True)
        said = await replies.take_and_say(
            session, row, body.message, body.author or actor, policy=policy, now=utc_now()
        )
        became = await deliveries.of_turns(session, [(row.id, said.item_id)])
        return Answered(201, shapes.message(row, said, became).model_dump(mode="json"))

    asked = [request.url.path, body.model_dump(mode="json")]
    response = await once(_db(request, tenant), tenant.id, key, asked, work)
    request.state["outbox"].poke()
    return response


@router.post("/{conversation_id}/escalate", responses=problems_of(409))
async def escalate(
    request: Request,
    tenant: WritesConversations,
    conversation_id: uuid.UUID,
    body: Escalate | None = None,
) -> ShownEscalation:
    """Have a person take the conversation; the one that is open already is returned as it is.

    Staff are told, unless `assignee` takes it at once. 409 for a phone call that is going on, and
    where somebody else than `assignee` has it.
    """
    body = body or Escalate()
    async with _db(request, tenant).write() as session:
        row = await talks.find(session, tenant.id, conversation_id, locked=True)
        shown = await _escalate(session, request.state, tenant, row, body)
    request.state["outbox"].poke()
    return shown


async def _escalate(
    session: AsyncSession, state: Any, tenant: Tenant, row: Conversation, body: Escalate
) -> ShownEscalation:
    if _is_on_the_phone(row):
        raise Conflict("the phone call is going on: the caller has to ask for a person in it")
    profile = own(state["profiles"], tenant)
    on_duty = None if body.assignee else staff.on_duty(tenant, profile, state["settings"])
    escalation = await escalations.hand_over(
        session,
        row,
        body.reason,
        who=body.assignee,
        now=utc_now(),
        profile=profile,
        staff=on_duty,
    )
    return ShownEscalation.model_validate(escalation)


def _is_on_the_phone(row: Conversation) -> bool:
    is_open = row.status == ConversationStatus.OPEN and row.ended_at is None
    return row.channel == Channel.VOICE and is_open and row.line_closed_at is None


async def _briefs(
    session: AsyncSession, rows: Sequence[Conversation], more: str | None
) -> Conversations:
    found = await talks.overview(session, rows)
    became = await _deliveries(session, *(talk.last for talk in found))
    return Conversations(items=[shapes.brief(talk, became) for talk in found], next_cursor=more)


async def _deliveries(session: AsyncSession, *turns: Turn | None) -> shapes.Deliveries:
    keys = {(turn.conversation_id, turn.item_id) for turn in turns if turn is not None}
    return await deliveries.of_turns(session, keys)


async def _page(
    session: AsyncSession,
    row: Conversation,
    limit: int,
    *,
    after: int = -1,
    cursor: str | None = None,
) -> tuple[list[Turn], str | None]:
    asked = [_MESSAGES, row.id]
    behind = cursors.decode(cursor, asked, tuple[Number, Number])
    found = await talks.turns(session, row.id, after=after, behind=behind, count=limit + 1)
    shown, more = cursors.page(found, limit, asked, lambda turn: (turn.position, turn.id))
    return list(shown), more


def _db(request: Request, tenant: Tenant) -> Database:
    db: Database = request.state["db"]
    return db.for_tenant(tenant.id)
