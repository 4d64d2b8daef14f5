"""Every JSON route asks for a key (S2.68, X.2): the same ones, in the same words."""

import re
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from ivr.app import create_app
from ivr.settings import Settings
from tools.emulators.serving import serve

OPEN = {"/health", "/health/live", "/health/ready"}
MISTYPED = "ivr_sk_8cFw2kQa_" + "0aZ9" * 10 + "b1c_000000"


@pytest.fixture
async def client(sqlite_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, before the whole application."""
    settings = Settings(
        _env_file=None,
        database_url=sqlite_url,
        secret_key="a-secret-key-of-more-than-32-characters",
        max_loop_lag_ms=60_000,
        rate_limit_failures_per_minute=0,
    )
    async with serve(create_app(settings)) as port:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as client:
            yield client


async def test_no_route_opens_without_a_key(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    routes = [
        (method, re.sub(r"\{[^}]*\}", str(uuid.UUID(int=1)), path))
        for path, methods in paths.items()
        for method in methods
        if path not in OPEN
    ]
    assert len(routes) > 25
    for method, path in routes:
        for headers in ({}, {"X-API-Key": MISTYPED}, {"Authorization": f"Bearer {MISTYPED}"}):
            body = None if method == "get" else {}
            answer = await client.request(method, path, headers=headers, json=body)
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"
