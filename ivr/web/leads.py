"""One lead over JSON: handed in, read, changed, scored, given to staff (S2.50-S2.54).

Whose key it is sees its own leads only; another business's id is as unknown as any other.
"""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BeforeValidator, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import despite_races, storable
from ivr.db.tables import Lead, Tenant, utc_now
from ivr.doors import idempotency, preconditions
from ivr.doors.credentials import Actor, ReadsLeads, WritesLeads
from ivr.doors.idempotency import Answered, IdempotencyKey
from ivr.doors.key_first import KeyFirst
from ivr.doors.preconditions import IfMatch, IfNoneMatch
from ivr.doors.problems import problems_of
from ivr.doors.wire_values import Name, Reason, Short, Text, Typed, Value
from ivr.leads import entry, one_lead
from ivr.leads.attention import changes, hand_offs, hot_leads
from ivr.leads.attention import staff as duty
from ivr.leads.attention.changes import Change
from ivr.leads.attention.hand_offs import HandOff
from ivr.leads.delivery.handover import profile_of
from ivr.leads.entry import Entry
from ivr.leads.people import belongings, forgetting
from ivr.leads.profile import Profile
from ivr.leads.progress import funnel, scoring
from ivr.leads.progress.moves import Cause
from ivr.leads.progress.scoring import Score
from ivr.tenants import config
from ivr.web.body import Body
from ivr.web.lead_shapes import LeadShown, shown

MOST_FIELDS = 50
BY_HAND = "set by hand"
PREFIX = "/api/v1/leads"

router = APIRouter(prefix=PREFIX, tags=["leads"], route_class=KeyFirst)

Values = Annotated[dict[Name, Value | None], Field(max_length=MOST_FIELDS)]


class NewLead(Body):
    """A lead to be handed in; something of it must be there. `fields`: by the profile's keys."""

    name: Typed | None = None
    phone: Typed | None = None
    email: Typed | None = None
    source: Short | None = Field(None, description="where it comes from, such as a campaign")
    profile: Name | None = Field(None, description="the key of a profile; your own one without it")
    fields: Values = {}
    message: Annotated[Text, Field(max_length=20_000)] = ""
    consent: bool = Field(False, description="the person lets us write by SMS and WhatsApp")


class LeadEntered(LeadShown):
    """The lead, and whether it is a new one; `conversation_id` is what was handed in just now."""

    created: bool
    conversation_id: uuid.UUID


class LeadChange(Body):
    """What is to be changed; what is left out stays as it is."""

    fields: Values = Field({}, description="null takes a value away")
    owner: Short | None = Field(None, description="who of your staff has it; null is nobody")
    status: Name = Field("", description="one of " + ", ".join(changes.STATUSES))
    stage: Name | None = Field(None, description="null lets it follow from the fields again")
    lifecycle: Name = ""
    lost_reason: Reason | None = None
    reason: Reason = Field(BY_HAND, description="why; kept in the history")


def _as_score(given: object) -> object:
    """A number or a word; not a truth, which is a number to Python."""
    if isinstance(given, bool) or not isinstance(given, int | str | None):
        raise ValueError("expected 0 to 100, or HOT, WARM, COLD or UNSCORED")
    return storable(given) if isinstance(given, str) else given


class NewScore(Body):
    """`score`: 0 to 100, or HOT, WARM, COLD; null and UNSCORED take it away."""

    score: Annotated[int | str | None, BeforeValidator(_as_score)]
    reason: Reason = BY_HAND


class ToStaff(Body):
    """Who is to have it, if that is known, and what they should know."""

    assignee: Short | None = None
    reason: Reason = "handed to staff"
    note: Reason | None = None


# What a route answers besides what every route with such parameters does.
_MADE: dict[int | str, dict[str, Any]] = {
    200: {"model": LeadEntered, "description": "Added to the lead that the person has open"}
}
_SEEN: dict[int | str, dict[str, Any]] = {
    304: {"description": "Not Modified"},
    **problems_of(410),
}
_CHANGED = problems_of(409, 410)


@router.post("", status_code=201, response_model=LeadEntered, responses=_MADE)
async def create(
    request: Request,
    tenant: WritesLeads,
    actor: Actor,
    new: NewLead,
    key: IdempotencyKey = None,
) -> Response:
    """Hand a lead in: 201 for a new one, 200 when it became part of the one the person has open."""
    state = request.state
    profile = funnel.pipeline(state["profiles"], tenant, new.profile)
    given, came_at = _entry(new), utc_now()

    async def work(session: AsyncSession) -> Answered:
        await entry.take_turn(session, tenant, profile, given, now=utc_now())
        now = utc_now()  # later than the others, who were first
        done = await entry.enter(
            session, tenant, profile, given, actor=actor, came_at=came_at, now=now
        )
        whole = await shown(session, profile, done.lead)
        answer = LeadEntered(
            **dict(whole), created=done.is_new, conversation_id=done.conversation.id
        )
        where = {"Location": f"{PREFIX}/{done.lead.id}"}
        return Answered(201 if done.is_new else 200, answer.model_dump(mode="json"), where)

    asked = [PREFIX, new.model_dump(mode="json", exclude_unset=True)]
    db = state["db"].for_tenant(tenant.id)
    async with db.turn(entry.turn_names(tenant, profile, given, now=came_at)):
        return await idempotency.once(db, tenant.id, key, asked, work)


@router.get("/{lead_id}", response_model=LeadShown, responses=_SEEN)
async def read(
    request: Request, tenant: ReadsLeads, lead_id: uuid.UUID, if_none_match: IfNoneMatch = None
) -> Response:
    """Show a lead; 410 for one that was merged, with the one that has all that it had."""
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        lead = await one_lead.find(session, tenant.id, lead_id)
        body = await shown(session, profile_of(request.state["profiles"], tenant, lead), lead)
    return preconditions.answer(body, if_none_match=if_none_match)


@router.patch("/{lead_id}", response_model=LeadShown, responses=_CHANGED)
async def change(
    request: Request,
    tenant: WritesLeads,
    actor: Actor,
    lead_id: uuid.UUID,
    wanted: LeadChange,
    if_match: IfMatch = None,
) -> Response:
    """Change a lead by hand: all that is asked for, or nothing."""
    held = _Held(request.state, tenant, lead_id, if_match)
    parts = wanted.model_dump(exclude={"reason"}, exclude_unset=True)

    async def work(session: AsyncSession, lead: Lead, hand_off: HandOff, now: datetime) -> None:
        await changes.make(session, lead, Change(parts), hand_off, Cause(actor, wanted.reason, now))

    return await held.changed(work)


@router.delete("/{lead_id}", status_code=204, responses=problems_of(409))
async def forget(request: Request, tenant: WritesLeads, actor: Actor, lead_id: uuid.UUID) -> None:
    """Erase the person whose lead it is, with all that there is of them; 409 while it goes on.

    Also the lead that has become part of another one leads to them.
    """
    db = request.state["db"].for_tenant(tenant.id)
    async with db.read() as session:
        contact_id = await belongings.find(session, tenant.id, str(lead_id))
    await forgetting.forget(db, tenant.id, contact_id, actor=actor, now=utc_now())


@router.patch("/{lead_id}/score", response_model=LeadShown, responses=_CHANGED)
async def score(
    request: Request,
    tenant: WritesLeads,
    actor: Actor,
    lead_id: uuid.UUID,
    wanted: NewScore,
    if_match: IfMatch = None,
) -> Response:
    """Set a lead's score by hand; no program changes it until it is taken away."""
    held = _Held(request.state, tenant, lead_id, if_match)
    new = _score(wanted.score, tenant)

    async def work(session: AsyncSession, lead: Lead, hand_off: HandOff, now: datetime) -> None:
        cause = Cause(actor, wanted.reason, now)
        route = hot_leads.Route(hand_off.profile, hand_off.staff, _escalates(tenant))
        await hot_leads.set_score(session, lead, new, cause, route)

    return await held.changed(work)


@router.post("/{lead_id}/handoff", response_model=LeadShown, responses=_CHANGED)
async def handoff(
    request: Request,
    tenant: WritesLeads,
    actor: Actor,
    lead_id: uuid.UUID,
    wanted: ToStaff | None = None,
    if_match: IfMatch = None,
) -> Response:
    """Give a lead to staff: the assistant answers no more; once more changes nothing."""
    held, wanted = _Held(request.state, tenant, lead_id, if_match), wanted or ToStaff()
    reason = "; ".join(filter(None, [wanted.reason, wanted.note]))

    async def work(session: AsyncSession, lead: Lead, hand_off: HandOff, now: datetime) -> None:
        hand_off = HandOff(hand_off.profile, hand_off.staff, wanted.assignee)
        await hand_offs.hand_off(session, lead, hand_off, Cause(actor, reason, now))

    return await held.changed(work)


@dataclass(frozen=True, slots=True)
class _Held:
    """One lead that a request changes, if it is still what its sender has seen."""

    state: Any
    tenant: Tenant
    lead_id: uuid.UUID
    if_match: str | None

    async def changed(self, work: Any) -> Response:
        """Do `work` on the locked lead in one transaction, and return the lead as it is then."""
        return await despite_races(lambda: self._changed(work))

    async def _changed(self, work: Any) -> Response:
        async with self.state["db"].for_tenant(self.tenant.id).write() as session:
            lead = await one_lead.lock(session, self.tenant.id, self.lead_id)
            profile = profile_of(self.state["profiles"], self.tenant, lead)
            if self.if_match is not None:
                seen = preconditions.etag(await shown(session, profile, lead))
                preconditions.demand(self.if_match, seen)
            await work(session, lead, self._hand_off(profile), utc_now())
            body = await shown(session, profile, lead)
        self.state["outbox"].poke()
        return preconditions.answer(body)

    def _hand_off(self, profile: Profile) -> HandOff:
        return HandOff(profile, duty.on_duty(self.tenant, profile, self.state["settings"]))


def _entry(new: NewLead) -> Entry:
    common = {"name": new.name, "phone": new.phone, "email": new.email}
    return Entry(
        who={name: given for name, given in common.items() if given},
        fields=new.fields,
        message=new.message.strip(),
        source=new.source,
        consent=new.consent,
        payload=new.model_dump(mode="json", exclude_unset=True),
    )


def _score(given: int | str | None, tenant: Tenant) -> Score:
    """Return a score as it was asked for; raise `Unprocessable` for one that is none."""
    if given is None:
        return scoring.NONE
    if isinstance(given, str):
        return Score(label=scoring.read_label(given))
    thresholds = config.of(tenant).thresholds
    hot_from = thresholds.hot if thresholds else None
    return scoring.of_number(given, hot_from=hot_from or scoring.HOT_FROM)


def _escalates(tenant: Tenant) -> bool:
    thresholds = config.of(tenant).thresholds
    return bool(thresholds and thresholds.escalate_hot)
