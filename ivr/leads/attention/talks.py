"""The conversations of a business as its staff look at them: whose turn it is, and who waits."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import case, func, union
from sqlalchemy import select as sa_select
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db import keysets
from ivr.db.tables import (
    Channel,
    Conversation,
    ConversationStatus,
    Escalation,
    Role,
    Turn,
)
from ivr.errors import NotFound

StartedKey = tuple[datetime, uuid.UUID]
ActiveKey = tuple[datetime, uuid.UUID]


class TalkStatus(StrEnum):
    """How a conversation stands."""

    OPEN = "open"
    WAITING = "waiting"  # the contact has spoken last, and nobody has answered yet
    ESCALATED = "escalated"  # a person is to take it over, or has it
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation and what follows from its turns.

    `turn_count` is how often the contact has spoken; `waiting_since`: when they said the first of
    their words that have no answer.
    """

    conversation: Conversation
    turn_count: int
    last: Turn | None
    waiting_since: datetime | None
    escalation: Escalation | None

    @property
    def status(self) -> TalkStatus:
        """What matters most about it to staff."""
        if self.escalation is not None:
            return TalkStatus.ESCALATED
        if self.conversation.status == ConversationStatus.FINISHED:
            return TalkStatus.CLOSED
        return TalkStatus.OPEN if self.waiting_since is None else TalkStatus.WAITING

    @property
    def last_activity_at(self) -> datetime:
        """When something was said last, or when it began."""
        return self.conversation.started_at if self.last is None else self.last.said_at


async def find(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    conversation_id: uuid.UUID,
    *,
    locked: bool = False,
) -> Conversation:
    """Return a conversation of the tenant; raise `NotFound`. `locked`: nobody else changes it."""
    query = select(Conversation).where(
        Conversation.id == conversation_id, Conversation.tenant_id == tenant_id
    )
    if locked:
        query = query.with_for_update(key_share=True)
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound("no such conversation")
    return found


async def by_start(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    *,
    channel: Channel | None,
    lead_id: uuid.UUID | None,
    behind: StartedKey | None,
    count: int,
) -> Sequence[Conversation]:
    """Return conversations, the last that began first, behind a (start, id)."""
    started, key = col(Conversation.started_at), col(Conversation.id)
    query = select(Conversation).where(Conversation.tenant_id == tenant_id)
    if channel is not None:
        query = query.where(Conversation.channel == channel)
    if lead_id is not None:
        query = query.where(Conversation.lead_id == lead_id)
    if behind is not None:
        query = query.where(keysets.behind((started, key), behind, is_falling=True))
    return (await session.exec(query.order_by(started.desc(), key.desc()).limit(count))).all()


async def active(
    session: AsyncSession, tenant_id: uuid.UUID, *, behind: ActiveKey | None, count: int
) -> Sequence[tuple[Conversation, datetime]]:
    """Return those that are open or with a person, and when something was said in each last.

    The newest comes first, behind a (last activity, id).
    """
    opened = sa_select(col(Conversation.id)).where(
        col(Conversation.tenant_id) == tenant_id,
        col(Conversation.status) == ConversationStatus.OPEN,
    )
    escalated = sa_select(col(Escalation.conversation_id)).where(
        col(Escalation.tenant_id) == tenant_id, col(Escalation.resolved_at).is_(None)
    )
    spoken = (  # by the index that has the turns in their order: one look for each conversation
        sa_select(col(Turn.said_at))
        .where(col(Turn.conversation_id) == col(Conversation.id))
        .order_by(col(Turn.position).desc(), col(Turn.id).desc())
        .limit(1)
        .scalar_subquery()
    )
    moment, key = func.coalesce(spoken, col(Conversation.started_at)), col(Conversation.id)
    them = union(opened, escalated).subquery("them")  # joined: else all conversations are walked
    query = (
        select(Conversation, moment)
        .join(them, them.c.id == key)
        .where(Conversation.tenant_id == tenant_id)
    )
    if behind is not None:
        query = query.where(keysets.behind((moment, key), behind, is_falling=True))
    return (await session.exec(query.order_by(moment.desc(), key.desc()).limit(count))).all()


async def overview(session: AsyncSession, rows: Sequence[Conversation]) -> list[Talk]:
    """Return how each stands, in their order; as many queries for many as for one."""
    ids = [row.id for row in rows]
    counts = await _turn_counts(session, ids)
    lasts = await _last_turns(session, ids)
    waiting = await _waiting_since(session, ids)
    escalated = await _escalations(session, ids)
    return [
        Talk(
            row,
            counts.get(row.id, 0),
            lasts.get(row.id),
            waiting.get(row.id) if row.status == ConversationStatus.OPEN else None,
            escalated.get(row.id),
        )
        for row in rows
    ]


async def _turn_counts(
    session: AsyncSession, ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, int]:
    query = (
        select(Turn.conversation_id, func.count())
        .where(col(Turn.conversation_id).in_(ids), Turn.role == Role.CALLER)
        .group_by(col(Turn.conversation_id))
    )
    return dict((await session.exec(query)).all())


async def _last_turns(
    session: AsyncSession, ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, Turn]:
    places = _places(ids)
    query = (
        select(Turn)
        .join(places, col(Turn.conversation_id) == places.c.conversation_id)
        .where(col(Turn.position) == places.c.last)
        .order_by(col(Turn.id))
    )
    return {turn.conversation_id: turn for turn in (await session.exec(query)).all()}


async def _waiting_since(
    session: AsyncSession, ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, datetime]:
    places = _places(ids)
    query = (
        select(Turn.conversation_id, func.min(col(Turn.said_at)))
        .join(places, col(Turn.conversation_id) == places.c.conversation_id)
        .where(Turn.role == Role.CALLER, col(Turn.position) > places.c.answered)
        .group_by(col(Turn.conversation_id))
    )
    return dict((await session.exec(query)).all())


def _places(ids: Collection[uuid.UUID]) -> Any:
    """Return the query for the position of the last turn, and of the last one on our side."""
    answered = case((col(Turn.role) == Role.ASSISTANT, col(Turn.position)), else_=-1)
    return (
        sa_select(
            col(Turn.conversation_id),
            func.max(col(Turn.position)).label("last"),
            func.max(answered).label("answered"),
        )
        .where(col(Turn.conversation_id).in_(ids))
        .group_by(col(Turn.conversation_id))
        .subquery()
    )


async def _escalations(
    session: AsyncSession, ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, Escalation]:
    query = select(Escalation).where(
        col(Escalation.conversation_id).in_(ids), col(Escalation.resolved_at).is_(None)
    )
    return {row.conversation_id: row for row in (await session.exec(query)).all()}


async def turns(
    session: AsyncSession,
    conversation_id: uuid.UUID,
    *,
    after: int,
    behind: tuple[int, int] | None,
    count: int,
) -> Sequence[Turn]:
    """Return what was said, in its order: behind a position, and behind a (position, row id)."""
    position, key = col(Turn.position), col(Turn.id)
    query = select(Turn).where(Turn.conversation_id == conversation_id, position > after)
    if behind is not None:
        query = query.where(keysets.behind((position, key), behind))
    return (await session.exec(query.order_by(position, key).limit(count))).all()
