"""Clients over JSON (S2.43-S2.48): make, read, change, activate, pause.

The admin key opens all of them; a client's own key opens that client, and changes what is its own
to decide. Another client's id is answered as one that nobody has.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import AfterValidator, BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.responses import Response

from ivr import api_keys
from ivr.db.engine import storable
from ivr.db.tables import KeyKind, Tenant, TenantStatus, utc_now
from ivr.doors import cursor as pages
from ivr.doors import preconditions
from ivr.doors.credentials import (
    Actor,
    Admin,
    IsAdmin,
    ReadsNamedClient,
    WritesNamedClient,
)
from ivr.doors.key_first import KeyFirst
from ivr.doors.preconditions import IfMatch, IfNoneMatch
from ivr.doors.problems import problems_of
from ivr.errors import Forbidden
from ivr.leads.profile import tenant_profile
from ivr.sealing import Seal
from ivr.settings import Environment
from ivr.tenants import clients, config
from ivr.tenants.config import TenantConfig
from ivr.tenants.hours import BusinessHours
from ivr.web.body import Body

router = APIRouter(prefix="/api/v1/clients", tags=["clients"], route_class=KeyFirst)

NO_STORE = {"Cache-Control": "no-store"}  # an answer with a key in it
_LIST = "clients"
# Whoever pays for the calls decides about these.
_FOR_ADMIN = frozenset(
    {
        "slug",
        "status",
        "industry",
        "profile",
        "phone_numbers",
        "monthly_token_budget",
        "monthly_budget_cents",
        "config.target",
        "config.profile_toml",
        "config.transfer_number",
    }
)


def _no_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def _name(text: str) -> str:
    if not (name := storable(text).strip()):
        raise ValueError("expected a name")
    return name


_unset: Any = Field(default=None, json_schema_extra=_no_default)  # left out; null is no value
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_name)]
Word = Annotated[str, AfterValidator(storable), Field(min_length=1, max_length=100)]
Slug = Annotated[str, Field(max_length=63, description="a-z, 0-9 and single hyphens")]
Zone = Annotated[str, Field(max_length=100, description="such as Asia/Riyadh")]
Numbers = Annotated[
    list[Annotated[str, Field(max_length=20)]],
    Field(max_length=clients.MOST_NUMBERS, description="E.164; the first is written from"),
]
Budget = Annotated[int, Field(ge=0, le=10**15, description="per month; null: no limit")]


class NewClient(Body):
    """A client to be made; `industry` decides the profile unless that is given."""

    name: Name
    slug: Slug
    timezone: Zone
    industry: Word | None = None
    profile: Word | None = None
    business_hours: BusinessHours | None = None
    config: TenantConfig | None = None
    phone_numbers: Numbers = []
    monthly_token_budget: Budget | None = None
    monthly_budget_cents: Budget | None = None


class Change(Body):
    """What is to be otherwise; what is left out stays. `config` is merged, null removes."""

    name: Name = _unset
    slug: Slug = _unset
    timezone: Zone = _unset
    status: TenantStatus = _unset
    industry: Word | None = None
    profile: Word = _unset
    business_hours: BusinessHours | None = None
    config: TenantConfig = _unset
    phone_numbers: Numbers = _unset
    monthly_token_budget: Budget | None = None
    monthly_budget_cents: Budget | None = None


class Client(BaseModel):
    """A client; times are RFC 3339, budgets per month of its time zone, null without a limit."""

    id: uuid.UUID
    name: str
    slug: str
    industry: str | None
    timezone: str
    status: TenantStatus
    profile: str
    phone_numbers: list[str]
    business_hours: dict[str, Any]
    config: dict[str, Any]
    monthly_token_budget: int | None
    monthly_budget_cents: int | None = Field(description="US cents")
    created_at: datetime
    updated_at: datetime | None


class Created(Client):
    """A new client, and its key: shown this once."""

    api_key: str


class Listed(BaseModel):
    """Clients, oldest first."""

    items: list[Client]
    next_cursor: str | None


@router.post("", status_code=201, response_model=Created, responses=problems_of(409))
async def create(request: Request, body: NewClient, actor: Admin) -> Response:
    """Make a client and its first key; 409 when another has its slug or one of its numbers."""
    now = utc_now()
    draft = clients.Draft(**body.model_dump(exclude={"business_hours", "config", "phone_numbers"}))
    async with request.state["db"].write() as session:
        tenant = await clients.create(session, draft, by=actor, now=now)
        await _set_parts(request, session, tenant, body, now=now)
        _, key = api_keys.make(session, tenant.id, kind=KeyKind.SECRET, name="first key", now=now)
        shown = await _shown(session, tenant)
    answer = Created(**shown.model_dump(), api_key=key)
    # The tag is that of the client, for the key is never shown again.
    headers = {"Location": f"{router.prefix}/{tenant.id}", "ETag": preconditions.etag(shown)}
    return Response(
        answer.model_dump_json(), 201, {**NO_STORE, **headers}, media_type="application/json"
    )


@router.get("")
async def list_(
    request: Request, _: Admin, cursor: pages.Cursor = None, limit: pages.Limit = 50
) -> Listed:
    """List all clients."""
    behind = pages.decode(cursor, _LIST, tuple[pages.Moment, uuid.UUID])
    async with request.state["db"].read() as session:
        found = await clients.listed(session, after=behind, limit=limit + 1)
        page, following = pages.page(found, limit, _LIST, lambda row: (row.created_at, row.id))
        numbers = await clients.numbers_of(session, page)
    return Listed(items=[_client(row, numbers[row.id]) for row in page], next_cursor=following)


@router.get("/{client_id}", response_model=Client)
async def read(request: Request, client: ReadsNamedClient, seen: IfNoneMatch = None) -> Response:
    """Return a client."""
    async with request.state["db"].for_tenant(client.id).read() as session:
        return preconditions.answer(await _shown(session, client), if_none_match=seen)


@router.patch("/{client_id}", response_model=Client, responses=problems_of(409))
async def change(
    request: Request,
    body: Change,
    client: WritesNamedClient,
    is_admin: IsAdmin,
    actor: Actor,
    if_match: IfMatch = None,
) -> Response:
    """Change a client; 403 names what only the admin key may change."""
    if not is_admin:
        _demand_own(body)
    now, db = utc_now(), request.state["db"]
    # Whether a slug or a number is free is a question about all clients.
    async with (db if is_admin else db.for_tenant(client.id)).write() as session:
        tenant = await clients.locked(session, client.id)
        preconditions.demand(if_match, preconditions.etag(await _shown(session, tenant)))
        await clients.change(session, tenant, _columns(body))
        await _set_parts(request, session, tenant, body, now=now)
        if names := _names(body):
            clients.note_change(tenant, names, by=actor, now=now)
        return preconditions.answer(await _shown(session, tenant))


@router.post("/{client_id}/activate", response_model=Client)
async def activate(request: Request, client: WritesNamedClient, actor: Admin) -> Response:
    """Let the assistant speak and write again."""
    return await _put(request, client, TenantStatus.ACTIVE, actor)


@router.post("/{client_id}/pause", response_model=Client)
async def pause(request: Request, client: WritesNamedClient, actor: Admin) -> Response:
    """Have the assistant say nothing; who calls or writes becomes a lead all the same."""
    return await _put(request, client, TenantStatus.PAUSED, actor)


async def _put(request: Request, client: Tenant, status: TenantStatus, actor: str) -> Response:
    async with request.state["db"].for_tenant(client.id).write() as session:
        tenant = await clients.locked(session, client.id)
        clients.put(tenant, status, by=actor, now=utc_now())
        return preconditions.answer(await _shown(session, tenant))


def _demand_own(body: Change) -> None:
    """Raise `Forbidden` naming what is not the client's own to decide."""
    if foreign := sorted(_names(body) & _FOR_ADMIN):
        raise Forbidden(f"{', '.join(foreign)}: only the admin key may change this")


def _names(body: Change) -> set[str]:
    """Return what is given by its names: slug, config.tone."""
    names = set(body.model_fields_set)
    if "config" in names:
        names.remove("config")
        names |= {f"config.{name}" for name in body.config.model_fields_set}
    return names


def _columns(body: Change) -> Mapping[str, Any]:
    """Return what is given as the row keeps it; what has a table or a form of its own is apart."""
    apart = {"business_hours", "config", "phone_numbers"}
    return body.model_dump(exclude_unset=True, exclude=apart)


async def _set_parts(
    request: Request,
    session: AsyncSession,
    tenant: Tenant,
    body: NewClient | Change,
    *,
    now: datetime,
) -> None:
    """Set what is more than a column, and see whether it all goes together."""
    given = body.model_fields_set
    if "business_hours" in given:
        tenant.business_hours = {} if body.business_hours is None else body.business_hours.dump()
    if "config" in given and body.config is not None:
        is_production = request.state["settings"].environment is Environment.PRODUCTION
        seal = Seal(request.state["secret_key"])
        config.change(tenant, body.config, seal, only_public=is_production)
    if "phone_numbers" in given:
        await clients.set_numbers(session, tenant, body.phone_numbers, now=now)
    tenant_profile.check(request.state["profiles"], tenant)


async def _shown(session: AsyncSession, tenant: Tenant) -> Client:
    return _client(tenant, (await clients.numbers_of(session, [tenant]))[tenant.id])


def _client(tenant: Tenant, numbers: list[str]) -> Client:
    return Client(
        **tenant.model_dump(exclude={"config", "secrets", "phone_number"}),
        phone_numbers=numbers,
        config=config.shown(tenant),
    )
