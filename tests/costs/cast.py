"""Conversations that use things, without any door: rows at a moment, for a tenant."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlmodel import select

from ivr.costs import usage
from ivr.costs.usage import Kind, Used
from ivr.db import Database
from ivr.db.tables import Conversation, Tenant
from tests.leads.cast import NOW


def tokens(many: int, *, model: str = "gpt-6-luna", key: str | None = None) -> Used:
    """So many tokens that went into a text model."""
    return Used(
        kind=Kind.TEXT,
        purpose="reply",
        provider="openai",
        model=model,
        quantities={"input_tokens": many},
        key=key or str(uuid.uuid4()),
    )


async def use(db: Database, conversation: Conversation, *used: Used, at: datetime = NOW) -> bool:
    """Write it down as committed work does."""
    async with db.write() as session:
        return await usage.note(session, conversation.tenant_id, conversation.id, used, now=at)


async def tenant_of(db: Database, conversation: Conversation, **changes: Any) -> Tenant:
    """The tenant, with these budgets or this zone from now on."""
    async with db.write() as session:
        tenant = await session.get_one(Tenant, conversation.tenant_id)
        for name, value in changes.items():
            setattr(tenant, name, value)
        return tenant


async def all_of(db: Database, table: type[Any]) -> Sequence[Any]:
    """Every row, in the order in which it was written."""
    async with db.read() as session:
        return (await session.exec(select(table).order_by(table.id))).all()
