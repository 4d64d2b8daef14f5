"""Rows in every table, made from what the tables say of themselves: a new one has rows at once."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Table, TypeDecorator, select
from sqlmodel import SQLModel

from ivr.db import Database, tables
from tests.leads.cast import NOW

assert tables, "importing the tables fills the metadata"
TABLES: list[Table] = SQLModel.metadata.sorted_tables
NAMES = [table.name for table in TABLES]

Rows = dict[str, dict[str, Any]]


def whose(of: Table) -> "Column[Any]":
    """Return the column that says whose a row is."""
    return of.c.id if of.name == "tenants" else of.c.tenant_id


async def fill(db: Database) -> Rows:
    """Add a tenant with one row in every table; return the rows by table."""
    rows: Rows = {}
    async with db.write() as session:
        connection = await session.connection()
        for one in TABLES:
            given = values(one, rows)
            key = (await connection.execute(one.insert().values(given))).inserted_primary_key
            assert key is not None, "one row was inserted"
            rows[one.name] = {**given, **dict(zip(one.primary_key.c.keys(), key, strict=True))}
    return rows


def values(of: Table, rows: Rows) -> dict[str, Any]:
    """Return a new row for a table, which refers to `rows`."""
    return {
        column.name: _value(column, rows)
        for column in of.columns
        if column is not of.autoincrement_column
    }


def _value(column: "Column[Any]", rows: Rows) -> Any:
    for key in column.foreign_keys:
        return rows[key.column.table.name][key.column.name]
    is_ours = isinstance(column.type, TypeDecorator)
    kind = (column.type.impl_instance if is_ours else column.type).python_type
    if kind is uuid.UUID:
        return uuid.uuid4()
    if kind is str:
        return uuid.uuid4().hex
    return {datetime: NOW, bool: False, int: 1, object: {}}[kind]


async def all_rows(db: Database, tenant_id: uuid.UUID) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of a tenant by table, in a fixed order."""
    found = {}
    async with db.read() as session:
        connection = await session.connection()
        for one in TABLES:
            query = select(one).where(whose(one) == tenant_id)
            found[one.name] = sorted(map(tuple, await connection.execute(query)), key=repr)
    return found
