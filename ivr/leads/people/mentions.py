"""Finds the rows that name a person inside of JSON, where no index leads to them.

To look for them is to read through whole tables, which must not be done in a transaction that
writes: the look comes before it, and in it only what may have come since is looked at.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, or_
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import conversations
from ivr.db.tables import IdempotencyRecord, ReviewItem, ReviewKind, Turn
from ivr.leads.people.belongings import Belongings

# PostgreSQL: what was being written during the look has a number below the newest that was seen.
# SQLite: a new row may get the number of one that was deleted.
_BESIDE = 1000


@dataclass(frozen=True, slots=True)
class Mentions:
    """The rows of a table that have any of these names, and the newest row that there was."""

    names: frozenset[str]
    rows: frozenset[int]
    newest: int


async def look(session: AsyncSession, whole: Belongings) -> dict[Any, Mentions]:
    """Return which rows name a person, by table."""
    found: dict[Any, Mentions] = {}
    for table, names, condition in _places(whole, await _written(session, whole)):
        newest = (await session.exec(select(func.max(table.id)))).one() or 0
        rows = (await session.exec(select(table.id).where(condition))).all()
        found[table] = Mentions(names, frozenset(rows), newest)
    return found


async def all_of(
    session: AsyncSession, whole: Belongings, before: Mapping[Any, Mentions]
) -> dict[Any, frozenset[int]]:
    """Return the rows of the look before, and those that have come since."""
    found: dict[Any, frozenset[int]] = {}
    for table, names, condition in _places(whole, await _written(session, whole)):
        seen = before[table]
        since = seen.newest - _BESIDE if names <= seen.names else 0
        late = (await session.exec(select(table.id).where(table.id > since, condition))).all()
        found[table] = seen.rows.union(late)
    return found


def _places(
    whole: Belongings, written: Collection[uuid.UUID]
) -> Iterator[tuple[Any, frozenset[str], ColumnElement[bool]]]:
    """Yield which tables may name a person, by what names, and how that is found."""
    answered = frozenset(str(one) for one in (*whole.leads, *written))
    yield IdempotencyRecord, answered, _replayed(whole, answered)
    people = frozenset(str(contact) for contact in whole.contacts)
    yield ReviewItem, people, _asks_about(whole, people)


def _replayed(whole: Belongings, names: Collection[str]) -> ColumnElement[bool]:
    """The answers that are kept for repeats: of their leads, and of what staff wrote them."""
    body: Any = IdempotencyRecord.body
    named = body["id"].as_string().in_(names)
    return and_(col(IdempotencyRecord.tenant_id) == whole.tenant_id, named)


def _asks_about(whole: Belongings, names: Collection[str]) -> ColumnElement[bool]:
    """The question whether somebody else is this person: it has both names."""
    detail: Any = ReviewItem.detail
    return and_(
        col(ReviewItem.tenant_id) == whole.tenant_id,
        col(ReviewItem.kind) == ReviewKind.MERGE,
        or_(*(detail[key].as_string().in_(names) for key in ("contact", "other"))),
    )


async def _written(session: AsyncSession, whole: Belongings) -> list[uuid.UUID]:
    """Return the ids of the answers to staff who wrote to this person."""
    query = select(Turn).where(col(Turn.conversation_id).in_(whole.conversations))
    turns = [turn for turn in (await session.exec(query)).all() if conversations.is_of_staff(turn)]
    return [uuid.uuid5(turn.conversation_id, turn.item_id) for turn in turns]
