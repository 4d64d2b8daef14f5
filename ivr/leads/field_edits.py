"""Fields that a program or a person of the business sets, outside of any conversation."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, FieldValue, Lead, Source
from ivr.errors import Unprocessable
from ivr.leads import fields, stages, values
from ivr.leads.fields import Accepted, Refused
from ivr.leads.profile import Field, Profile


async def set_fields(
    session: AsyncSession,
    conversation: Conversation,
    lead: Lead,
    profile: Profile,
    given: Mapping[str, object],
    *,
    actor: str,
    now: datetime,
) -> dict[str, FieldValue]:
    """Give a locked lead's fields these values, None takes one away; return what is known then.

    Raises `Unprocessable` for a field that is none, or a value that its field refuses.
    """
    wanted = {name: _value(profile, name, raw, now=now) for name, raw in given.items()}
    held = await values.current(session, lead.id)
    for name, value in wanted.items():
        old = held.get(name)
        if value == (old.value if old is not None else _nothing(profile.field(name))):
            continue
        await values.add(
            session,
            conversation,
            name=name,
            value=value,
            raw=str(given[name]),
            source=_source(old, value),
            now=now,
        )
    held = await values.current(session, lead.id)
    await stages.assess(
        session, lead, profile, held, met=False, now=now, actor=actor, taken_back=True
    )
    return held


def _value(profile: Profile, name: str, raw: object, *, now: datetime) -> str | None:
    """Return a value as its field writes it."""
    field = _field(profile, name)
    if raw is None or raw == "":
        return _nothing(field)
    text = str(raw).lower() if isinstance(raw, bool) else str(raw)
    checked = fields.check(field, text, today=now.date(), insisted=True)
    if isinstance(checked, Accepted):
        return checked.value
    reason = checked.reason if isinstance(checked, Refused) else checked.question
    raise Unprocessable(f"{name}: {reason}")


def _field(profile: Profile, name: str) -> Field:
    known = [item.key for item in profile.fields]
    if name not in known:
        raise Unprocessable(f"{profile.key} has no field {name!r}; it has {', '.join(known)}")
    return profile.field(name)


def _nothing(field: Field) -> str | None:
    return stages.NO if field.type == stages.FLAG else None


def _source(old: FieldValue | None, value: str | None) -> Source:
    """What staff said, staff overrules; and only staff, or the contact, take a value away."""
    is_staff = value is None or (old is not None and old.source == Source.STAFF)
    return Source.STAFF if is_staff else Source.TOOL
