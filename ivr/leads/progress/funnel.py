"""Where the leads of one tenant and profile stand, for who looks: lists, counts, histories.

Reads only. A merged lead is no lead any more and is left out.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import phonenumbers
from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from ivr.db import keysets
from ivr.db.engine import storable
from ivr.db.tables import Axis, Conversation, FieldValue, Lead, LeadCount, Tenant, Transition
from ivr.db.tables.leads import NOT_MERGED
from ivr.errors import NotFound, Unprocessable
from ivr.leads import fields, values
from ivr.leads.delivery.handover import Profiles, profile_of
from ivr.leads.profile import Profile, shipped_profiles
from ivr.leads.profile.shape import PHONES
from ivr.leads.profile.tenant_profile import own
from ivr.leads.progress import profile_stages, stages

_BATCH = 1000  # a statement takes only so many parameters

Place = tuple[datetime, uuid.UUID]  # of a lead in its stage: when it came, and its id


@dataclass(frozen=True, slots=True)
class LeadLine:
    """A lead as the funnel shows it; `conversation_id` is its latest conversation, None without."""

    lead_id: uuid.UUID
    conversation_id: uuid.UUID | None
    stage: str
    stage_updated_at: datetime
    created_at: datetime
    lead_data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the leads in a stage, and how many there are altogether.

    `next` is the place behind which the next page begins, None at the end.
    """

    stage: str
    count: int
    leads: Sequence[LeadLine]
    next: Place | None = None


@dataclass(frozen=True, slots=True)
class Stats:
    """How many leads stand where; `conversion_rate` is per cent."""

    total_leads: int
    by_stage: dict[str, int]
    conversion_rate: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A lead came into a stage."""

    stage: str
    at: datetime
    actor: str
    reason: str


def lead_data(profile: Profile, held: Mapping[str, FieldValue]) -> dict[str, Any]:
    """Return every field of the profile: None for what is not known, a flag as true or false."""
    return {
        item.key: _shown(item, held[item.key].value if item.key in held else None)
        for item in profile.fields
    }


def _shown(item: fields.Field, value: str | None) -> str | bool | None:
    if item.type == profile_stages.FLAG:
        return fields.is_known(item, value)
    return international(value) if value is not None and item.type in PHONES else value


def international(number: str) -> str:
    """Return e.g. "+92 300 1234567" for "+923001234567"; what is no number stays as it is (C30)."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def pipeline(profiles: Profiles, tenant: Tenant, key: str | None) -> Profile:
    """Return the profile `key`, the tenant's own without one; raise `Unprocessable`.

    Keys only: a path would let whoever asks read files.
    """
    profile = own(profiles, tenant)
    if key is None or key == profile.key:
        return profile
    if key in shipped_profiles():
        return profiles(key)
    known = ", ".join(dict.fromkeys([profile.key, *shipped_profiles()]))
    raise Unprocessable(f"pipeline: there is no {key!r}; valid are {known}")


async def conversation_of(
    session: AsyncSession, tenant_id: uuid.UUID, name: str, *, lock: bool = False
) -> tuple[Conversation, Lead]:
    """Return a conversation by its id, or by its key of old, with its lead; raise `NotFound`.

    With `lock` nobody else changes either until the transaction is over.
    """
    for query in _named(tenant_id, name):
        query = query.with_for_update(key_share=True) if lock else query
        if (found := (await session.exec(query)).first()) is not None:
            break
    else:
        raise NotFound(f"no conversation {name}")
    if lock:
        return found, await stages.lock(session, found.lead_id)
    return found, await session.get_one(Lead, found.lead_id)


def _named(tenant_id: uuid.UUID, name: str) -> Iterator[SelectOfScalar[Conversation]]:
    """Yield how to look for it: by its id, then by its key, which may look like an id as well."""
    query = select(Conversation).where(Conversation.tenant_id == tenant_id)
    with suppress(ValueError):
        yield query.where(Conversation.id == uuid.UUID(name))
    newest = col(Conversation.started_at).desc()
    yield query.where(Conversation.session_key == storable(name)).order_by(newest).limit(1)


async def by_stage(
    session: AsyncSession,
    tenant_id: uuid.UUID,
    profile: Profile,
    stage: str,
    *,
    limit: int | None = None,
    offset: int = 0,
    behind: Place | None = None,
) -> Page:
    """Return the leads in a stage, oldest first; raise `Unprocessable` for one that is none."""
    profile_stages.demand_stage(profile, stage)
    found = await _in_stage(
        session, (tenant_id, profile.key, stage), limit and limit + 1, offset, behind
    )
    shown = found[:limit]
    last = (shown[-1].created_at, shown[-1].id) if len(found) > len(shown) else None
    batches = [shown[first : first + _BATCH] for first in range(0, len(shown), _BATCH)]
    leads = [line for batch in batches for line in await _lines(session, profile, batch)]
    counts = await _counts(session, tenant_id, profile)
    return Page(stage, counts.get(stage, 0), leads, last)


async def stats(session: AsyncSession, tenant_id: uuid.UUID, profile: Profile) -> Stats:
    """Return how many leads stand in each stage, none as 0, and how many of a hundred are won.

    A lead in a stage that the profile has no more is counted under that name.
    """
    found = await _counts(session, tenant_id, profile)
    counts = {**dict.fromkeys(profile_stages.stage_names(profile), 0), **found}
    total = sum(counts.values())
    won = sum(count for stage, count in counts.items() if profile_stages.is_won(profile, stage))
    return Stats(total, counts, won * 100 / total if total else 0.0)


async def _counts(
    session: AsyncSession, tenant_id: uuid.UUID, profile: Profile
) -> Mapping[str, int]:
    """Return how many leads stand in each stage that has any: counting them takes too long."""
    total = func.sum(LeadCount.leads)
    query = (
        select(LeadCount.stage, total)
        .where(LeadCount.tenant_id == tenant_id, LeadCount.profile == profile.key)
        .group_by(col(LeadCount.stage))
        .having(total != 0)
    )
    return {stage: int(count) for stage, count in (await session.exec(query)).all()}


async def _in_stage(
    session: AsyncSession,
    where: tuple[uuid.UUID, str, str],
    limit: int | None,
    offset: int,
    behind: Place | None,
) -> Sequence[Lead]:
    """Return leads that stand in a tenant's and profile's stage; an index skips the others."""
    tenant_id, profile, stage = where
    ids = select(Lead.id).where(
        Lead.tenant_id == tenant_id, Lead.profile == profile, Lead.stage == stage, NOT_MERGED
    )
    order: tuple[Any, Any] = (col(Lead.created_at), col(Lead.id))
    if behind is not None:
        ids = ids.where(keysets.behind(order, behind))
    ids = ids.order_by(*order).limit(limit).offset(offset)
    found = (await session.exec(select(Lead).where(col(Lead.id).in_(ids)))).all()
    # Here, since SQLite would look for the few of them among all leads, in that order.
    return sorted(found, key=lambda lead: (lead.created_at, lead.id))


async def history(session: AsyncSession, lead_id: uuid.UUID) -> list[Entry]:
    """Return the stages that a lead came into, oldest first."""
    query = (
        select(Transition)
        .where(Transition.lead_id == lead_id, Transition.axis == Axis.STAGE)
        .order_by(col(Transition.seq))
    )
    found = (await session.exec(query)).all()
    return [Entry(row.to_value, row.at, row.actor, row.reason) for row in found]


async def data_of(
    session: AsyncSession, profiles: Profiles, tenant: Tenant, lead: Lead
) -> dict[str, Any]:
    """Return a lead's data in the terms of its own profile."""
    held = await values.current(session, lead.id)
    return lead_data(profile_of(profiles, tenant, lead), held)


async def _lines(
    session: AsyncSession, profile: Profile, leads: Sequence[Lead]
) -> Sequence[LeadLine]:
    ids = [lead.id for lead in leads]
    conversations = await _latest_conversations(session, ids)
    moved = await _moved_at(session, ids)
    held = await _held(session, ids)
    return [
        LeadLine(
            lead_id=lead.id,
            conversation_id=conversations.get(lead.id),
            stage=lead.stage,
            stage_updated_at=moved[lead.id],
            created_at=lead.created_at,
            lead_data=lead_data(profile, held[lead.id]),
        )
        for lead in leads
    ]


async def _latest_conversations(
    session: AsyncSession, lead_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, uuid.UUID]:
    query = (
        select(Conversation.lead_id, Conversation.id)
        .where(col(Conversation.lead_id).in_(lead_ids))
        .order_by(col(Conversation.started_at), col(Conversation.id))
    )
    return dict((await session.exec(query)).all())  # the last one counts


async def _moved_at(
    session: AsyncSession, lead_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, datetime]:
    query = (
        select(Transition.lead_id, func.max(Transition.at))
        .where(col(Transition.lead_id).in_(lead_ids), Transition.axis == Axis.STAGE)
        .group_by(col(Transition.lead_id))
    )
    return dict((await session.exec(query)).all())


async def _held(
    session: AsyncSession, lead_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, dict[str, FieldValue]]:
    # Only what decides which value counts, and the value: whole rows take three times as long.
    columns: Any = (FieldValue.lead_id, FieldValue.name, FieldValue.value, FieldValue.source)
    query = (
        select(*columns).where(col(FieldValue.lead_id).in_(lead_ids)).order_by(col(FieldValue.id))
    )
    rows: dict[uuid.UUID, list[Any]] = defaultdict(list)
    for row in (await session.exec(query)).all():
        rows[row[0]].append(row)
    return {lead_id: values.choose(rows[lead_id]) for lead_id in lead_ids}
