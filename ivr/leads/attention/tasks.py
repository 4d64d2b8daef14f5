"""What people are to do for a lead: call or write back. One open task of a kind each.

It is due when it is asked for, outside business hours when the business opens next.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, Message, Task, TaskKind, Tenant
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.tenants import hours


async def ask_call_back(
    session: AsyncSession, conversation: Conversation, reason: str, *, now: datetime
) -> None:
    """Have a person call back whoever this conversation was with; asked again, nothing is added."""
    await _ask(session, conversation, TaskKind.CALL_BACK, reason, now=now)


async def ask_write_back(
    session: AsyncSession, conversation: Conversation, reason: str, *, now: datetime
) -> None:
    """Have a person write to whom this conversation is with; asked again, nothing is added."""
    await _ask(session, conversation, TaskKind.WRITE_BACK, reason, now=now)


async def write_back(session: AsyncSession, message: Message, reason: str, now: datetime) -> None:
    """Have a person reach somebody whom this message never will; again, nothing is added."""
    conversation = await session.get_one(Conversation, message.conversation_id)
    await _ask(session, conversation, TaskKind.WRITE_BACK, reason, now=now)


async def _ask(
    session: AsyncSession, conversation: Conversation, kind: TaskKind, reason: str, *, now: datetime
) -> None:
    query = select(Task.id).where(
        Task.lead_id == conversation.lead_id,
        Task.kind == kind,
        col(Task.done_at).is_(None),
    )
    if (await session.exec(query)).first() is not None:
        return
    tenant = await session.get_one(Tenant, conversation.tenant_id)
    task = Task(
        tenant_id=conversation.tenant_id,
        lead_id=conversation.lead_id,
        conversation_id=conversation.id,
        kind=kind,
        reason=reason,
        created_at=now,
        due_at=hours.next_opening(tenant, now) or now,
    )
    try:
        async with session.begin_nested():
            session.add(task)
    except IntegrityError:  # another conversation of the same person asked at the same moment
        return


async def of_tenant(
    session: AsyncSession, tenant_id: uuid.UUID, *, include_done: bool = False
) -> Sequence[Task]:
    """Return what is to be done, oldest first."""
    query = select(Task).where(Task.tenant_id == tenant_id).order_by(col(Task.created_at))
    if not include_done:
        query = query.where(col(Task.done_at).is_(None))
    return (await session.exec(query)).all()


async def of_lead(session: AsyncSession, lead_id: uuid.UUID) -> Sequence[Task]:
    """Return what was and is to be done for a lead, oldest first."""
    query = select(Task).where(Task.lead_id == lead_id).order_by(col(Task.created_at))
    return (await session.exec(query)).all()


async def finish(
    session: AsyncSession, tenant_id: uuid.UUID, beginning: str, note: str | None, *, now: datetime
) -> Task:
    """Note that a task is done; the `beginning` of its id will do.

    Raises `NotFound`, `BadRequest` when several begin so, `Conflict` when it was done before.
    """
    tasks = await of_tenant(session, tenant_id, include_done=True)
    found = [task for task in tasks if str(task.id).startswith(beginning.lower())]
    if not found:
        raise NotFound(f"no task {beginning}")
    if len(found) > 1:
        raise BadRequest(f"several tasks begin with {beginning}: give more of the id")
    (task,) = found
    if task.done_at is not None:
        raise Conflict(f"task {beginning} was done before: {task.note or 'without a note'}")
    task.done_at, task.note = now, note
    return task
