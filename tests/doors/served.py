"""The whole application on a port, with a tenant's keys, for what stands before every route."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from ivr.app import create_app
from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.doors.request_head import BoundedHead
from ivr.settings import Settings
from tests.channels.world import SITE, keys_of_default
from tools.emulators.serving import serve

PUBLIC = "https://ivr.example.com"
TOKEN = "0123456789abcdef0123456789abcdef"
MISTYPED = "ivr_sk_8cFw2kQa_" + "0aZ9" * 10 + "b1c_000000"


@dataclass(frozen=True, slots=True)
class Served:
    """What a test can touch; `client` sends no key by itself."""

    settings: Settings
    db: Database
    port: int
    client: httpx.AsyncClient
    secret: str
    public: str

    async def ask(
        self, method: str, path: str, *, key: str | None = None, at: str | None = None, **more: Any
    ) -> httpx.Response:
        """Ask with a key, as if from the address `at`."""
        headers = dict(more.pop("headers", {}))
        if key is not None:
            headers["X-API-Key"] = key
        if key == self.public:
            headers["Origin"] = SITE
        if at is not None:
            headers["X-Forwarded-For"] = at
        return await self.client.request(method, path, headers=headers, **more)


@asynccontextmanager
async def served(database_url: str, **changes: Any) -> AsyncIterator[Served]:
    """Serve it as `ivr serve` does: the peer is the socket's, the head of a request has an end."""
    given = {
        "database_url": database_url,
        "secret_key": "a-secret-key-of-more-than-32-characters",
        "public_base_url": PUBLIC,
        "twilio_auth_token": TOKEN,
        "max_loop_lag_ms": 60_000,
    }
    settings = Settings(_env_file=None, **{**given, **changes})
    db = Database(settings.database_url, hash_key=hash_key(settings))
    try:
        secret, public = await keys_of_default(db, settings)
        app = create_app(settings)
        async with (
            serve(app, proxy_headers=False, server_header=False, http=BoundedHead) as port,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
            ) as client,
        ):
            yield Served(settings, db, port, client, secret, public)
    finally:
        await db.close()
