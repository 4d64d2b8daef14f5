"""INSERT as each database spells it, with what to do where the row is there already."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel.ext.asyncio.session import AsyncSession

BY_DIALECT: Mapping[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_into(session: AsyncSession, table: Any) -> Any:
    """Return an insert that knows `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return BY_DIALECT[session.get_bind().dialect.name](table)
