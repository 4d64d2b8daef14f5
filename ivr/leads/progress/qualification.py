"""A business's own rules for its leads: conditions over what is known; the first that fits decides.

`evaluate` is pure and never raises: what it cannot compare does not match. What an outcome does to
a lead is `stages`' work; writing rules down, with what is wrong in them, `qualification_rules`'.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.tables import (
    Axis,
    Conversation,
    FieldValue,
    Lead,
    Lifecycle,
    QualificationRule,
    Transition,
)
from ivr.leads import fields
from ivr.leads.field_types.money import amount_in
from ivr.leads.profile import Field, Profile
from ivr.leads.progress.profile_stages import reaching, stage_of

ACTOR = "rules"
OUTCOMES = (Lifecycle.QUALIFIED, Lifecycle.NURTURING, Lifecycle.DISQUALIFIED)
OF_THE_LEAD = ("channel", "score", "stage")  # what a condition may ask besides the fields
NUMBERS = ("money", "year")  # the field types that are more or less


class Op(StrEnum):
    """How a condition compares."""

    EQUALS = "equals"
    ONE_OF = "one_of"
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    KNOWN = "known"
    UNKNOWN = "unknown"
    CONTAINS = "contains"


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison; `value` is a text or a number, a list of them for `one_of`."""

    field: str
    op: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows when all conditions hold, or `is_any` one of them."""

    name: str
    conditions: tuple[Condition, ...]
    outcome: str
    reason: str = ""
    is_any: bool = False
    id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a lead: canonical values by field, and its channel, score and stage."""

    profile: Profile
    values: Mapping[str, str]
    channel: str | None = None
    score: int | None = None
    stage: str | None = None

    def field(self, name: str) -> Field | None:
        """Return the profile's field of this name; it goes before what every lead has."""
        return next((item for item in self.profile.fields if item.key == name), None)

    def value(self, name: str) -> str | None:
        """Return what is known by this name."""
        if (item := self.field(name)) is not None:
            value = self.values.get(name)
            return value if fields.is_known(item, value) else None
        found = {"channel": self.channel, "score": self.score, "stage": self.stage}.get(name)
        return None if found is None else str(found)


def evaluate(rules: Sequence[Rule], facts: Facts) -> Rule | None:
    """Return the first rule that fits, None when none does."""
    for rule in rules:
        held = [_holds(condition, facts) for condition in rule.conditions]
        if held and (any(held) if rule.is_any else all(held)):
            return rule
    return None


def read(row: QualificationRule) -> Rule:
    """Return a row as a rule; what makes no sense in it makes a condition that never holds."""
    word = "any" if "any" in row.conditions else "all"
    entries = row.conditions.get(word)
    return Rule(
        name=row.name,
        conditions=tuple(map(_condition, entries if isinstance(entries, list) else ())),
        outcome=row.outcome,
        reason=row.reason,
        is_any=word == "any",
        id=row.id,
    )


async def decide(
    session: AsyncSession, lead: Lead, profile: Profile, known: Mapping[str, FieldValue]
) -> Rule | None:
    """Return the rule of the lead's tenant that decides it, given the values that count."""
    asked = {"tenant": lead.tenant_id, "profile": lead.profile, "lead": lead.id}
    with session.no_autoflush:  # the lead's row is written once, with all its moves
        found = (await session.exec(_RULES, params=asked)).all()
    if not found:
        return None
    facts = Facts(
        profile=profile,
        values={name: row.value for name, row in known.items() if row.value is not None},
        channel=found[0][1],
        score=lead.score,
        stage=_stage(lead, profile, known, moved_by=found[0][2]),
    )
    return evaluate([read(row) for row, *_ in found], facts)


def _stage(
    lead: Lead, profile: Profile, known: Mapping[str, FieldValue], *, moved_by: str | None
) -> str:
    """Return the stage of the lead's pin, else of its values.

    A rule is not asked of the stage that a rule has put the lead into: its word would undo itself.
    """
    if lead.stage_pin is not None and moved_by != ACTOR:
        return lead.stage_pin
    return stage_of(profile, reaching(profile, known))


_CHANNEL = (
    select(Conversation.channel)
    .where(col(Conversation.lead_id) == bindparam("lead"))
    .order_by(col(Conversation.started_at).desc(), col(Conversation.id).desc())
    .limit(1)
    .scalar_subquery()
)
_MOVED_BY = (
    select(Transition.actor)
    .where(col(Transition.lead_id) == bindparam("lead"), Transition.axis == Axis.STAGE)
    .order_by(col(Transition.seq).desc())
    .limit(1)
    .scalar_subquery()
)
# One statement, nothing of which is done where there are no rules.
_RULES = (
    select(QualificationRule, _CHANNEL, _MOVED_BY)
    .where(
        col(QualificationRule.tenant_id) == bindparam("tenant"),
        col(QualificationRule.profile) == bindparam("profile"),
        col(QualificationRule.is_active).is_(True),
        col(QualificationRule.outcome).in_(OUTCOMES),
    )
    .order_by(
        col(QualificationRule.position),
        col(QualificationRule.created_at),
        col(QualificationRule.id),
    )
)


def _condition(entry: object) -> Condition:
    if not isinstance(entry, dict):
        return Condition("", "")
    return Condition(str(entry.get("field")), str(entry.get("op")), entry.get("value"))


def _holds(condition: Condition, facts: Facts) -> bool:
    value, item = facts.value(condition.field), facts.field(condition.field)
    wanted = condition.value
    match condition.op:
        case Op.KNOWN:
            return value is not None
        case Op.UNKNOWN:
            return value is None and (item is not None or condition.field in OF_THE_LEAD)
        case Op.EQUALS:
            return value is not None and _is_same(item, value, wanted)
        case Op.ONE_OF:
            several = wanted if isinstance(wanted, list) else []
            return value is not None and any(_is_same(item, value, one) for one in several)
        case Op.AT_LEAST | Op.AT_MOST:
            return value is not None and _is_within(item, value, condition.op, wanted)
        case Op.CONTAINS:
            text = wanted.strip().casefold() if isinstance(wanted, str) else ""
            return value is not None and bool(text) and text in value.casefold()
    return False


def _is_same(item: Field | None, value: str, wanted: object) -> bool:
    if isinstance(wanted, bool) or not isinstance(wanted, str | int | float):
        return False
    if item is not None and item.type == "money":
        one, other = amount_in(item, value), amount_in(item, str(wanted))
        if one is None or other is None:
            return False
        return (one.low, one.high, one.currency) == (other.low, other.high, other.currency)
    return value.strip().casefold() == str(wanted).strip().casefold()


def _is_within(item: Field | None, value: str, op: str, limit: object) -> bool:
    """Compare two numbers of one unit; another currency is neither more nor less."""
    if isinstance(limit, bool) or not isinstance(limit, str | int | float):
        return False
    one, other = _quantity(item, value), _quantity(item, str(limit))
    if one is None or other is None or one[1] != other[1]:
        return False
    return one[0] >= other[0] if op == Op.AT_LEAST else one[0] <= other[0]


def _quantity(item: Field | None, text: str) -> tuple[Decimal, str] | None:
    """Return a number and its unit: of a range of money what they would go up to."""
    if item is not None and item.type == "money":
        amount = amount_in(item, text)
        return None if amount is None else (Decimal(amount.high), amount.currency)
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return (number, "") if number.is_finite() else None
