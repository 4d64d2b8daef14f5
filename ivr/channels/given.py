"""Values that a contact typed into the request itself, such as a form's. Checked like any other.

One that its field refuses is kept as an attempt with its problem: it is asked for again.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import Conversation, Source
from ivr.leads import fields, values
from ivr.leads.fields import Accepted, Doubtful, Field, Refused
from ivr.leads.profile import Profile
from ivr.leads.progress import stages

# The names that every business's form uses, by the field types that they answer.
_COMMON = {"person_name": "name", "us_phone": "phone", "phone": "phone", "email": "email"}


async def save(
    session: AsyncSession,
    conversation: Conversation,
    profile: Profile,
    given: Mapping[str, str],
    *,
    today: date,
    now: datetime,
) -> None:
    """Add what is new in `given`; names that the profile does not know are passed over."""
    answers = list(_answers(profile, given))
    if not answers:
        return
    await session.flush()
    held = await values.current(session, conversation.lead_id)
    for field, raw in answers:
        checked = fields.check(field, raw, today=today)
        accepted = checked if isinstance(checked, Accepted) else None
        if accepted and field.key in held and held[field.key].value == accepted.value:
            continue
        await values.add(
            session,
            conversation,
            name=field.key,
            value=accepted.value if accepted else None,
            raw=raw,
            source=Source.TYPED,
            problem=_problem(checked),
            details=accepted.details if accepted else None,
            now=now,
        )
    await _assess(session, conversation, profile, now=now)


def accepted_value(field: Field, raw: str, *, today: date) -> str | None:
    """Return the canonical value, None when the field does not take it as it is."""
    checked = fields.check(field, raw, today=today)
    return checked.value if isinstance(checked, Accepted) else None


def _answers(profile: Profile, given: Mapping[str, str]) -> Iterator[tuple[Field, str]]:
    """Yield each field that was answered; a field's own key goes before the common name."""
    for field in profile.fields:
        raw = given.get(field.key) or given.get(_COMMON.get(field.type, ""), "")
        if raw.strip() and field.type != "flag":
            yield field, raw.strip()


def _problem(checked: Accepted | Doubtful | Refused) -> str | None:
    match checked:
        case Doubtful(question=question):
            return question
        case Refused(reason=reason):
            return reason
    return None


async def _assess(
    session: AsyncSession, conversation: Conversation, profile: Profile, *, now: datetime
) -> None:
    await session.flush()
    lead = await stages.lock(session, conversation.lead_id)
    held = await values.current(session, lead.id)
    await stages.assess(session, lead, profile, held, met=False, now=now)
