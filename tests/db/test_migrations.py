"""Databases that are in use are brought up to date, and keep what they hold."""

from collections.abc import AsyncIterator

import pytest
from alembic import command
from sqlalchemy import Connection, make_url, text
from sqlmodel import col, select

from ivr.db import Database
from ivr.db.engine import alembic_config
from ivr.db.tables import Conversation, Lead, LeadCount, LeadWord, Task

TENANT, CONTACT, LEAD = (f"{digit}" * 32 for digit in "123")
IN_USE = f"""
INSERT INTO tenants (id, slug, name, profile, timezone, status, created_at)
  VALUES ('{TENANT}', 'default', 'Shop', 'powersports', 'UTC', 'active', '2026-11-21 12:00:00');
INSERT INTO contacts (id, tenant_id, name, created_at)
  VALUES ('{CONTACT}', '{TENANT}', 'Zoë Doe', '2026-11-21 12:00:00');
INSERT INTO contact_points (id, tenant_id, contact_id, kind, value, created_at)
  VALUES ('{"c" * 32}', '{TENANT}', '{CONTACT}', 'phone', '+17705550123', '2026-11-21 12:00:00'),
         ('{"d" * 32}', '{TENANT}', '{CONTACT}', 'chat', 'visitor', '2026-11-21 12:00:00');
INSERT INTO leads
  (id, tenant_id, contact_id, profile, stage, lifecycle, status, created_at, updated_at)
  VALUES ('{LEAD}', '{TENANT}', '{CONTACT}', 'powersports', 'new', 'NEW', 'new',
          '2026-11-21 12:00:00', '2026-11-21 12:00:00');
INSERT INTO conversation_sessions
  (id, tenant_id, lead_id, channel, session_key, state, status, episode, stream_opened_at,
   streaming, started_at, usage)
  VALUES ('{"a" * 32}', '{TENANT}', '{LEAD}', 'voice', 'CA-spoke', '{{}}', 'open', 1,
          '2026-11-21 12:00:01', true, '2026-11-21 12:00:00', '{{}}'),
         ('{"b" * 32}', '{TENANT}', '{LEAD}', 'voice', 'CA-rang', '{{}}', 'open', 1, NULL,
          false, '2026-11-21 12:00:00', '{{}}')
"""


def _downgrade(connection: Connection) -> None:
    command.downgrade(alembic_config(connection), "0001")


@pytest.fixture
async def in_use(owner_url: str) -> AsyncIterator[Database]:
    """A database of the first release, with calls in it."""
    db = Database(owner_url)
    async with db.engine.connect() as connection:
        await connection.run_sync(_downgrade)
        for statement in IN_USE.split(";"):
            await connection.execute(text(statement.replace(":", r"\:")))
        await connection.commit()
    yield db
    await db.close()


async def upgrade(db: Database, served_at: str) -> None:
    await db.upgrade(serving=None if db.is_sqlite else make_url(served_at).username)


async def test_leads_of_the_first_release_are_counted_found_and_say_where_they_came_from(
    in_use: Database, database_url: str
) -> None:
    await upgrade(in_use, database_url)
    async with in_use.read() as session:
        words = (await session.exec(select(LeadWord.word))).all()
        (count,) = (await session.exec(select(LeadCount))).all()
        (lead,) = (await session.exec(select(Lead))).all()
    assert set(words) == {"zoe", "doe", "32105550771"}
    assert (count.stage, count.profile, count.leads) == ("new", "powersports", 1)
    assert lead.source == "voice"


async def test_calls_of_the_first_release_keep_what_they_are(
    in_use: Database, database_url: str
) -> None:
    await upgrade(in_use, database_url)
    async with in_use.read() as session:
        spoke, rang = (
            await session.exec(select(Conversation).order_by(col(Conversation.id)))
        ).all()
        assert (await session.exec(select(Task))).all() == []
    assert (spoke.session_key, spoke.streams, spoke.streaming) == ("CA-spoke", 1, True)
    assert (rang.session_key, rang.streams, rang.streaming) == ("CA-rang", 0, False)
    assert spoke.carried_by is None and spoke.line_closed_at is None
