"""Alembic's entry: runs on the connection that `Database.upgrade` or `ivr db` opened."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import DateTime, String
from sqlmodel import SQLModel

from ivr.db import tables

assert tables, "importing the tables fills the metadata"


def _plain_type(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """Write our types and SQLModel's as the plain ones they are: revisions import neither."""
    if kind == "type" and isinstance(getattr(item, "impl", None), DateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(getattr(item, "impl", None), String):
        return "sa.String()"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    render_item=_plain_type,
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
