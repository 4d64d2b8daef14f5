"""Fills an empty database with as many leads as wanted, the same ones each time.

Three businesses, of which one has nine tenths; two years; names of several languages, some of them
very common; stage, lifecycle, status, score and owner as they hang together. Written around the
product's own functions, which would take hours; the tests compare the outcome with theirs.
"""

import asyncio
import json
import random
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate, product
from typing import Any

import asyncpg
from sqlalchemy import Connection, Index, Table, make_url
from sqlmodel import SQLModel

from ivr.db import Database, lead_words
from ivr.db.engine import database_path
from ivr.leads.progress.scoring import label_of

PROFILE = "courses"
SHARES = {"large": 0.9, "middle": 0.08, "small": 0.02}
DAYS = 730
END = datetime(2026, 11, 1, tzinfo=UTC)
CHUNK = 10_000  # leads that are made and written at once

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

# Stage, and what comes with it: lifecycle, status, whether it is closed, and of a hundred how many.
STANDS = (
    ("NEW", "NEW", "new", False, 11),
    ("NEW", "NURTURING", "new", False, 5),
    ("NAME_COLLECTED", "QUALIFYING", "contacted", False, 8),
    ("COURSE_SELECTED", "QUALIFYING", "contacted", False, 13),
    ("EDUCATION_COLLECTED", "QUALIFYING", "contacted", False, 9),
    ("GOAL_COLLECTED", "QUALIFIED", "qualified", False, 8),
    ("GOAL_COLLECTED", "SUBMITTED", "qualified", True, 6),
    ("DEMO_SHARED", "QUALIFIED", "qualified", False, 7),
    ("DEMO_SHARED", "APPOINTMENT_BOOKED", "qualified", False, 1),
    ("DEMO_SHARED", "HANDED_OFF", "qualified", False, 2),
    ("ENROLLED", "SUBMITTED", "closed_won", True, 10),
    ("LOST", "NURTURING", "closed_lost", True, 16),
    ("LOST", "DISQUALIFIED", "closed_lost", True, 3),
    ("NAME_COLLECTED", "MERGED", "contacted", True, 1),
)
CHANNELS = ("voice", "sms", "whatsapp", "chat", "live_chat", "web_form", "missed_call", "api")
_SHARE_OF_CHANNEL = (34, 10, 22, 12, 6, 9, 6, 1)
SOURCES = ("spring campaign", "partner", "walk-in")  # of what came by API
OWNERS = tuple(f"agent-{number:02}" for number in range(1, 41))

_FIRST = (
    "Mohammed Ahmed Ali Fatima Omar Aisha Hassan Maryam Yusuf Sara James Maria John David Anna "
    "Michael José Sofía Carlos Elena Pierre Zoë François Renée Jürgen Björn Łukasz Agnieszka "
    "Priya Rahul Wei Ling Kenji Yuki Olu Ngozi Ivan Olga Nguyen Linh محمد أحمد فاطمة علي خالد "
    "مريم نورة عبدالله"
).split()
_LAST = (
    "Khan Ahmed Hussain Al-Rashid Smith Garcia Martínez Müller O'Neill Dubois Rossi Kowalski "
    "Singh Sharma Chen Wang Tanaka Okafor Petrov Tran Johnson Brown العتيبي الغامدي الشمري"
).split()
_SYLLABLES = (
    "ba ben car dal fer gor hal jan kel lin mar nor pet quin ros sal tor vin wal zim".split()
)
_DOMAINS = ("gmail.com", "yahoo.com", "outlook.com", "example.org", "hotmail.com")


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
    tables = [SQLModel.metadata.tables[name] for name in _TABLES]
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
    seeded.tenants = {slug: _id(chance) for slug in SHARES}
    tenants = [_tenant(slug, key) for slug, key in seeded.tenants.items()]
    seeded.rows["tenants"] += len(tenants)
    yield {"tenants": tenants}
    maker = _Maker(chance, list(seeded.tenants.values()), leads)
    for first in range(0, leads, CHUNK):
        rows: dict[str, list[Mapping[str, Any]]] = {name: [] for name in _TABLES}
        for place in range(first, min(first + CHUNK, leads)):
            maker.add(rows, place)
        for name, lines in rows.items():
            seeded.rows[name] += len(lines)
        yield {name: lines for name, lines in rows.items() if lines}


_TABLES = (
    "contacts",
    "contact_points",
    "leads",
    "conversation_sessions",
    "field_values",
    "transitions",
    "lead_words",
    "escalations",
)


def _tenant(slug: str, key: uuid.UUID) -> dict[str, Any]:
    return {
        "id": key,
        "slug": slug,
        "name": slug,
        "profile": PROFILE,
        "timezone": "UTC",
        "status": "active",
        "business_hours": {},
        "config": {},
        "secrets": {},
        "created_at": END - timedelta(days=DAYS),
    }


class _Maker:
    """Makes one lead after another, each with all that belongs to it."""

    def __init__(self, chance: random.Random, tenants: Sequence[uuid.UUID], leads: int) -> None:
        self._chance = chance
        self._tenants = tenants
        self._leads = leads
        self._last = [*_LAST, *("".join(both).title() for both in product(_SYLLABLES, repeat=3))]
        # The more common a name, the earlier it stands; one of twenty is the first.
        self._first_weights = list(accumulate(1 / (place + 3) for place in range(len(_FIRST))))
        self._last_weights = list(accumulate(1 / (place + 4) for place in range(len(self._last))))

    def add(self, rows: Mapping[str, list[Mapping[str, Any]]], place: int) -> None:
        """Add one lead and its person."""
        chance = self._chance
        (tenant_id,) = chance.choices(self._tenants, list(SHARES.values()))
        stand = chance.choices(STANDS, [it[-1] for it in STANDS])[0]
        at = END - timedelta(days=DAYS * chance.random() ** 1.3)  # more and more of them
        lead = self._lead(tenant_id, stand, at)
        name, phone, email = self._name(), f"+9230{place:08}", None
        if chance.random() < 0.4:
            plain = "".join(lead_words.of_name(name)) or "someone"
            email = f"{plain}{place}@{chance.choice(_DOMAINS)}"
        is_named = stand[0] != "NEW"
        person = (lead, name if is_named else None, phone, email)
        rows["leads"].append(lead)
        self._add_contact(rows, person)
        conversation_id = self._add_conversation(rows, lead, phone)
        self._add_values(rows, person, conversation_id)
        self._add_moves(rows, lead)
        if lead["lifecycle"] == "HANDED_OFF" or chance.random() < 0.02:
            self._add_escalation(rows, lead, conversation_id)

    def _lead(self, tenant_id: uuid.UUID, stand: Any, at: datetime) -> dict[str, Any]:
        chance = self._chance
        stage, lifecycle, status, is_closed, _ = stand
        score = None if chance.random() < 0.45 else round(chance.triangular(0, 100, 45))
        (channel,) = chance.choices(CHANNELS, _SHARE_OF_CHANNEL)
        heard = at + timedelta(hours=chance.expovariate(1 / 60))
        return {
            "id": _id(chance),
            "tenant_id": tenant_id,
            "contact_id": _id(chance),
            "profile": PROFILE,
            "stage": stage,
            "lifecycle": lifecycle,
            "status": status,
            "created_at": at,
            "updated_at": heard,
            "lost_reason": "no answer" if stage == "LOST" else None,
            "score": score,
            "category": None if score is None else str(label_of(score)),
            "owner": chance.choice(OWNERS) if chance.random() < 0.6 else None,
            "source": chance.choice(SOURCES) if channel == "api" else channel,
            "last_inbound_at": heard,
            "closed_at": heard if is_closed else None,
        }

    def _name(self) -> str:
        (first,) = self._chance.choices(_FIRST, cum_weights=self._first_weights)
        (last,) = self._chance.choices(self._last, cum_weights=self._last_weights)
        return f"{first} {last}"

    def _add_contact(self, rows: Mapping[str, list[Any]], person: Any) -> None:
        lead, name, phone, email = person
        key, tenant_id, at = lead["contact_id"], lead["tenant_id"], lead["created_at"]
        rows["contacts"].append({"id": key, "tenant_id": tenant_id, "name": name, "created_at": at})
        words = set(lead_words.of_name(name or ""))
        for kind, value in (("phone", phone), ("email", email)):
            if value is None:
                continue
            make = lead_words.of_phone if kind == "phone" else lead_words.of_email
            words.update(make(value))
            rows["contact_points"].append(
                {
                    "id": _id(self._chance),
                    "tenant_id": tenant_id,
                    "contact_id": key,
                    "kind": kind,
                    "value": value,
                    "verified": kind == "phone",
                    "created_at": at,
                }
            )
        rows["lead_words"].extend(
            {"tenant_id": tenant_id, "word": word, "created_at": at, "lead_id": lead["id"]}
            for word in sorted(words)
        )

    def _add_conversation(
        self, rows: Mapping[str, list[Any]], lead: Mapping[str, Any], phone: str
    ) -> uuid.UUID:
        key, source, at = _id(self._chance), lead["source"], lead["created_at"]
        rows["conversation_sessions"].append(
            {
                "id": key,
                "tenant_id": lead["tenant_id"],
                "lead_id": lead["id"],
                "channel": source if source in CHANNELS else "api",
                "session_key": key.hex,
                "from_number": phone,
                "state": {},
                "status": "finished",
                "episode": 1,
                "streaming": False,
                "streams": 0,
                "line_closed_at": at,
                "line_tries": 0,
                "started_at": at,
                "ended_at": lead["updated_at"],
                "finished_at": lead["updated_at"],
                "assistant_paused": False,
                "usage": {},
            }
        )
        return key

    def _add_values(
        self, rows: Mapping[str, list[Any]], person: Any, conversation_id: uuid.UUID
    ) -> None:
        lead, name, phone, _ = person
        course = "CTA" if lead["stage"] not in ("NEW", "NAME_COLLECTED") else None
        given = {"name": name, "phone": phone, "selected_course": course}
        rows["field_values"].extend(
            {
                "tenant_id": lead["tenant_id"],
                "lead_id": lead["id"],
                "conversation_id": conversation_id,
                "name": key,
                "value": value,
                "raw": value,
                "source": "tool",
                "details": {},
                "created_at": lead["created_at"],
            }
            for key, value in given.items()
            if value is not None
        )

    def _add_moves(self, rows: Mapping[str, list[Any]], lead: Mapping[str, Any]) -> None:
        ways = ["NEW"] if lead["stage"] == "NEW" else ["NEW", lead["stage"]]
        for seq, stage in enumerate(ways, start=1):
            rows["transitions"].append(
                {
                    "tenant_id": lead["tenant_id"],
                    "lead_id": lead["id"],
                    "axis": "stage",
                    "seq": seq,
                    "from_value": None if seq == 1 else "NEW",
                    "to_value": stage,
                    "actor": "system",
                    "reason": "seeded",
                    "at": lead["created_at"] if seq == 1 else lead["updated_at"],
                }
            )

    def _add_escalation(
        self, rows: Mapping[str, list[Any]], lead: Mapping[str, Any], conversation_id: uuid.UUID
    ) -> None:
        is_open = lead["lifecycle"] == "HANDED_OFF"
        rows["escalations"].append(
            {
                "id": _id(self._chance),
                "tenant_id": lead["tenant_id"],
                "lead_id": lead["id"],
                "conversation_id": conversation_id,
                "trigger": "asked_for_human",
                "reason": "seeded",
                "state": "acknowledged" if is_open else "resolved",
                "assignee": lead["owner"],
                "created_at": lead["updated_at"],
                "resolved_at": None if is_open else lead["updated_at"],
            }
        )


def _id(chance: random.Random) -> uuid.UUID:
    return uuid.UUID(int=chance.getrandbits(128), version=4)
