"""The JSON interface alone, with a database behind it: nothing of the voice is started."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import APIRouter
from starlette.types import Receive, Scope, Send

from ivr import api_keys
from ivr.db import Database
from ivr.db.tables import KeyKind, Tenant
from ivr.leads.attention import tasks
from ivr.leads.profile import load_profile
from ivr.messages.outbox import Outbox
from ivr.runtime import Background
from ivr.settings import Settings
from ivr.web import funnel
from ivr.web.api import create_api
from tests.leads.cast import NOW

SECRET_KEY = b"a-secret-key-of-more-than-32-characters"


@dataclass(frozen=True, slots=True)
class Interface:
    """What a test of the interface can touch; `client` sends the tenant's key."""

    db: Database
    tenant: Tenant
    key: str
    client: httpx.AsyncClient

    async def get(self, path: str, *, status: int = 200, **query: Any) -> Any:
        answer = await self.client.get(path, params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def post(self, path: str, *, status: int = 200, json: Any = None, **query: Any) -> Any:
        answer = await self.client.post(path, params=query, json=json)
        assert answer.status_code == status, answer.text
        return answer.json()


async def key_of(db: Database, tenant: Tenant) -> str:
    """A new secret key of a tenant."""
    async with db.write() as session:
        _, key = api_keys.make(session, tenant.id, kind=KeyKind.SECRET, name="test", now=NOW)
    return key


@asynccontextmanager
async def interface(db: Database, tenant: Tenant, *routers: APIRouter) -> AsyncIterator[Interface]:
    """Open the interface for one tenant, with the routes of stages and these."""
    api, key = create_api([funnel.router, *routers]), await key_of(db, tenant)

    background = Background()
    settings = Settings(_env_file=None, database_url=db.url)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {
            "db": db,
            "profiles": load_profile,
            "background": background,
            "outbox": Outbox(db, None, on_undeliverable=tasks.write_back),
            "settings": settings,
            "secret_key": SECRET_KEY,
        }
        await api(scope, receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://ivr.example.test",
        headers={"X-API-Key": key},
    ) as client:
        yield Interface(db, tenant, key, client)
    await background.close()
