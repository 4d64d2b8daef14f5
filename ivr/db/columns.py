"""The kinds of columns that many tables have; queries and tables are elsewhere."""

import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, TypeDecorator
from sqlalchemy.engine import Dialect
from sqlmodel import Field


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time, also on SQLite, which keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        assert value.tzinfo is not None, "times are aware UTC"
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def own_id() -> Any:
    """The key of a row, made here."""
    return Field(default_factory=uuid.uuid4, primary_key=True)


def of_tenant() -> Any:
    """Whose row it is."""
    return Field(foreign_key="tenants.id", index=True)


def time(*, index: bool = False) -> Any:
    """A time that is always known."""
    return Field(sa_type=UtcDateTime, index=index)


def maybe_time(*, index: bool = False) -> Any:
    """A time that may not have come yet."""
    return Field(default=None, sa_type=UtcDateTime, index=index)


def json(*, server_default: str | None = None) -> Any:
    """A dict; a `server_default` fills the rows that are older than the column."""
    given = {} if server_default is None else {"server_default": server_default}
    return Field(default_factory=dict, sa_type=JSON, sa_column_kwargs=given)
