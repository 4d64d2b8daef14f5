"""GET .../messages: what was said in a chat behind a position, for who waits for a person's words.

A page asks again and again while a person has the conversation; nothing is kept open for it.
"""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.conversations import ConversationStore
from ivr.db.tables import Channel, Conversation, Role, Tenant, Turn
from ivr.doors.credentials import IsPublic, ReadsConversations, Visitor
from ivr.doors.problems import problems_of
from ivr.doors.wire_values import Name
from ivr.errors import NotFound

MOST = 200
_MOST_POSITION = 2**31 - 1  # what a database holds

router = APIRouter()

After = Annotated[
    int, Query(ge=-1, le=_MOST_POSITION, description="The last position that you have.")
]


class Line(BaseModel):
    """What one side said."""

    position: int
    role: Literal["assistant", "user", "staff"]
    text: str
    timestamp: datetime


class Lines(BaseModel):
    """What was said, in its order, 200 lines at most; the last position leads to the next ones."""

    messages: list[Line]
    with_person: bool = Field(description="a person has the conversation, the assistant is silent")


@router.get("/webhooks/live-chat/messages", tags=["webhooks"], responses=problems_of(404))
async def of_visitor(
    request: Request,
    tenant: Visitor,
    is_public: IsPublic,
    session_id: Annotated[Name, Query(min_length=1)],
    after: After = -1,
) -> Lines:
    """Return what was said to a visitor; with a secret key also what the visitor said."""
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        its_tenants = ConversationStore(session, tenant.id)
        conversation = await its_tenants.find(Channel.LIVE_CHAT, session_id)
        return await _lines(session, conversation, after, is_public=is_public)


@router.get("/chat/{conversation_id}/messages", tags=["chat"])
async def of_chat(
    request: Request, tenant: ReadsConversations, conversation_id: str, after: After = -1
) -> Lines:
    """Return what was said in a conversation of `/chat` or live chat."""
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        conversation = await _chat(session, tenant, conversation_id)
        return await _lines(session, conversation, after)


async def _chat(session: AsyncSession, tenant: Tenant, named: str) -> Conversation | None:
    try:
        key = uuid.UUID(named)
    except ValueError:
        return None
    query = select(Conversation).where(
        Conversation.id == key,
        Conversation.tenant_id == tenant.id,
        col(Conversation.channel).in_(Channel.chats()),
    )
    return (await session.exec(query)).one_or_none()


async def _lines(
    session: AsyncSession, conversation: Conversation | None, after: int, *, is_public: bool = False
) -> Lines:
    """Return what stands behind `after`; a public key's session id may be guessed."""
    if conversation is None:
        raise NotFound("no such conversation")
    roles = (Role.ASSISTANT,) if is_public else tuple(Role)
    turns = await conversations.turns_behind(session, conversation.id, after, roles, MOST)
    return Lines(
        messages=[_line(turn) for turn in turns], with_person=conversation.assistant_paused
    )


def _line(turn: Turn) -> Line:
    role = "staff" if conversations.is_of_staff(turn) else turn.role
    return Line.model_validate(
        {"position": turn.position, "role": role, "text": turn.text, "timestamp": turn.said_at}
    )
