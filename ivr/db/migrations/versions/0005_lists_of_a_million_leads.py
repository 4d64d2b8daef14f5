"""Indexes for lists, words to find a lead by, and counts of the leads in each stage."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from ivr.db import lead_words

revision = "0005"
down_revision = "0004"

NOT_MERGED = sa.text("lifecycle <> 'MERGED'")
IS_HOT = sa.text("category = 'hot' AND closed_at IS NULL AND lifecycle <> 'MERGED'")
# Nobody asks for the leads of all tenants, and an index of a tenant's own serves better.
OF_NO_USE = ("tenant_id", "created_at", "last_inbound_at")
LISTED = {
    "leads_by_lifecycle": "lifecycle",
    "leads_by_status": "status",
    "leads_by_category": "category",
    "leads_by_source": "source",
    "leads_by_owner": "owner",
    "leads_by_score": "score",
    "leads_by_word_from_them": "last_inbound_at",
}
OTHERS: list[tuple[str, str, tuple[str, ...], Any]] = [
    ("leads_by_time", "leads", ("tenant_id", "created_at", "id"), None),
    ("leads_by_stage", "leads", ("tenant_id", "stage", "created_at", "id", "profile"), NOT_MERGED),
    ("hot_leads", "leads", ("tenant_id", "created_at", "id"), IS_HOT),
    ("escalations_in_order", "escalations", ("tenant_id", "created_at", "id"), None),
    (
        "open_escalations",
        "escalations",
        ("tenant_id", "created_at", "id"),
        sa.text("resolved_at IS NULL"),
    ),
    ("turns_in_order", "turns", ("conversation_id", "position"), None),
    (
        "conversations_by_start",
        "conversation_sessions",
        ("tenant_id", "started_at", "id"),
        None,
    ),
    (
        "conversations_by_channel",
        "conversation_sessions",
        ("tenant_id", "channel", "started_at", "id"),
        None,
    ),
    (
        "open_conversations",
        "conversation_sessions",
        ("tenant_id", "started_at", "id"),
        sa.text("status = 'open'"),
    ),
]
_AT_ONCE = 2000  # leads whose words are written with one statement


def upgrade() -> None:
    op.add_column("messages", sa.Column("turn_item_id", sa.String(), nullable=True))
    _make_tables()
    _make_indexes()
    _name_sources()
    make_triggers()
    _count()
    _write_words()
    op.create_index("words_of_lead", "lead_words", ["lead_id", "word"])


def downgrade() -> None:
    for statement in _triggers_gone():
        op.execute(statement)
    for name in LISTED:
        op.drop_index(name, table_name="leads")
    for name, table, _, _ in OTHERS:
        op.drop_index(name, table_name=table)
    for column in OF_NO_USE:
        op.create_index(f"ix_leads_{column}", "leads", [column])
    op.drop_table("lead_words")
    op.drop_table("lead_counts")  # and its sequence
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_column("turn_item_id")


def _make_tables() -> None:
    by_bytes = sa.String().with_variant(sa.String(collation="C"), "postgresql")
    op.create_table(
        "lead_words",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("word", by_bytes, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lead_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"]),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("tenant_id", "word", "created_at", "lead_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lead_counts",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("stage", sa.String(), nullable=False),
        sa.Column("slot", sa.BigInteger(), nullable=False),
        sa.Column("leads", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
        sa.PrimaryKeyConstraint("tenant_id", "profile", "stage", "slot"),
        sqlite_with_rowid=False,
    )


def _make_indexes() -> None:
    for name, column in LISTED.items():
        _index(name, "leads", ("tenant_id", column, "created_at", "id"), NOT_MERGED)
    for name, table, columns, where in OTHERS:
        _index(name, table, columns, where)
    for column in OF_NO_USE:
        op.drop_index(f"ix_leads_{column}", table_name="leads")


def _index(name: str, table: str, columns: tuple[str, ...], where: Any) -> None:
    op.create_index(name, table, list(columns), sqlite_where=where, postgresql_where=where)


def _name_sources() -> None:
    """Have older leads say where they came from, as newer ones do: their first channel."""
    op.execute(
        """
        UPDATE leads SET source = (
          SELECT channel FROM conversation_sessions
          WHERE lead_id = leads.id ORDER BY started_at, id LIMIT 1
        ) WHERE source IS NULL
        """
    )


# Counts. A trigger misses no writer. PostgreSQL: a count in one row would have everybody who moves
# a lead wait for everybody else, and some of them for each other; so each move adds rows.

_SQLITE = {
    "count_new_lead": ("AFTER INSERT ON leads", {"NEW": 1}),
    "count_gone_lead": ("AFTER DELETE ON leads", {"OLD": -1}),
    "count_moved_lead": (
        "AFTER UPDATE OF tenant_id, profile, stage, lifecycle ON leads",
        {"OLD": -1, "NEW": 1},
    ),
}
_COUNTED = """
    INSERT INTO lead_counts (tenant_id, profile, stage, slot, leads)
    SELECT {row}.tenant_id, {row}.profile, {row}.stage, 0, {change}
    WHERE {row}.lifecycle <> 'MERGED'
    ON CONFLICT DO UPDATE SET leads = leads + ({change});
"""
_SLOTS = "CREATE SEQUENCE lead_counts_slot OWNED BY lead_counts.slot"
_POSTGRESQL = """
CREATE FUNCTION count_lead() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE place bigint;
BEGIN
  IF TG_OP = 'UPDATE' AND (OLD.tenant_id, OLD.profile, OLD.stage, OLD.lifecycle = 'MERGED')
      IS NOT DISTINCT FROM (NEW.tenant_id, NEW.profile, NEW.stage, NEW.lifecycle = 'MERGED') THEN
    RETURN NULL;
  END IF;
  place := nextval('lead_counts_slot');
  IF TG_OP <> 'INSERT' AND OLD.lifecycle <> 'MERGED' THEN
    INSERT INTO lead_counts VALUES (OLD.tenant_id, OLD.profile, OLD.stage, place, -1);
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.lifecycle <> 'MERGED' THEN
    INSERT INTO lead_counts VALUES (NEW.tenant_id, NEW.profile, NEW.stage, place, 1);
  END IF;
  IF place % 500 = 0 THEN
    PERFORM sum_up_leads(CASE TG_OP WHEN 'DELETE' THEN OLD.tenant_id ELSE NEW.tenant_id END);
  END IF;
  RETURN NULL;
END $$
"""
# What another transaction is summing up is left to it: nobody waits here either.
_SUM_UP = """
CREATE FUNCTION sum_up_leads(whose uuid) RETURNS void LANGUAGE sql AS $$
  WITH these AS (
    SELECT profile, stage, slot FROM lead_counts WHERE tenant_id = whose FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM lead_counts USING these
    WHERE lead_counts.tenant_id = whose AND lead_counts.profile = these.profile
      AND lead_counts.stage = these.stage AND lead_counts.slot = these.slot
    RETURNING lead_counts.profile, lead_counts.stage, lead_counts.leads
  )
  INSERT INTO lead_counts
  SELECT whose, profile, stage, nextval('lead_counts_slot'), sum(leads)
  FROM gone GROUP BY profile, stage HAVING sum(leads) <> 0
$$
"""
_WATCH = """
CREATE TRIGGER count_lead
AFTER INSERT OR DELETE OR UPDATE OF tenant_id, profile, stage, lifecycle ON leads
FOR EACH ROW EXECUTE FUNCTION count_lead()
"""


def _is_sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"


def make_triggers() -> None:
    """Have every change of a lead counted; to be done again after SQLite's `leads` is remade."""
    if not _is_sqlite():
        for statement in (_SLOTS, _SUM_UP, _POSTGRESQL, _WATCH):
            op.execute(statement)
        return
    for name, (when, changes) in _SQLITE.items():
        body = "".join(_COUNTED.format(row=row, change=by) for row, by in changes.items())
        op.execute(f"CREATE TRIGGER {name} {when} BEGIN {body} END")


def _triggers_gone() -> Iterator[str]:
    if _is_sqlite():
        yield from (f"DROP TRIGGER {name}" for name in _SQLITE)
        return
    yield "DROP TRIGGER count_lead ON leads"
    yield "DROP FUNCTION count_lead()"
    yield "DROP FUNCTION sum_up_leads(uuid)"


def _count() -> None:
    op.execute(
        """
        INSERT INTO lead_counts SELECT tenant_id, profile, stage, 0, count(*) FROM leads
        WHERE lifecycle <> 'MERGED' GROUP BY tenant_id, profile, stage
        """
    )


# Words

_LEAD = sa.table(
    "leads",
    sa.column("id", sa.Uuid()),
    sa.column("tenant_id", sa.Uuid()),
    sa.column("contact_id", sa.Uuid()),
    sa.column("created_at", sa.DateTime(timezone=True)),
)
_CONTACT = sa.table("contacts", sa.column("id", sa.Uuid()), sa.column("name", sa.String()))
_POINT = sa.table(
    "contact_points",
    sa.column("contact_id", sa.Uuid()),
    sa.column("kind", sa.String()),
    sa.column("value", sa.String()),
)
_WORD = sa.table(
    "lead_words",
    sa.column("tenant_id", sa.Uuid()),
    sa.column("word", sa.String()),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("lead_id", sa.Uuid()),
)


def _write_words() -> None:
    """Have the leads that are there found by their contact's name, numbers and addresses."""
    last: uuid.UUID | None = None
    while leads := _some_leads(last):
        names, points = _of_contacts(sorted({lead.contact_id for lead in leads}))
        rows = [
            {"tenant": lead.tenant_id, "word": word, "at": lead.created_at, "lead": lead.id}
            for lead in leads
            for word in _words(names.get(lead.contact_id), points.get(lead.contact_id, ()))
        ]
        if rows:
            _insert(rows)
        last = leads[-1].id


def _some_leads(last: uuid.UUID | None) -> list[Any]:
    query = sa.select(_LEAD).order_by(_LEAD.c.id).limit(_AT_ONCE)
    if last is not None:
        query = query.where(_LEAD.c.id > last)
    return list(op.get_bind().execute(query))


def _of_contacts(ids: list[uuid.UUID]) -> tuple[dict[uuid.UUID, str | None], dict[Any, list[Any]]]:
    """Return the names and the points of contacts."""
    bind = op.get_bind()
    names: dict[uuid.UUID, str | None] = {}
    for contact_id, name in bind.execute(sa.select(_CONTACT).where(_CONTACT.c.id.in_(ids))):
        names[contact_id] = name
    points: dict[Any, list[Any]] = {}
    for row in bind.execute(sa.select(_POINT).where(_POINT.c.contact_id.in_(ids))):
        points.setdefault(row.contact_id, []).append(row)
    return names, points


def _words(name: str | None, points: Any) -> set[str]:
    found = set(lead_words.of_name(name or ""))
    for point in points:
        if point.kind == "phone":
            found.update(lead_words.of_phone(point.value))
        elif point.kind == "email":
            found.update(lead_words.of_email(point.value))
    return found


def _insert(rows: list[dict[str, uuid.UUID | str | datetime]]) -> None:
    statement = sa.insert(_WORD).values(
        tenant_id=sa.bindparam("tenant"),
        word=sa.bindparam("word"),
        created_at=sa.bindparam("at"),
        lead_id=sa.bindparam("lead"),
    )
    op.get_bind().execute(statement, rows)
