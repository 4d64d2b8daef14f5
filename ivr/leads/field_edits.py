"""Fields that a program or a person of the business sets, outside of any conversation."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, FieldValue, Lead, Source
from ivr.leads import given_fields, values
from ivr.leads.fields import Accepted
from ivr.leads.profile import Field, Profile
from ivr.leads.progress import profile_stages, stages


async def set_fields(
    session: AsyncSession,
    conversation: Conversation,
    lead: Lead,
    profile: Profile,
    given: Mapping[str, object],
    *,
    actor: str,
    now: datetime,
    by_staff: bool = False,
) -> dict[str, FieldValue]:
    """Give a locked lead's fields these values, None takes one away; return what is known then.

    `by_staff`: from now on only staff may say otherwise. Raises `Unprocessable` for a field that is
    none, or a value that its field refuses.
    """
    wanted = given_fields.read(profile, given, today=now.date())
    held = await values.current(session, lead.id)
    for name, accepted in wanted.items():
        old, value = held.get(name), _value(profile.field(name), accepted)
        if _says_so_already(old, value, profile.field(name), by_staff=by_staff):
            continue
        await values.add(
            session,
            conversation,
            name=name,
            value=value,
            raw=str(given[name]),
            source=Source.STAFF if by_staff else _source(old, value),
            details=accepted.details if accepted else None,
            lead_id=lead.id,
            now=now,
        )
        lead.updated_at = now
    held = await values.current(session, lead.id)
    await stages.assess(
        session, lead, profile, held, met=False, now=now, actor=actor, taken_back=True
    )
    return held


def _says_so_already(
    old: FieldValue | None, value: str | None, field: Field, *, by_staff: bool
) -> bool:
    if value != (old.value if old is not None else _nothing(field)):
        return False
    return not by_staff or old is None or old.source == Source.STAFF


def _value(field: Field, accepted: Accepted | None) -> str | None:
    return accepted.value if accepted is not None else _nothing(field)


def _nothing(field: Field) -> str | None:
    return stages.NO if field.type == profile_stages.FLAG else None


def _source(old: FieldValue | None, value: str | None) -> Source:
    """What staff said, staff overrules; and only staff, or the contact, take a value away."""
    is_staff = value is None or (old is not None and old.source == Source.STAFF)
    return Source.STAFF if is_staff else Source.TOOL
