"""Whose request it is, and what its key opens: `X-API-Key`, or `Authorization: Bearer`.

Dependencies for FastAPI routes. A secret key opens what is its tenant's, within its scopes. A
publishable key lies open in a web page, so it opens only the doors that ask for `Visitor`, and only
from its own origin. An admin key opens what concerns clients, all of them, and no one's leads.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.datastructures import Headers
from starlette.types import Scope as AsgiScope

from ivr import api_keys
from ivr.api_keys import Scope
from ivr.db import Database
from ivr.db.tables import ApiKey, KeyKind, Tenant, utc_now
from ivr.errors import DatabaseDown, Forbidden, NotFound, Unauthorized

_MISSING = "X-API-Key: expected a key of yours, or Authorization: Bearer with one"
_UNKNOWN = "X-API-Key: no such key, or it was revoked or has expired"
_WAS_RIGHT = "key_was_right"
_JUDGED = "ivr.holder"
FRESH_SECONDS = 1.0  # a key may end while a body comes in that takes longer
_NO_CLIENT = "no such client"  # the same words whether there is one or not


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has sent a request: a key that is good, and whose it is."""

    key: ApiKey
    tenant: Tenant

    @property
    def is_admin(self) -> bool:
        """Whether it looks after all clients."""
        return self.key.kind == KeyKind.ADMIN

    @property
    def actor(self) -> str:
        """Who did it, for what is written down: never the key itself."""
        return f"api:{self.key.hint}"

    def demand(self, scope: Scope) -> None:
        """Raise `Forbidden` unless it is a secret key with this scope."""
        if self.is_admin:
            raise Forbidden("X-API-Key: an admin key opens clients only, expected a client's key")
        if not api_keys.opens(self.key, scope):
            raise Forbidden(f"X-API-Key: this key has not the scope {scope}")


async def holder_of(request: Request) -> Holder:
    """Return who holds the secret or admin key of a request; raise `Unauthorized` without one."""
    holder = await _holder(request)
    if holder.key.kind == KeyKind.PUBLISHABLE:
        raise Forbidden("X-API-Key: a publishable key opens live chat and web form only")
    return holder


async def intake_of(request: Request) -> Tenant:
    """Return whose key a request carries, for a door that lets in others without one as well."""
    holder = await holder_of(request)
    holder.demand(Scope.INTAKE)
    return holder.tenant


def demand_own(tenant: Tenant, client_id: uuid.UUID) -> None:
    """Raise `NotFound` when a path names another client than the one whose key it is."""
    if tenant.id != client_id:
        raise NotFound(_NO_CLIENT)


async def _visitor(request: Request) -> Tenant:
    holder = await _holder(request)
    if holder.key.kind == KeyKind.PUBLISHABLE:
        _demand_origin(request, holder.key)
    else:
        holder.demand(Scope.INTAKE)
    return holder.tenant


TheHolder = Annotated[Holder, Depends(holder_of)]


def _own(scope: Scope) -> Callable[[Holder], Awaitable[Tenant]]:
    async def whose(holder: TheHolder) -> Tenant:
        holder.demand(scope)
        return holder.tenant

    return whose


def _named(scope: Scope) -> Callable[[Request, Holder, uuid.UUID], Awaitable[Tenant]]:
    async def which(request: Request, holder: TheHolder, client_id: uuid.UUID) -> Tenant:
        if holder.is_admin:
            return await _client(request.state["db"], client_id)
        holder.demand(scope)
        demand_own(holder.tenant, client_id)
        return holder.tenant

    return which


async def _client(db: Database, client_id: uuid.UUID) -> Tenant:
    async with db.read() as session:
        found = await session.get(Tenant, client_id)
    if found is None:
        raise NotFound(_NO_CLIENT)
    return found


def _actor(holder: TheHolder) -> str:
    return holder.actor


def _admin(holder: TheHolder) -> str:
    if not holder.is_admin:
        raise Forbidden("X-API-Key: expected the admin key, `ivr tenants bootstrap` makes it")
    return holder.actor


def _is_admin(holder: TheHolder) -> bool:
    return holder.is_admin


def _is_public(request: Request) -> bool:
    return _given(request).startswith(api_keys.BEGINNINGS[KeyKind.PUBLISHABLE])


# What a route asks of the key it is opened with; each yields the tenant whose key it is.
ReadsLeads = Annotated[Tenant, Depends(_own(Scope.LEADS_READ))]
WritesLeads = Annotated[Tenant, Depends(_own(Scope.LEADS_WRITE))]
ReadsConversations = Annotated[Tenant, Depends(_own(Scope.CONVERSATIONS_READ))]
WritesConversations = Annotated[Tenant, Depends(_own(Scope.CONVERSATIONS_WRITE))]
TakesIn = Annotated[Tenant, Depends(_own(Scope.INTAKE))]
Visitor = Annotated[Tenant, Depends(_visitor)]
# For paths with `{client_id}`: the client of that id, to its own key and to the admin key.
ReadsNamedClient = Annotated[Tenant, Depends(_named(Scope.CLIENT_READ))]
WritesNamedClient = Annotated[Tenant, Depends(_named(Scope.CLIENT_WRITE))]
ReadsNamedLeads = Annotated[Tenant, Depends(_named(Scope.LEADS_READ))]
ReadsNamedConversations = Annotated[Tenant, Depends(_named(Scope.CONVERSATIONS_READ))]
Admin = Annotated[str, Depends(_admin)]  # opens with an admin key only, and says which
Actor = Annotated[str, Depends(_actor)]  # who does it
IsAdmin = Annotated[bool, Depends(_is_admin)]
IsPublic = Annotated[bool, Depends(_is_public)]  # it is in a web page for everybody to read


async def look(request: Request) -> None:
    """Raise `Unauthorized` unless a request carries a good key."""
    await _holder(request)


async def once_more(session: AsyncSession, holder: Holder) -> Holder:
    """Return who holds a key as it is by now; raise `Unauthorized` if it has ended meanwhile.

    With the client `locked` no rotation is under way. None ends an admin key, which may be of a
    client that this session does not see.
    """
    if holder.is_admin:
        return holder
    key = await session.get(ApiKey, holder.key.id)
    if key is None or not api_keys.is_good(key, now=utc_now()):
        raise Unauthorized(_UNKNOWN)
    return Holder(key, holder.tenant)


async def _holder(request: Request) -> Holder:
    """Return who holds the key of a request, judged once unless its body was long in coming."""
    clock = asyncio.get_running_loop().time
    judged: tuple[Holder, float] | None = request.scope.get(_JUDGED)
    if judged is None or clock() - judged[1] >= FRESH_SECONDS:
        judged = request.scope[_JUDGED] = await _judge(request), clock()
    return judged[0]


async def _judge(request: Request) -> Holder:
    key_given, now = _given(request), utc_now()
    if not api_keys.is_well_formed(key_given):
        raise Unauthorized(_UNKNOWN)
    db: Database = request.state["db"]
    async with db.read() as session:
        key = await api_keys.find(session, key_given, now=now)
        if key is None or not api_keys.is_good(key, now=utc_now()):  # it may have ended meanwhile
            raise Unauthorized(_UNKNOWN)
        tenant = await session.get_one(Tenant, key.tenant_id)
    request.scope["state"][_WAS_RIGHT] = True
    if key.last_used_at is None or key.last_used_at < now - api_keys.NOTED:
        request.state["background"].start(_note_use(db, key.id))
    return Holder(key, tenant)


async def _note_use(db: Database, key_id: uuid.UUID) -> None:
    with suppress(DatabaseDown):  # the next request notes it
        async with db.write() as session:
            await api_keys.note_use(session, key_id, now=utc_now())


def given(headers: Headers) -> str | None:
    """Return the key that a request carries, right or wrong."""
    if key := headers.get("x-api-key"):
        return key
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def was_right(scope: AsgiScope) -> bool:
    """Return whether a request that was answered carried a key that is somebody's."""
    return _WAS_RIGHT in scope.get("state", {})


def _given(request: Request) -> str:
    if (key := given(request.headers)) is None:
        raise Unauthorized(_MISSING)
    return key


def _demand_origin(request: Request, key: ApiKey) -> None:
    if key.origin not in _origins(request):
        raise Forbidden("Origin: this publishable key belongs to another site")


def _origins(request: Request) -> tuple[str | None, ...]:
    """Return where a request may come from: a browser names no origin when a page GETs its own."""
    if request.method != "GET" or "origin" in request.headers:
        return (request.headers.get("origin"),)
    host = request.headers.get("host", "")
    return (request.state["settings"].public_base_url, f"http://{host}", f"https://{host}")
