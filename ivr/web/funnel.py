"""Stage tracking over HTTP: the four doors of the owner's guide (S0), and what follows from them.

A conversation is named by its id; one that came from an older system also by its id there.
Whose key it is sees its own leads only, in its own profile unless `?pipeline=` names another.
"""

import uuid
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr.db.engine import despite_races
from ivr.db.tables import Lead, Tenant, utc_now
from ivr.doors import cursor as cursors
from ivr.doors import wire_values
from ivr.doors.credentials import Actor, ReadsLeads, WritesLeads
from ivr.doors.cursor import Cursor, Moment
from ivr.doors.key_first import KeyFirst
from ivr.errors import IvrError, NotFound
from ivr.leads.attention import review
from ivr.leads.delivery.handover import profile_of
from ivr.leads.profile import Profile
from ivr.leads.progress import funnel, funnel_analysis, stages
from ivr.leads.progress.moves import Cause
from ivr.web.body import Body

MOST_AT_ONCE = 500
# The stages of the owner's guide, which profile `courses` has; every profile may have its own.
GUIDE_STAGES = (
    "NEW",
    "NAME_COLLECTED",
    "COURSE_SELECTED",
    "EDUCATION_COLLECTED",
    "GOAL_COLLECTED",
    "DEMO_SHARED",
    "ENROLLED",
    "LOST",
)

router = APIRouter(tags=["funnel"], route_class=KeyFirst)

_STAGE: dict[str, Any] = {
    "description": "A stage of the profile; of `courses`: " + ", ".join(GUIDE_STAGES),
    "examples": list(GUIDE_STAGES),
}
InStage = Annotated[str, Path(**_STAGE)]
NewStage = Annotated[str, Query(**_STAGE)]

Pipeline = Annotated[
    str | None, Query(description="The key of a profile; your own one without it.")
]
Reason = Annotated[wire_values.Reason, Query(description="Why; kept in the history.")]


class _Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LeadItem(_Shown):
    """One lead in a list; its conversation is null when that proved to be with somebody else."""

    conversation_id: uuid.UUID | None
    stage: str
    stage_updated_at: datetime
    created_at: datetime
    lead_data: dict[str, Any]


class LeadsInStage(_Shown):
    """The leads in one stage; `count` is all of them, `leads` what was asked for."""

    stage: str
    count: int
    leads: list[LeadItem]


class LeadStats(_Shown):
    """How many leads stand where; `conversion_rate` is per cent."""

    total_leads: int
    by_stage: dict[str, int]
    conversion_rate: float


class ConversationStage(BaseModel):
    """Where the lead of a conversation stands."""

    conversation_id: uuid.UUID
    stage: str
    lead_data: dict[str, Any]


class StageUpdated(BaseModel):
    """The answer to a stage set by hand."""

    message: str = "Stage updated successfully"
    conversation_id: uuid.UUID
    new_stage: str


class HistoryEntry(BaseModel):
    """A lead came into a stage."""

    stage: str
    timestamp: datetime
    actor: str
    reason: str


class StageHistory(BaseModel):
    """Where the lead of a conversation stood, oldest first; `stage_pin` was set and holds."""

    conversation_id: uuid.UUID
    stage: str
    stage_pin: str | None
    stage_updated_at: datetime
    stage_history: list[HistoryEntry]


class StageFigures(_Shown):
    """One stage: ended stays and their seconds; rates are per cent of those that reached it."""

    stage: str
    stays: int
    average_seconds: float | None
    median_seconds: float | None
    reached: int
    conversion_rate: float
    moved_on_rate: float


class StageAnalytics(_Shown):
    """The funnel: where time goes, and where leads stay behind."""

    total_leads: int
    stages: list[StageFigures]
    bottleneck: str | None
    slowest: str | None


class BulkMove(Body):
    """Leads to be put into a stage, named by themselves or by a conversation of theirs."""

    conversation_ids: list[wire_values.Name] = Field(default=[], max_length=MOST_AT_ONCE)
    lead_ids: list[uuid.UUID] = Field(default=[], max_length=MOST_AT_ONCE)
    new_stage: wire_values.Name
    reason: wire_values.Reason = "set by hand"

    @model_validator(mode="after")
    def _one_kind(self) -> "BulkMove":
        if bool(self.conversation_ids) == bool(self.lead_ids):
            raise ValueError("expected conversation_ids or lead_ids, and one of them only")
        return self


class BulkResult(BaseModel):
    """What became of one of them; `error` says why nothing did."""

    id: str
    ok: bool
    stage: str | None = None
    error: str | None = None


class BulkMoved(BaseModel):
    """What became of all of them."""

    new_stage: str
    updated: int
    failed: int
    results: list[BulkResult]


@router.get("/leads/by-stage/{stage}")
async def leads_by_stage(
    request: Request,
    response: Response,
    tenant: ReadsLeads,
    stage: InStage,
    pipeline: Pipeline = None,
    limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = MOST_AT_ONCE,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    cursor: Cursor = None,
) -> LeadsInStage:
    """List the leads in a stage, oldest first; while there are more, `Link` has the next page."""
    profile = funnel.pipeline(request.state["profiles"], tenant, pipeline)
    asked = ["by stage", profile.key, stage]
    behind = cursors.decode(cursor, asked, tuple[Moment, uuid.UUID])
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        page = await funnel.by_stage(
            session, tenant.id, profile, stage, limit=limit, offset=offset, behind=behind
        )
    if page.next is not None:
        response.headers["Link"] = cursors.link(request.url, cursors.encode(asked, page.next))
    return LeadsInStage.model_validate(page)


@router.get("/leads/stats")
async def lead_stats(request: Request, tenant: ReadsLeads, pipeline: Pipeline = None) -> LeadStats:
    """Count the leads in each stage."""
    profile = funnel.pipeline(request.state["profiles"], tenant, pipeline)
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        return LeadStats.model_validate(await funnel.stats(session, tenant.id, profile))


@router.get("/conversations/{conversation_id}/stage")
async def conversation_stage(
    request: Request, tenant: ReadsLeads, conversation_id: str
) -> ConversationStage:
    """Tell where the lead of a conversation stands, and what is known of it."""
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        found, lead = await funnel.conversation_of(session, tenant.id, conversation_id)
        data = await funnel.data_of(session, request.state["profiles"], tenant, lead)
    return ConversationStage(conversation_id=found.id, stage=lead.stage, lead_data=data)


@router.post("/conversations/{conversation_id}/update-stage")
async def update_stage(
    request: Request,
    tenant: WritesLeads,
    actor: Actor,
    conversation_id: str,
    new_stage: NewStage,
    reason: Reason = "set by hand",
) -> StageUpdated:
    """Put the lead of a conversation into a stage, where it stays."""
    async with request.state["db"].for_tenant(tenant.id).write() as session:
        found, lead = await funnel.conversation_of(session, tenant.id, conversation_id, lock=True)
        profile = profile_of(request.state["profiles"], tenant, lead)
        await _pin(session, lead, profile, new_stage, Cause(actor, reason, utc_now()))
        return StageUpdated(conversation_id=found.id, new_stage=lead.stage)


@router.post("/api/v1/conversations/{conversation_id}/release-stage")
async def release_stage(
    request: Request,
    tenant: WritesLeads,
    actor: Actor,
    conversation_id: str,
    reason: Reason = "let go by hand",
) -> ConversationStage:
    """Let the stage follow from what is known again, after it was set by hand."""
    profiles = request.state["profiles"]
    async with request.state["db"].for_tenant(tenant.id).write() as session:
        found, lead = await funnel.conversation_of(session, tenant.id, conversation_id, lock=True)
        profile, now = profile_of(profiles, tenant, lead), utc_now()
        await stages.unpin(session, lead, profile, actor=actor, reason=reason, now=now)
        await review.let_go(session, lead, profile, now=now)
        data = await funnel.data_of(session, profiles, tenant, lead)
        return ConversationStage(conversation_id=found.id, stage=lead.stage, lead_data=data)


@router.get("/api/v1/conversations/{conversation_id}/stage-history")
async def stage_history(request: Request, tenant: ReadsLeads, conversation_id: str) -> StageHistory:
    """Tell where the lead of a conversation stood, when, and who put it there."""
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        found, lead = await funnel.conversation_of(session, tenant.id, conversation_id)
        entries = await funnel.history(session, lead.id)
    return StageHistory(
        conversation_id=found.id,
        stage=lead.stage,
        stage_pin=lead.stage_pin,
        stage_updated_at=entries[-1].at,
        stage_history=[
            HistoryEntry(stage=one.stage, timestamp=one.at, actor=one.actor, reason=one.reason)
            for one in entries
        ],
    )


@router.get("/api/v1/leads/stage-analytics")
async def stage_analytics(
    request: Request, tenant: ReadsLeads, pipeline: Pipeline = None
) -> StageAnalytics:
    """Tell how long leads stay in each stage, and how many go on."""
    profile = funnel.pipeline(request.state["profiles"], tenant, pipeline)
    async with request.state["db"].for_tenant(tenant.id).read() as session:
        found = await funnel_analysis.analysis(session, tenant.id, profile)
    return StageAnalytics.model_validate(found)


@router.post("/api/v1/leads/bulk-stage")
async def bulk_stage(
    request: Request, tenant: WritesLeads, actor: Actor, wanted: BulkMove
) -> BulkMoved:
    """Put many leads into a stage, each for itself: what is wrong with one stops no other."""
    names = list(dict.fromkeys(wanted.conversation_ids or map(str, wanted.lead_ids)))
    results = [await _result(request.state, tenant, actor, wanted, name) for name in names]
    updated = sum(result.ok for result in results)
    return BulkMoved(
        new_stage=wanted.new_stage,
        updated=updated,
        failed=len(results) - updated,
        results=results,
    )


async def _result(
    state: Any, tenant: Tenant, actor: str, wanted: BulkMove, name: str
) -> BulkResult:
    try:
        stage = await despite_races(lambda: _moved(state, tenant, actor, wanted, name))
    except IvrError as exc:
        return BulkResult(id=name, ok=False, error=str(exc))
    return BulkResult(id=name, ok=True, stage=stage)


async def _moved(state: Any, tenant: Tenant, actor: str, wanted: BulkMove, name: str) -> str:
    """Move one lead in a transaction of its own; return the stage where it stands then."""
    async with state["db"].for_tenant(tenant.id).write() as session:
        lead = await _lead(session, tenant, wanted, name)
        profile = profile_of(state["profiles"], tenant, lead)
        cause = Cause(actor, wanted.reason, utc_now())
        await _pin(session, lead, profile, wanted.new_stage, cause)
        return lead.stage


async def _lead(session: AsyncSession, tenant: Tenant, wanted: BulkMove, name: str) -> Lead:
    if wanted.conversation_ids:
        _, lead = await funnel.conversation_of(session, tenant.id, name, lock=True)
        return lead
    found = await session.get(Lead, uuid.UUID(name))
    if found is None or found.tenant_id != tenant.id:
        raise NotFound(f"no lead {name}")
    return await stages.lock(session, found.id)


async def _pin(
    session: AsyncSession, lead: Lead, profile: Profile, stage: str, cause: Cause
) -> None:
    await stages.pin(
        session, lead, profile, stage, actor=cause.actor, reason=cause.reason, now=cause.now
    )
    await review.let_go(session, lead, profile, now=cause.now)
