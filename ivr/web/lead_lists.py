"""Lists of leads over JSON: filtered, searched, sorted, a page at a time; and the hot ones."""

import uuid
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from ivr.db import Database
from ivr.db.tables import Channel, Lifecycle, Tenant
from ivr.doors import cursor as cursors
from ivr.doors.credentials import ReadsLeads, ReadsNamedLeads
from ivr.doors.cursor import Cursor, Limit, Moment, Number
from ivr.doors.problems import problems_of
from ivr.doors.wire_values import Short, Sound
from ivr.leads.attention.changes import STATUSES
from ivr.leads.progress import listing
from ivr.leads.progress.listing import Sort, Wanted
from ivr.web.body import Body
from ivr.web.lead_shapes import LeadBrief, ScoreLabel, briefs

router = APIRouter(prefix="/api/v1/leads", tags=["leads"])

Sought = Annotated[str, Field(min_length=1, max_length=200), Sound]
Points = Annotated[int, Field(ge=0, le=100)]


def _status(word: str) -> str:
    if (known := word.lower()) not in STATUSES:
        raise ValueError(f"expected one of {', '.join(STATUSES)}")
    return known


Status = Annotated[str, AfterValidator(_status), Field(json_schema_extra={"enum": [*STATUSES]})]
AnyCase = BeforeValidator(lambda text: text.upper() if isinstance(text, str) else text)

_KEYS: dict[str | None, Any] = {
    None: tuple[None, Moment, uuid.UUID],
    "last_inbound_at": tuple[Moment | None, Moment, uuid.UUID],
    "score": tuple[Number | None, Moment, uuid.UUID],
}


class Filters(Body):
    """What `GET /leads` may be asked; all that is given must hold. Another name is an error."""

    stage: Short | None = None
    lifecycle: Annotated[Lifecycle, AnyCase] | None = Field(
        None, description="without it all but MERGED"
    )
    status: Status | None = None
    score_label: Annotated[ScoreLabel, AnyCase] | None = None
    min_score: Points | None = None
    max_score: Points | None = None
    profile: Short | None = None
    source: Short | None = None
    channel: Channel | None = Field(None, description="of one of its conversations")
    owner: Short | None = None
    created_after: Moment | None = Field(None, description="then or later")
    created_before: Moment | None = None
    open: bool | None = None
    q: Sought | None = Field(
        None,
        description="the beginnings of words of the name; the beginning of the e-mail address, "
        "with its @; the last four or more digits of the number; the id of the lead, or of one "
        "of its conversations",
    )
    sort: Sort = Sort.NEWEST
    limit: int = Field(50, ge=1, le=cursors.MOST_AT_ONCE)
    cursor: str | None = Field(None, max_length=1000)

    def wanted(self) -> Wanted:
        """Return what is asked for, as the lists know it."""
        given = self.model_dump(exclude={"score_label", "open", "limit", "cursor"})
        category = self.score_label and self.score_label.lower()
        return Wanted(**given, category=category, is_open=self.open)


class HotSort(StrEnum):
    """The order of the hot leads."""

    NEWEST = "-created_at"
    BEST = "-score"


class HotFilters(Body):
    """In which order the hot ones come, and which page."""

    sort: HotSort = HotSort.NEWEST
    limit: Limit = 50
    cursor: Cursor = None


class Leads(BaseModel):
    """A page. It may be shorter than was asked for: there are more while `next_cursor` is set."""

    items: list[LeadBrief]
    next_cursor: str | None


@router.get("", responses=problems_of(400))
async def list_(
    request: Request, tenant: ReadsLeads, filters: Annotated[Filters, Query()]
) -> Leads:
    """List your leads, the newest first: filtered by any of these at once, searched with `q`."""
    return await _page(request, tenant, filters.wanted(), filters.limit, filters.cursor)


@router.get("/client/{client_id}/hot", responses=problems_of(400, 404))
async def hot(
    request: Request,
    tenant: ReadsNamedLeads,
    filters: Annotated[HotFilters, Query()],
) -> Leads:
    """List a client's hot leads that are still open, the newest first, or the best."""
    wanted = Wanted(category=listing.HOT, is_open=True, sort=Sort(filters.sort))
    return await _page(request, tenant, wanted, filters.limit, filters.cursor)


async def _page(
    request: Request, tenant: Tenant, wanted: Wanted, limit: int, cursor: str | None
) -> Leads:
    asked = asdict(wanted)
    after = cursors.decode(cursor, asked, _KEYS[wanted.sorted_by])
    db: Database = request.state["db"].for_tenant(tenant.id)
    async with db.read() as session:
        found = await listing.find(session, tenant.id, wanted, limit=limit, after=after)
        # PostgreSQL plans for half of all contacts when asked for none of them.
        items = await briefs(session, found.leads) if found.leads else []
    return Leads(items=items, next_cursor=found.next and cursors.encode(asked, found.next))
