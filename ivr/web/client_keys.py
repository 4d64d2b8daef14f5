"""The keys of a client over JSON: make another, see which there are, revoke one, replace all.

No key makes one that opens more, or for longer, than itself. It is judged with the client locked,
because a rotation may have ended it since the request came.
"""

import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import structlog
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from ivr import api_keys
from ivr.api_keys import Scope
from ivr.db.tables import ApiKey, KeyKind, utc_now
from ivr.doors import cursor as pages
from ivr.doors.credentials import (
    Holder,
    IsAdmin,
    ReadsNamedClient,
    TheHolder,
    WritesNamedClient,
    once_more,
)
from ivr.doors.key_first import KeyFirst
from ivr.errors import Forbidden, NotFound
from ivr.tenants import clients
from ivr.web.body import Body
from ivr.web.clients import NO_STORE, Name

router = APIRouter(prefix="/api/v1/clients/{client_id}", tags=["clients"], route_class=KeyFirst)

log = structlog.get_logger(__name__)

_LIST = "keys"
_MOST_GRACE = 30 * 24 * 3600  # seconds
_OF_CLIENTS = (KeyKind.SECRET, KeyKind.PUBLISHABLE)

Grace = Annotated[
    int, Field(ge=0, le=_MOST_GRACE, description="how long the old keys go on; 0: not at all")
]


class NewKey(Body):
    """A key to be made; without `scopes` a secret one opens all that is the client's."""

    name: Name
    kind: Literal["secret", "publishable"] = "secret"
    origin: Annotated[str, Field(max_length=255)] | None = Field(
        None, description="with a publishable key: the page's origin, such as https://shop.example"
    )
    scopes: Annotated[set[Scope], Field(min_length=1)] | None = None
    expires_at: pages.Moment | None = None


class Key(BaseModel):
    """A key, of which only its beginning is known."""

    id: uuid.UUID
    name: str
    kind: KeyKind
    hint: str
    origin: str | None
    scopes: list[str] | None = Field(description="null: all")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="to the hour")
    revoked_at: datetime | None


class MadeKey(Key):
    """A new key, shown this once."""

    api_key: str


class Rotation(Body):
    """How the keys are to be replaced."""

    grace_seconds: Grace = int(api_keys.GRACE.total_seconds())


class Rotated(BaseModel):
    """The new key, shown this once, and when the ones before it end."""

    id: uuid.UUID
    api_key: str
    key_id: uuid.UUID
    old_keys_end_at: datetime


class Listed(BaseModel):
    """Keys, oldest first."""

    items: list[Key]
    next_cursor: str | None


def _demand_all(holder: TheHolder) -> None:
    """Raise `Forbidden` when a key would make one that opens more, or for longer, than itself."""
    if not holder.is_admin and (
        holder.key.expires_at is not None or not api_keys.is_unlimited(holder.key)
    ):
        raise Forbidden("X-API-Key: expected a key with all scopes that does not expire")


@router.get("/keys")
async def list_keys(
    request: Request,
    client: ReadsNamedClient,
    is_admin: IsAdmin,
    cursor: pages.Cursor = None,
    limit: pages.Limit = 50,
) -> Listed:
    """List the keys of a client, also those that open nothing any more."""
    behind = pages.decode(cursor, _LIST, tuple[pages.Moment, uuid.UUID])
    kinds = tuple(KeyKind) if is_admin else _OF_CLIENTS
    async with request.state["db"].for_tenant(client.id).read() as session:
        found = await api_keys.page(session, client.id, kinds=kinds, after=behind, limit=limit + 1)
    page, following = pages.page(found, limit, _LIST, lambda row: (row.created_at, row.id))
    return Listed(items=[Key(**_document(row)) for row in page], next_cursor=following)


@router.post("/keys", status_code=201, response_model=MadeKey)
async def make_key(
    request: Request, body: NewKey, client: WritesNamedClient, holder: TheHolder
) -> Response:
    """Make a key and show it, this once."""
    async with request.state["db"].for_tenant(client.id).write() as session:
        await clients.locked(session, client.id)
        _demand_no_more(await once_more(session, holder), body)
        now = utc_now()
        row, key = api_keys.make(
            session,
            client.id,
            kind=KeyKind(body.kind),
            name=body.name,
            now=now,
            origin=None if body.origin is None else api_keys.checked_origin(body.origin),
            scopes=body.scopes,
            expires_at=body.expires_at,
        )
    log.info("key made", client=str(client.id), hint=row.hint, by=holder.actor)
    made = MadeKey(**_document(row), api_key=key)
    return Response(made.model_dump_json(), 201, headers=NO_STORE, media_type="application/json")


@router.delete("/keys/{key_id}", status_code=204)
async def revoke_key(
    request: Request, client: WritesNamedClient, key_id: uuid.UUID, holder: TheHolder
) -> None:
    """Have a key open nothing any more; once more does nothing."""
    now = utc_now()
    async with request.state["db"].for_tenant(client.id).write() as session:
        row = await session.get(ApiKey, key_id)
        is_theirs = row is not None and row.tenant_id == client.id
        if row is None or not is_theirs or (row.kind == KeyKind.ADMIN and not holder.is_admin):
            raise NotFound("no such key")
        row.revoked_at = row.revoked_at or now
    log.info("key revoked", client=str(client.id), hint=row.hint, by=holder.actor)


@router.post("/rotate-api-key", response_model=Rotated, dependencies=[Depends(_demand_all)])
async def rotate_api_key(
    request: Request, client: WritesNamedClient, holder: TheHolder, body: Rotation | None = None
) -> Response:
    """Give a client another key; all its secret keys end when the grace is over."""
    grace = timedelta(seconds=(body or Rotation()).grace_seconds)
    async with request.state["db"].for_tenant(client.id).write() as session:
        tenant = await clients.locked(session, client.id)
        _demand_all(await once_more(session, holder))
        now = utc_now()
        row, key = await api_keys.rotate(
            session, tenant.id, kind=KeyKind.SECRET, name="rotated", now=now, grace=grace
        )
        clients.note_change(tenant, ["api_key"], by=holder.actor, now=now)
    answer = Rotated(id=tenant.id, api_key=key, key_id=row.id, old_keys_end_at=now + grace)
    return Response(answer.model_dump_json(), headers=NO_STORE, media_type="application/json")


def _demand_no_more(holder: Holder, wanted: NewKey) -> None:
    """Raise `Forbidden` when a key would make one that opens more, or for longer, than itself."""
    if holder.is_admin:
        return
    asked = {Scope.INTAKE} if wanted.kind == "publishable" else wanted.scopes or set(Scope)
    if missing := sorted(scope for scope in asked if not api_keys.opens(holder.key, scope)):
        raise Forbidden(f"scopes: the key that makes it has not {', '.join(missing)}")
    end = holder.key.expires_at
    if end is not None and (wanted.expires_at is None or wanted.expires_at > end):
        raise Forbidden("expires_at: expected no later than the key that makes it")


def _document(row: ApiKey) -> dict[str, Any]:
    return {**row.model_dump(exclude={"sha256", "tenant_id"}), "scopes": row.scopes.get("only")}
