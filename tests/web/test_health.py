"""Health: the owner's exact words, for machines that restart us and machines that send us calls."""

import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from ivr.admission import Admission, Limits
from ivr.db import Database
from ivr.live_calls import LiveCalls
from ivr.web import health
from ivr.web.api import create_api

HEALTHY = {"status": "healthy", "database": "connected"}
UNHEALTHY = {"status": "unhealthy", "database": "disconnected"}
NO_CALLS = {
    "voice": "none",
    "live_calls": 0,
    "admission": {"refuses": None, "admitted": 0, "refused": {}},
}


class Server:
    """The doors of health alone, over a database that may not be there."""

    def __init__(self, db: Database) -> None:
        self.live = LiveCalls(Admission(Limits(1, 100, 1), 0.0))
        self._state = {"db": db, "live": self.live, "voice": None}
        self._api = create_api([health.router])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = self._state
        await self._api(scope, receive, send)

    async def ask(self, path: str, method: str = "GET") -> httpx.Response:
        transport = httpx.ASGITransport(self)
        async with httpx.AsyncClient(transport=transport, base_url="http://ivr.example") as http:
            return await http.request(method, path)


@pytest.fixture
def here(db: Database) -> Server:
    """A server whose database answers."""
    return Server(db)


@pytest.fixture
async def away() -> AsyncIterator[Server]:
    """A server whose database has gone away."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    db = Database(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/gone")
    yield Server(db)
    await db.close()


@pytest.fixture
async def silent() -> AsyncIterator[Server]:
    """A server whose database takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        db = Database(f"postgresql+asyncpg://nobody@127.0.0.1:{port}/mute")
        yield Server(db)
        await db.close()


async def test_health_is_in_the_owner_s_words(here: Server) -> None:
    answer = await here.ask("/health")
    assert (answer.status_code, answer.json()) == (200, HEALTHY)
    assert answer.text == '{"status":"healthy","database":"connected"}'
    assert answer.headers["cache-control"] == "no-store"


async def test_without_the_database_it_is_unhealthy_and_not_ready_but_alive(away: Server) -> None:
    answer = await away.ask("/health")
    assert (answer.status_code, answer.json()) == (503, UNHEALTHY)
    answer = await away.ask("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not_ready", "database": "disconnected", **NO_CALLS}
    answer = await away.ask("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_a_database_that_says_nothing_is_not_waited_for(
    silent: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "MOST_SECONDS", 0.05)
    answer = await silent.ask("/health")
    assert (answer.status_code, answer.json()) == (503, UNHEALTHY)


async def test_ready_tells_of_calls_and_of_the_database(here: Server) -> None:
    answer = await here.ask("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ready", "database": "connected", **NO_CALLS}


async def test_who_turns_callers_away_is_ready_and_says_why(here: Server) -> None:
    here.live.offer("CA1")
    here.live.offer("CA2")
    answer = await here.ask("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["admission"] == {"refuses": "cap", "admitted": 1, "refused": {"cap": 1}}


async def test_who_leaves_is_not_ready_and_healthy(here: Server) -> None:
    here.live.drain()
    answer = await here.ask("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert answer.json()["database"] == "connected"
    assert (await here.ask("/health")).status_code == 200


@pytest.mark.parametrize("path", ["/health", "/health/ready", "/health/live"])
async def test_monitors_may_ask_for_the_head_only(here: Server, path: str) -> None:
    assert (await here.ask(path, "HEAD")).status_code == 200
    assert (await here.ask(path, "POST")).status_code == 405
