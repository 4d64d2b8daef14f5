"""Who come at once with the same typed addresses come one after the other.

Else each begins a lead of their own, and they make one of them in the others' way. They wait for
those of their process before their transaction begins (`Database.turn` with `turn_names`), and in
it for those of other processes.
"""

import uuid
from collections.abc import Iterable

from sqlalchemy import func
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession


def turn_names(tenant_id: uuid.UUID, typed: Iterable[str | None]) -> list[str]:
    """Return what those must say who come with these typed addresses, in one order."""
    addresses = {it.strip().casefold() for it in typed if it and it.strip()}
    return [f"typed:{tenant_id}:{address}" for address in sorted(addresses)]


async def take_turns(
    session: AsyncSession, tenant_id: uuid.UUID, typed: Iterable[str | None]
) -> None:
    """Wait for other processes; to be called before the transaction locks anything.

    On SQLite there is one writer anyway.
    """
    if session.get_bind().dialect.name != "postgresql":
        return
    for name in turn_names(tenant_id, typed):
        key = func.hashtextextended(name, 0)
        await session.exec(select(func.pg_advisory_xact_lock(key)))
