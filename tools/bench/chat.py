"""How many written messages a second one process answers through `/chat`, by the rules.

On SQLite, with no model: each message is received, understood and answered before the next one of
its conversation is sent. The road that finishes conversations is not part of it.
"""

import asyncio
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import httpx

from ivr import api_keys, tenants
from ivr.db import Database
from ivr.db.secret_key import hash_key
from ivr.db.tables import KeyKind, utc_now
from ivr.settings import Settings

from .figures import Spread
from .served import OURS, Served, served, wait_until_ready

SAID = ("Hi, I want to sell my bike", "John Doe", "30093", "yes", "2020", "Yamaha")
AT_ONCE = 8  # conversations
WARM_UP = 2  # conversations of each writer, not counted


@dataclass(frozen=True, slots=True)
class Chatted:
    """What was answered; `answers` is from the request to the answer, in milliseconds."""

    answers: Spread
    per_second: float
    cpu_ms_per_message: float


def chat_rate(seconds: float) -> Chatted:
    """Return how fast a server answers several who write at once, for so long."""
    with TemporaryDirectory(prefix="bench-") as folder:
        url = f"sqlite:///{folder}/chat.db"
        key = asyncio.run(_prepare(url))
        settings = {
            "DATABASE_URL": url,
            "MAX_LOOP_LAG_MS": "60000",
            "RATE_LIMIT_INTAKE_PER_MINUTE": "0",
        }
        with served(OURS, settings, Path(folder)) as server:
            wait_until_ready(server)
            return asyncio.run(_measure(server, key, seconds))


async def _prepare(url: str) -> str:
    """Make the database; return a key for it."""
    settings = Settings(_env_file=None, database_url=url)
    db, now = Database(settings.database_url, hash_key=hash_key(settings)), utc_now()
    try:
        await db.upgrade()
        tenant = await tenants.ensure_default(db, settings, now=now)
        async with db.write() as session:
            made = api_keys.make(session, tenant.id, kind=KeyKind.SECRET, name="bench", now=now)
        return made[1]
    finally:
        await db.close()


async def _measure(server: Served, key: str, seconds: float) -> Chatted:
    base_url, headers = f"http://127.0.0.1:{server.port}", {"X-API-Key": key}
    numbers = count()
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, timeout=60, trust_env=False
    ) as client:
        for _ in range(WARM_UP):
            await asyncio.gather(*(_talk(client, numbers, -1.0) for _ in range(AT_ONCE)))
        began, cpu_s = perf_counter(), server.cpu_s
        until = began + seconds
        taken = await asyncio.gather(*(_talk(client, numbers, until) for _ in range(AT_ONCE)))
        spent, cpu_s = perf_counter() - began, server.cpu_s - cpu_s
    answers = Spread.of(array("d", (one for writer in taken for one in writer)))
    return Chatted(answers, answers.count / spent, cpu_s * 1000 / answers.count)


async def _talk(client: httpx.AsyncClient, numbers: Iterator[int], until: float) -> list[float]:
    """Have one conversation after the other, at least one; return the seconds of each answer."""
    taken: list[float] = []
    while not taken or perf_counter() < until:
        session_id = f"bench {next(numbers)}"
        for message in SAID:
            began = perf_counter()
            body = {"message": message, "session_id": session_id}
            response = await client.post("/chat", json=body)
            response.raise_for_status()
            assert response.json()["response"], "the rules always have an answer"
            taken.append(perf_counter() - began)
    return taken
