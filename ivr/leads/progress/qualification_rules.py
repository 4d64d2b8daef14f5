"""The rows of a business's qualification rules: added, changed, removed, each checked in words.

What a rule asks must be there in the profile, and is kept as the profile's values are written.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import storable
from ivr.db.tables import Channel, QualificationRule
from ivr.errors import NotFound, Unprocessable
from ivr.leads import fields
from ivr.leads.field_types import money
from ivr.leads.fields import Accepted, Refused
from ivr.leads.profile import Field, Profile
from ivr.leads.progress import profile_stages, stages
from ivr.leads.progress.qualification import NUMBERS, OF_THE_LEAD, OUTCOMES, Facts, Op

MOST_RULES = 100
MOST_CONDITIONS = 20
MOST_VALUES = 50
LONGEST = 200  # characters of a value
WORDS = ("all", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A rule to be written; `position` None is behind all others."""

    name: str
    conditions: Mapping[str, Any]
    outcome: str
    reason: str = ""
    position: int | None = None
    is_active: bool = True


async def of_tenant(session: AsyncSession, tenant_id: uuid.UUID) -> Sequence[QualificationRule]:
    """Return a tenant's rules in the order in which they are asked."""
    query = select(QualificationRule).where(QualificationRule.tenant_id == tenant_id)
    order = (QualificationRule.position, QualificationRule.created_at, QualificationRule.id)
    return (await session.exec(query.order_by(*map(col, order)))).all()


async def find(
    session: AsyncSession, tenant_id: uuid.UUID, rule_id: uuid.UUID
) -> QualificationRule:
    """Return a rule for changing; raise `NotFound`."""
    query = select(QualificationRule).where(
        QualificationRule.tenant_id == tenant_id, QualificationRule.id == rule_id
    )
    found = (await session.exec(query.with_for_update())).first()
    if found is None:
        raise NotFound(f"no rule {rule_id}")
    return found


async def add(
    session: AsyncSession, tenant_id: uuid.UUID, profile: Profile, draft: Draft, *, now: datetime
) -> QualificationRule:
    """Add a rule; raise `Unprocessable` for what it cannot ask or say."""
    others = await of_tenant(session, tenant_id)
    if len(others) >= MOST_RULES:
        raise Unprocessable(f"rules: a client has at most {MOST_RULES}")
    last = max((other.position for other in others), default=0)
    row = QualificationRule(
        tenant_id=tenant_id,
        profile=profile.key,
        position=last + 1 if draft.position is None else draft.position,
        name=storable(draft.name),
        conditions=checked(profile, draft.conditions, now=now),
        outcome=_outcome(draft.outcome),
        reason=storable(draft.reason),
        is_active=draft.is_active,
        created_at=now,
    )
    session.add(row)
    await session.flush()
    return row


async def change(
    session: AsyncSession,
    row: QualificationRule,
    profile: Profile,
    changes: Mapping[str, Any],
    *,
    now: datetime,
) -> QualificationRule:
    """Change what `changes` names; raise `Unprocessable` as `add` does.

    New conditions are those of the profile that the client has now.
    """
    for name, value in changes.items():
        if name == "conditions":
            row.profile, row.conditions = profile.key, checked(profile, value, now=now)
        elif name == "outcome":
            row.outcome = _outcome(value)
        else:
            assert name in ("name", "reason", "position", "is_active"), "all that may be changed"
            setattr(row, name, storable(value) if isinstance(value, str) else value)
    session.add(row)
    await session.flush()
    return row


def facts_of(
    profile: Profile,
    given: Mapping[str, object],
    *,
    channel: str | None,
    score: int | None,
    stage: str | None,
    now: datetime,
) -> Facts:
    """Return what would be known of a lead; raise `Unprocessable` for what cannot be."""
    known = {}
    for name, value in given.items():
        item = next((it for it in profile.fields if it.key == name), None)
        if item is None:
            raise Unprocessable(f"fields.{name}: {_no_field(profile, name)}")
        known[name] = _answer(item, value, f"fields.{name}", now=now)
    asked = {"channel": channel, "score": score, "stage": stage}
    for name, of_lead in asked.items():
        if of_lead is not None:
            _of_lead(profile, name, of_lead, name)
    return Facts(profile, known, channel=channel, score=score, stage=stage)


def checked(profile: Profile, conditions: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return conditions as they are kept; raise `Unprocessable` that names the one that is wrong.

    They are `{"all": [...]}` or `{"any": [...]}`, each with `field`, `op` and, mostly, `value`.
    """
    words = [word for word in WORDS if conditions.get(word)]
    if len(words) != 1 or set(conditions) - set(WORDS):
        raise Unprocessable("conditions: expected `all` or `any` with at least one condition")
    (word,) = words
    entries = conditions[word]
    if len(entries) > MOST_CONDITIONS:
        raise Unprocessable(f"conditions.{word}: expected at most {MOST_CONDITIONS}")
    return {
        word: [
            _checked(profile, entry, f"conditions.{word}.{number}", now=now)
            for number, entry in enumerate(entries)
        ]
    }


def _checked(
    profile: Profile, entry: Mapping[str, Any], where: str, *, now: datetime
) -> dict[str, Any]:
    name, op, value = entry["field"], entry["op"], entry.get("value")
    item = next((it for it in profile.fields if it.key == name), None)
    if item is None and name not in OF_THE_LEAD:
        raise Unprocessable(f"{where}.field: {_no_field(profile, name)}")
    if op not in set(Op):
        raise Unprocessable(f"{where}.op: {op!r} is none; it is one of {', '.join(Op)}")
    kept = {"field": name, "op": str(op)}
    at = f"{where}.value"
    if op in (Op.KNOWN, Op.UNKNOWN):
        if value is not None:
            raise Unprocessable(f"{at}: {op} takes none")
        return kept
    return {**kept, "value": _value(profile, item, name, Op(op), value, at, now=now)}


def _value(
    profile: Profile,
    item: Field | None,
    name: str,
    op: Op,
    value: Any,
    where: str,
    *,
    now: datetime,
) -> Any:
    if op is Op.ONE_OF:
        if not isinstance(value, list) or not 0 < len(value) <= MOST_VALUES:
            raise Unprocessable(f"{where}: expected a list of 1 to {MOST_VALUES} values")
        found = [_single(profile, item, name, one, where, now=now) for one in value]
        return list(dict.fromkeys(found))
    if op is Op.CONTAINS:
        if not isinstance(value, str) or not 0 < len(value.strip()) <= LONGEST:
            raise Unprocessable(f"{where}: expected a text of 1 to {LONGEST} characters")
        return storable(value.strip())
    is_number = item.type in NUMBERS if item is not None else name == "score"
    if op in (Op.AT_LEAST, Op.AT_MOST) and not is_number:
        raise Unprocessable(f"{where.removesuffix('value')}op: {name} is no number or amount")
    return _single(profile, item, name, value, where, now=now)


def _single(
    profile: Profile, item: Field | None, name: str, value: object, where: str, *, now: datetime
) -> str | int:
    if item is None:
        return _of_lead(profile, name, value, where)
    if item.type == "money":
        amount = money.amount_in(item, _text(value, where))
        if amount is None:
            raise Unprocessable(f"{where}: expected one amount, such as {_example(item)}")
        return money.canonical(item, amount)
    return _answer(item, value, where, now=now)


def _of_lead(profile: Profile, name: str, value: object, where: str) -> str | int:
    if name == "score":
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
            raise Unprocessable(f"{where}: expected a whole number from 0 to 100")
        return value
    known = tuple(Channel) if name == "channel" else profile_stages.stage_names(profile)
    if value not in known:
        raise Unprocessable(f"{where}: expected one of {', '.join(known)}")
    return str(value)


def _answer(item: Field, value: object, where: str, *, now: datetime) -> str:
    """Return a value as its field writes it."""
    text = _text(value, where)
    if item.type == "yes_no":
        text = {stages.YES: "yes", stages.NO: "no"}.get(text, text)
    verdict = fields.check(item, text, today=now.date(), insisted=True)
    if isinstance(verdict, Accepted):
        return storable(verdict.value)
    reason = verdict.reason if isinstance(verdict, Refused) else verdict.question
    raise Unprocessable(f"{where}: {reason}")


def _text(value: object, where: str) -> str:
    if isinstance(value, bool):
        return stages.YES if value else stages.NO
    if not isinstance(value, str | int | float) or not 0 < len(str(value).strip()) <= LONGEST:
        raise Unprocessable(f"{where}: expected a text or a number of up to {LONGEST} characters")
    return str(value).strip()


def _outcome(word: str) -> str:
    if word not in OUTCOMES:
        raise Unprocessable(f"outcome: {word!r} is none; it is one of {', '.join(OUTCOMES)}")
    return str(word)


def _no_field(profile: Profile, name: object) -> str:
    known = (*(item.key for item in profile.fields), *OF_THE_LEAD)
    return f"{profile.key} has no {str(name)[:LONGEST]!r}; it has {', '.join(known)}"


def _example(item: Field) -> str:
    return f"500000 {item.options.get('currency', 'USD')}"
