"""A client's qualification rules over JSON: list, add, change, remove, and try them."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from ivr.db.tables import QualificationRule, Tenant, utc_now
from ivr.doors.credentials import ReadsNamedClient, WritesNamedClient
from ivr.doors.key_first import KeyFirst
from ivr.doors.wire_values import Short, Sound, finite
from ivr.leads.profile import Profile, tenant_profile
from ivr.leads.progress import qualification, qualification_rules
from ivr.leads.progress.qualification import Op
from ivr.leads.progress.qualification_rules import LONGEST, MOST_CONDITIONS, MOST_VALUES, Draft
from ivr.web.body import Body

router = APIRouter(
    prefix="/api/v1/clients/{client_id}/qualification-rules",
    tags=["qualification rules"],
    route_class=KeyFirst,
)

Key = Annotated[str, Field(min_length=1, max_length=40), Sound]
Why = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), Sound]
Operand = Annotated[str, Field(max_length=LONGEST), Sound]
Value = Annotated[Operand | int | float | bool, BeforeValidator(finite)]
Outcome = Literal["QUALIFIED", "NURTURING", "DISQUALIFIED"]
Position = Annotated[int, Field(ge=1, le=10_000)]


class Condition(Body):
    """One comparison of a field of the profile, or of `channel`, `score` or `stage`."""

    field: Key
    op: Op
    value: Value | Annotated[list[Value], Field(max_length=MOST_VALUES)] | None = Field(
        None, description="a list for `one_of`, nothing for `known` and `unknown`"
    )


Several = Annotated[list[Condition], Field(min_length=1, max_length=MOST_CONDITIONS)]


class Conditions(Body):
    """Exactly one of the two."""

    all: Several | None = Field(None, description="each of these must hold")
    any: Several | None = Field(None, description="one of these must hold")


class NewRule(Body):
    """A rule to be added; without `position` behind all others."""

    name: Short
    conditions: Conditions
    outcome: Outcome
    reason: Why = ""
    position: Position | None = None
    is_active: bool = True


class Changes(Body):
    """What is to be different; all the rest stays."""

    name: Short = ""
    conditions: Conditions = Conditions(all=None, any=None)
    outcome: Outcome = "QUALIFIED"
    reason: Why = ""
    position: Position = 1
    is_active: bool = True


class Rule(BaseModel):
    """A rule; the one with the lowest position that fits decides."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    profile: str
    position: int
    name: str
    conditions: dict[str, Any]
    outcome: str
    reason: str
    is_active: bool
    created_at: datetime


class Listed(BaseModel):
    """All of them, in order."""

    items: list[Rule]
    next_cursor: str | None = None


class Trial(Body):
    """What would be known of a lead."""

    fields: Annotated[dict[Key, Value], Field(max_length=100)] = {}
    channel: Operand | None = None
    score: int | None = None
    stage: Operand | None = None


class Verdict(BaseModel):
    """What the rules make of it; null: no rule fits, and all required fields qualify a lead."""

    outcome: str | None
    rule: Rule | None


@router.get("")
async def list_rules(request: Request, client: ReadsNamedClient) -> Listed:
    """List a client's rules in the order in which they are asked."""
    async with _db(request, client).read() as session:
        rows = await qualification_rules.of_tenant(session, client.id)
    return Listed(items=[_shown(row) for row in rows])


@router.post("", status_code=201)
async def add_rule(request: Request, client: WritesNamedClient, body: NewRule) -> Rule:
    """Add a rule; it counts from the next value of each lead on."""
    draft = Draft(**{**body.model_dump(), "conditions": _plain(body.conditions)})
    async with _db(request, client).write() as session:
        row = await qualification_rules.add(
            session, client.id, _profile(request, client), draft, now=utc_now()
        )
        return _shown(row)


@router.post("/test")
async def try_rules(request: Request, client: ReadsNamedClient, body: Trial) -> Verdict:
    """Say what the active rules would make of such a lead; nothing is written."""
    profile = _profile(request, client)
    facts = qualification_rules.facts_of(
        profile,
        body.fields,
        channel=body.channel,
        score=body.score,
        stage=body.stage,
        now=utc_now(),
    )
    async with _db(request, client).read() as session:
        rows = await qualification_rules.of_tenant(session, client.id)
    active = {row.id: row for row in rows if row.is_active and row.profile == profile.key}
    found = qualification.evaluate([qualification.read(row) for row in active.values()], facts)
    if found is None or found.id is None:
        return Verdict(outcome=None, rule=None)
    return Verdict(outcome=found.outcome, rule=_shown(active[found.id]))


@router.patch("/{rule_id}")
async def change_rule(
    request: Request, client: WritesNamedClient, rule_id: uuid.UUID, body: Changes
) -> Rule:
    """Change a rule; leads are looked at again with their next value."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if "conditions" in changes:
        changes["conditions"] = _plain(body.conditions)
    async with _db(request, client).write() as session:
        row = await qualification_rules.find(session, client.id, rule_id)
        profile = _profile(request, client)
        return _shown(
            await qualification_rules.change(session, row, profile, changes, now=utc_now())
        )


@router.delete("/{rule_id}", status_code=204)
async def remove_rule(request: Request, client: WritesNamedClient, rule_id: uuid.UUID) -> Response:
    """Remove a rule; what it has done to leads stays."""
    async with _db(request, client).write() as session:
        await session.delete(await qualification_rules.find(session, client.id, rule_id))
    return Response(status_code=204)


def _db(request: Request, client: Tenant) -> Any:
    return request.state["db"].for_tenant(client.id)


def _profile(request: Request, client: Tenant) -> Profile:
    return tenant_profile.own(request.state["profiles"], client)


def _plain(conditions: Conditions) -> dict[str, Any]:
    return conditions.model_dump(mode="json", exclude_none=True)


def _shown(row: QualificationRule) -> Rule:
    return Rule.model_validate(row)
