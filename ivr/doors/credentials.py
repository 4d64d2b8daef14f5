"""Whose request it is: `X-API-Key`, or `Authorization: Bearer`, names the tenant.

Dependencies for FastAPI routes. A publishable key lies open in a web page, so it opens only the
doors that ask for `visitor`, and only from its own origin.
"""

import uuid
from contextlib import suppress
from typing import Annotated

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from ivr import api_keys
from ivr.db import Database
from ivr.db.tables import ApiKey, KeyKind, Tenant, utc_now
from ivr.errors import DatabaseDown, Forbidden, Unauthorized

_MISSING = "X-API-Key: expected a key of yours, or Authorization: Bearer with one"


async def _visitor(request: Request) -> Tenant:
    return await _tenant(request, publishable=True)


async def staff_of(request: Request) -> Tenant:
    """Return whose secret key a request carries, for a door that has other visitors as well."""
    return await _tenant(request, publishable=False)


def _is_public(request: Request) -> bool:
    return _given(request).startswith(api_keys.BEGINNINGS[KeyKind.PUBLISHABLE])


Staff = Annotated[Tenant, Depends(staff_of)]
Visitor = Annotated[Tenant, Depends(_visitor)]
IsPublic = Annotated[bool, Depends(_is_public)]  # it is in a web page for everybody to read


async def _tenant(request: Request, *, publishable: bool) -> Tenant:
    given = _given(request)
    db: Database = request.state["db"]
    async with db.read() as session:
        key = await _known(session, given)
        if key.kind == KeyKind.PUBLISHABLE:
            _check_origin(request, key, opens=publishable)
        tenant = await session.get_one(Tenant, key.tenant_id)
    if key.last_used_at is None or key.last_used_at < utc_now() - api_keys.NOTED:
        request.state["background"].start(_note_use(db, key.id))
    return tenant


async def _note_use(db: Database, key_id: uuid.UUID) -> None:
    with suppress(DatabaseDown):  # the next request notes it
        async with db.write() as session:
            await api_keys.note_use(session, key_id, now=utc_now())


def _given(request: Request) -> str:
    if key := request.headers.get("x-api-key"):
        return key
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized(_MISSING)
    return token.strip()


async def _known(session: AsyncSession, given: str) -> ApiKey:
    key = await api_keys.find(session, given)
    if key is None:
        raise Unauthorized("X-API-Key: no such key, or it was revoked")
    return key


def _check_origin(request: Request, key: ApiKey, *, opens: bool) -> None:
    if not opens:
        raise Forbidden("X-API-Key: a publishable key opens live chat and web form only")
    if key.origin not in _origins(request):
        raise Forbidden("Origin: this publishable key belongs to another site")


def _origins(request: Request) -> tuple[str | None, ...]:
    """Return where a request may come from: a browser names no origin when a page GETs its own."""
    if request.method != "GET" or "origin" in request.headers:
        return (request.headers.get("origin"),)
    host = request.headers.get("host", "")
    return (request.state["settings"].public_base_url, f"http://{host}", f"https://{host}")
