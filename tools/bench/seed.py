"""Fills an empty database with as many leads as wanted, the same ones each time.

Written around the product's own functions, which would take hours; the tests compare the outcome
with theirs.
"""

import asyncio
import json
import random
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from sqlalchemy import Connection, Index, Table, make_url
from sqlmodel import SQLModel

from ivr.db import Database
from ivr.db.engine import database_path

from .seed_rows import SHARES, TABLES, Maker, Rows, new_id, tenant

CHUNK = 10_000  # leads that are made and written at once


@dataclass(slots=True)
class Seeded:
    """What was written: the businesses by their slug, and how many rows each table has got."""

    tenants: dict[str, uuid.UUID] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=lambda: defaultdict(int))


async def seed(url: str, leads: int, *, number: int = 1) -> Seeded:
    """Write so many leads into a database with all tables and no rows; as a superuser of it.

    The indexes are made again at the end: that is several times faster than to keep them.
    """
    db = Database(url)
    try:
        await _on_indexes(db, lambda index, connection: index.drop(connection))
        if db.is_sqlite:
            seeded = await asyncio.to_thread(_on_sqlite, url, leads, number)
        else:
            seeded = await _on_postgresql(url, leads, number)
        await _on_indexes(db, lambda index, connection: index.create(connection))
        await _settle(db)
    finally:
        await db.close()
    return seeded


async def _on_indexes(db: Database, do: Callable[[Index, Connection], None]) -> None:
    tables = [SQLModel.metadata.tables[name] for name in TABLES]
    indexes = [index for table in tables for index in sorted(table.indexes, key=str)]

    def all_of_them(connection: Connection) -> None:
        for index in indexes:
            do(index, connection)

    async with db.engine.begin() as connection:
        await connection.run_sync(all_of_them)


async def _settle(db: Database) -> None:
    """Leave the database as it is after a night's rest."""
    async with db.engine.connect() as connection:
        bare = await connection.execution_options(isolation_level="AUTOCOMMIT")
        rest = "PRAGMA wal_checkpoint(TRUNCATE)" if db.is_sqlite else "VACUUM (ANALYZE)"
        await bare.exec_driver_sql(rest)


def _on_sqlite(url: str, leads: int, number: int) -> Seeded:
    seeded, dialect = Seeded(), _dialect("sqlite")
    connection = sqlite3.connect(str(database_path(url)))
    try:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-400000")
        for rows in _chunks(seeded, leads, number):
            for name, lines in rows.items():
                columns, values = _bound(name, lines, dialect)
                marks = ", ".join("?" * len(columns))
                said = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})"
                connection.executemany(said, values)
            connection.commit()
    finally:
        connection.close()
    return seeded


async def _on_postgresql(url: str, leads: int, number: int) -> Seeded:
    """COPY; neither foreign keys nor the counting trigger look at each row meanwhile."""
    seeded = Seeded()
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(plain)
    try:
        await connection.set_type_codec(
            "json",
            encoder=lambda value: json.dumps(value).encode(),
            decoder=json.loads,
            schema="pg_catalog",
            format="binary",  # COPY knows no other
        )
        await connection.execute("SET session_replication_role = replica")
        for rows in _chunks(seeded, leads, number):
            for name, lines in rows.items():
                values = [tuple(line.values()) for line in lines]
                await connection.copy_records_to_table(name, records=values, columns=list(lines[0]))
        await connection.execute(_COUNT)
    finally:
        await connection.close()
    return seeded


_COUNT = """
INSERT INTO lead_counts SELECT tenant_id, profile, stage, 0, count(*) FROM leads
WHERE lifecycle <> 'MERGED' GROUP BY tenant_id, profile, stage
"""


def _bound(
    name: str, lines: Sequence[Mapping[str, Any]], dialect: Any
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Return a table's columns and its values as SQLite keeps them."""
    table: Table = SQLModel.metadata.tables[name]
    columns = list(lines[0])
    ways = [table.c[key].type.dialect_impl(dialect).bind_processor(dialect) for key in columns]
    return columns, [
        tuple(
            value if way is None or value is None else way(value)
            for way, value in zip(ways, line.values(), strict=True)
        )
        for line in lines
    ]


def _dialect(name: str) -> Any:
    dialect = make_url(f"{name}://").get_dialect()()
    dialect._json_serializer = None
    return dialect


def _chunks(seeded: Seeded, leads: int, number: int) -> Iterator[Rows]:
    """Yield the rows of all tables, parents first."""
    chance = random.Random(number)
    seeded.tenants = {slug: new_id(chance) for slug in SHARES}
    tenants = [tenant(slug, key) for slug, key in seeded.tenants.items()]
    seeded.rows["tenants"] += len(tenants)
    yield {"tenants": tenants}
    maker = Maker(chance, list(seeded.tenants.values()), leads)
    for first in range(0, leads, CHUNK):
        rows: dict[str, list[Mapping[str, Any]]] = {name: [] for name in TABLES}
        for place in range(first, min(first + CHUNK, leads)):
            maker.add(rows, place)
        for name, lines in rows.items():
            seeded.rows[name] += len(lines)
        yield {name: lines for name, lines in rows.items() if lines}
