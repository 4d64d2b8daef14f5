"""The clients of an installation over HTTP: the admin key, and clients with keys of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from ivr import api_keys, tenants
from ivr.db import Database
from ivr.db.tables import KeyKind, Tenant, utc_now
from ivr.web import client_keys, clients
from tests.leads.cast import settings_for
from tests.web.house import interface

CLIENTS = "/api/v1/clients"
# The body of S2's quick start, as it stands there.
TEST_REALTY: dict[str, Any] = {
    "name": "Test Realty",
    "slug": "test-realty",
    "industry": "real_estate",
    "timezone": "Asia/Riyadh",
    "business_hours": {
        "monday": {"start": "09:00", "end": "18:00"},
        "tuesday": {"start": "09:00", "end": "18:00"},
        "wednesday": {"start": "09:00", "end": "18:00"},
        "thursday": {"start": "09:00", "end": "18:00"},
        "friday": {"start": "09:00", "end": "13:00"},
    },
}


@dataclass(frozen=True, slots=True)
class Office:
    """What a test of clients can touch; without `key` the admin asks."""

    db: Database
    default: Tenant
    admin_key: str
    client: httpx.AsyncClient

    async def ask(
        self, method: str, path: str, *, key: str | None = None, status: int = 200, **request: Any
    ) -> httpx.Response:
        """Send a request, and see that it is answered so."""
        headers = {"X-API-Key": self.admin_key if key is None else key}
        headers |= request.pop("headers", {})
        answer = await self.client.request(method, path, headers=headers, **request)
        assert answer.status_code == status, answer.text
        return answer

    async def get(self, path: str, **request: Any) -> Any:
        return (await self.ask("GET", path, **request)).json()

    async def post(self, path: str, **request: Any) -> Any:
        return (await self.ask("POST", path, **request)).json()

    async def patch(self, client_id: str, change: Any, **request: Any) -> Any:
        return (await self.ask("PATCH", f"{CLIENTS}/{client_id}", json=change, **request)).json()

    async def make(self, **changes: Any) -> Any:
        """Make Test Realty, but for `changes`."""
        return await self.post(CLIENTS, json={**TEST_REALTY, **changes}, status=201)

    async def key(self, client: Any, *scopes: str, **body: Any) -> str:
        """Another key of a client."""
        asked = {"name": "test", "scopes": list(scopes) or None, **body}
        path = f"{CLIENTS}/{client['id']}/keys"
        return str((await self.post(path, json=asked, status=201))["api_key"])


@asynccontextmanager
async def office(db: Database) -> AsyncIterator[Office]:
    """Open an installation with its first client and an admin key."""
    now = utc_now()
    default = await tenants.ensure_default(db, settings_for(db.url), now=now)
    async with db.write() as session:
        _, key = api_keys.make(session, default.id, kind=KeyKind.ADMIN, name="admin", now=now)
    async with interface(db, default, clients.router, client_keys.router) as house:
        yield Office(db, default, key, house.client)
