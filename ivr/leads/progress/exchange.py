"""The old store's file, brought in and written out again (`conversations_metadata.json`, C4).

Bringing the same file in a second time changes nothing. Reading it is `imported`'s work. An
imported conversation is finished: nothing is submitted for it, its next message goes on with it.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.conversations import Said, write_turns
from ivr.db import Database
from ivr.db.engine import storable
from ivr.db.tables import (
    Axis,
    Channel,
    Contact,
    ContactPoint,
    Conversation,
    ConversationStatus,
    FieldValue,
    Lead,
    Role,
    Source,
    Tenant,
    Transition,
    Turn,
)
from ivr.errors import Conflict
from ivr.leads import fields, values
from ivr.leads.fields import Accepted
from ivr.leads.profile import Profile
from ivr.leads.profile.shape import PHONES
from ivr.leads.progress import funnel, profile_stages, search, stages
from ivr.leads.progress.imported import Record

_WRITTEN_AT_ONCE = 5  # in one transaction: on SQLite a server beside it waits meanwhile
# Who waits for SQLite's lock looks every 0.1 s: without a pause it would not get it for minutes.
_PAUSE_SECONDS = 0.12
_READ_AT_ONCE = 200
_CARRIED = "imported"  # in a conversation's state
_OLD_TURN = "imported_"  # how the item ids of turns begin that the file holds already
_WORDS = {Role.CALLER: "user", Role.ASSISTANT: "assistant"}

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many conversations were new, and how many were there before and left as they are."""

    added: int
    known: int


async def bring_in(
    db: Database, tenant: Tenant, profile: Profile, records: Sequence[Record], *, now: datetime
) -> Outcome:
    """Write records down that are not there yet; stopped half-way, the next run does the rest."""
    added = 0
    for batch in _batches(records, _WRITTEN_AT_ONCE):
        async with db.write() as session:
            for record in batch:
                added += await _bring_in(session, tenant, profile, record, now=now)
        if db.is_sqlite:
            await asyncio.sleep(_PAUSE_SECONDS)
    return Outcome(added, len(records) - added)


async def _bring_in(
    session: AsyncSession, tenant: Tenant, profile: Profile, record: Record, *, now: datetime
) -> bool:
    if await _is_known(session, tenant, record):
        return False
    lead = await _add_lead(session, tenant, profile, record)
    conversation = _conversation(tenant, lead, record, now=now)
    session.add(conversation)
    await session.flush()
    await _add_values(session, profile, conversation, record)
    await search.keep(session, lead, profile, await values.current(session, lead.id))
    _add_moves(session, lead, record)
    if record.turns:
        turns = [(conversation, _said(place, it)) for place, it in enumerate(record.turns)]
        await write_turns(session, turns)
    return True


async def _is_known(session: AsyncSession, tenant: Tenant, record: Record) -> bool:
    same_id = await session.get(Conversation, record.id_for(tenant.id))
    if same_id is not None and same_id.tenant_id != tenant.id:
        raise Conflict(f"conversation {record.key} belongs to another business")
    query = select(Conversation.id).where(
        Conversation.tenant_id == tenant.id,
        Conversation.channel == Channel.CHAT,
        Conversation.session_key == record.key,
    )
    return same_id is not None or (await session.exec(query)).first() is not None


async def _add_lead(
    session: AsyncSession, tenant: Tenant, profile: Profile, record: Record
) -> Lead:
    """Add person and lead; one whose data say something else than its stage is pinned."""
    contact = await _add_contact(session, tenant, profile, record)
    moved_at = record.history[-1][1]
    is_won = profile_stages.is_won(profile, record.stage)
    is_lost = profile_stages.is_lost(profile, record.stage)
    lead = Lead(
        tenant_id=tenant.id,
        contact_id=contact.id,
        profile=profile.key,
        stage=record.stage,
        source=stages.IMPORT,
        status=stages.WON if is_won else stages.LOST if is_lost else "new",
        created_at=record.created_at,
        updated_at=moved_at,
        lost_reason=stages.IMPORT if is_lost else None,
        closed_at=moved_at if is_won or is_lost else None,
    )
    if profile_stages.stage_of(profile, _known(profile, record).keys()) != record.stage:
        lead.stage_pin = record.stage
    session.add(lead)
    await session.flush()
    return lead


async def _add_contact(
    session: AsyncSession, tenant: Tenant, profile: Profile, record: Record
) -> Contact:
    """Add the person, with the phone number unless somebody has it already."""
    known = _known(profile, record)
    names = [known[it.key] for it in profile.fields if it.type == "person_name" and it.key in known]
    contact = Contact(
        tenant_id=tenant.id, name=next(iter(names), None), created_at=record.created_at
    )
    session.add(contact)
    await session.flush()
    phone = profile.phone_field
    number = known.get(phone.key) if phone else None
    if number and number.startswith("+") and await _is_free(session, tenant, number):
        session.add(
            ContactPoint(
                tenant_id=tenant.id,
                contact_id=contact.id,
                kind="phone",
                value=number,
                created_at=record.created_at,
            )
        )
    return contact


async def _is_free(session: AsyncSession, tenant: Tenant, number: str) -> bool:
    query = select(ContactPoint.id).where(
        ContactPoint.tenant_id == tenant.id,
        ContactPoint.kind == "phone",
        ContactPoint.value == number,
    )
    return (await session.exec(query)).first() is None


def _conversation(tenant: Tenant, lead: Lead, record: Record, *, now: datetime) -> Conversation:
    last = max((turn.said_at for turn in record.turns), default=record.history[-1][1])
    return Conversation(
        id=record.id_for(tenant.id),
        tenant_id=tenant.id,
        lead_id=lead.id,
        channel=Channel.CHAT,
        session_key=record.key,
        state={_CARRIED: dict(record.carried)},
        status=ConversationStatus.FINISHED,
        started_at=record.created_at,
        ended_at=max(last, record.created_at),
        end_reason=_CARRIED,
        finished_at=now,
        summary=storable(record.summary),
    )


def _known(profile: Profile, record: Record) -> dict[str, str]:
    """Return what the file says of each field, phone numbers as E.164 where they can be.

    A won stage and its flag are one thing, whichever of them the file has.
    """
    known: dict[str, str] = {}
    for item in profile.fields:
        given = record.lead_data.get(item.key)
        if item.type == profile_stages.FLAG:
            is_won_flag = profile_stages.is_won(profile, item.stage)
            if (item.stage == record.stage) if is_won_flag else given is True:
                known[item.key] = stages.YES
        elif given not in (None, ""):
            known[item.key] = _value(item, str(given), record)
    return known


def _value(item: fields.Field, text: str, record: Record) -> str:
    if item.type not in PHONES:
        return storable(text)
    checked = fields.check(item, text, today=record.created_at.date(), insisted=True)
    return checked.value if isinstance(checked, Accepted) else storable(text)


async def _add_values(
    session: AsyncSession, profile: Profile, conversation: Conversation, record: Record
) -> None:
    for name, value in _known(profile, record).items():
        await values.add(
            session,
            conversation,
            name=name,
            value=value,
            raw=str(record.lead_data.get(name, value)),
            source=Source.TOOL,
            now=record.history[-1][1],
        )


def _add_moves(session: AsyncSession, lead: Lead, record: Record) -> None:
    """Add the history as it was; nobody is told of what happened long ago."""
    before: str | None = None
    for seq, (stage, at) in enumerate(record.history, start=1):
        session.add(_transition(lead, Axis.STAGE, seq, before, stage, at))
        before = stage
    if lead.status != "new":
        at = record.history[-1][1]
        session.add(_transition(lead, Axis.STATUS, 1, "new", lead.status, at))


def _transition(
    lead: Lead, axis: Axis, seq: int, before: str | None, after: str, at: datetime
) -> Transition:
    return Transition(
        tenant_id=lead.tenant_id,
        lead_id=lead.id,
        axis=axis,
        seq=seq,
        from_value=before,
        to_value=after,
        actor=stages.IMPORT,
        reason="as it was in the file",
        at=at,
    )


def _said(place: int, turn: Any) -> Said:
    return Said(f"{_OLD_TURN}{place}", place, turn.role, turn.text, turn.said_at)


async def take_out(
    session: AsyncSession, tenant: Tenant, profile: Profile
) -> dict[str, dict[str, Any]]:
    """Return every conversation of the profile's leads as the old store wrote it, by its id."""
    query = (
        select(Conversation, Lead)
        .join(Lead, col(Lead.id) == col(Conversation.lead_id))
        .where(Lead.tenant_id == tenant.id, Lead.profile == profile.key)
        .order_by(col(Conversation.started_at), col(Conversation.id))
    )
    found = (await session.exec(query)).all()
    zone = ZoneInfo(tenant.timezone)
    document: dict[str, dict[str, Any]] = {}
    for batch in _batches(found, _READ_AT_ONCE):
        book = await _book(session, batch)
        for conversation, lead in batch:
            is_old = _CARRIED in conversation.state
            key = conversation.session_key if is_old else str(conversation.id)
            document[key] = _record(profile, conversation, lead, book, zone)
    return document


@dataclass(frozen=True, slots=True)
class _Book:
    """What belongs to a batch of conversations, by lead or by conversation."""

    moves: Mapping[uuid.UUID, list[Transition]]
    values: Mapping[uuid.UUID, list[FieldValue]]
    turns: Mapping[uuid.UUID, list[Turn]]


async def _book(session: AsyncSession, batch: Sequence[tuple[Conversation, Lead]]) -> _Book:
    leads = {lead.id for _, lead in batch}
    moves = select(Transition).where(
        col(Transition.lead_id).in_(leads), Transition.axis == Axis.STAGE
    )
    given = select(FieldValue).where(col(FieldValue.lead_id).in_(leads))
    turns = select(Turn).where(col(Turn.conversation_id).in_([one.id for one, _ in batch]))
    return _Book(
        _by((await session.exec(moves.order_by(col(Transition.seq)))).all(), "lead_id"),
        _by((await session.exec(given.order_by(col(FieldValue.id)))).all(), "lead_id"),
        _by(
            (await session.exec(turns.order_by(col(Turn.position), col(Turn.id)))).all(),
            "conversation_id",
        ),
    )


def _by(rows: Iterable[Item], name: str) -> Mapping[uuid.UUID, list[Item]]:
    found: dict[uuid.UUID, list[Item]] = defaultdict(list)
    for row in rows:
        found[getattr(row, name)].append(row)
    return found


def _record(
    profile: Profile, conversation: Conversation, lead: Lead, book: _Book, zone: ZoneInfo
) -> dict[str, Any]:
    carried = conversation.state.get(_CARRIED, {})
    held = values.choose(book.values[lead.id])
    history = [
        {"stage": row.to_value, "timestamp": row.at.astimezone(zone).isoformat()}
        for row in book.moves[lead.id]
    ]
    summary, fields_now = conversation.summary, funnel.lead_data(profile, held)
    more = {name: it for name, it in carried.get("lead_data", {}).items() if name not in fields_now}
    return {
        "stage": lead.stage,
        "stage_updated_at": history[-1]["timestamp"] if history else None,
        "stage_history": history,
        "lead_data": {**fields_now, **more},
        "turns": _turns(carried.get("turns"), book.turns[conversation.id], zone),
        "summary": carried.get("summary") if summary is None else summary,
        "created_at": conversation.started_at.astimezone(zone).isoformat(),
        **carried.get("more", {}),
    }


def _turns(carried: object, rows: Sequence[Turn], zone: ZoneInfo) -> object:
    """Return the old turns word for word, and behind them those that came after the import."""
    later = [
        {
            "role": _WORDS[Role(row.role)],
            "content": row.text,
            "timestamp": row.said_at.astimezone(zone).isoformat(),
        }
        for row in rows
        if not row.item_id.startswith(_OLD_TURN)
    ]
    if isinstance(carried, list):
        return [*carried, *later]
    return later or carried or []


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]
