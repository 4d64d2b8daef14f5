"""The server dies when the work is committed and before its answer leaves: it is asked again."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ivr.db import Database
from ivr.db.tables import Conversation, IdempotencyRecord, Lead
from ivr.settings import Settings
from tests.calls.world import NPA_PASSWORD, NPA_USER
from tests.channels.world import keys_of_default
from tests.crash.answerless_process import SWITCH
from tests.crash.world import PATIENCE_SECONDS, ROOT, Server
from tests.leads.cast import rows, until
from tests.web.lead_door import DOOR, WHOLE
from tools.emulators.npa import NpaEmulator


@pytest.fixture
async def npa() -> AsyncIterator[NpaEmulator]:
    async with NpaEmulator(username=NPA_USER, password=NPA_PASSWORD) as emulator:
        yield emulator


def environment_of(database_url: str, npa: NpaEmulator, switch: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a-secret-key-of-more-than-32-characters",
        "NPA_API_BASE_URL": npa.base_url,
        "NPA_API_USERNAME": NPA_USER,
        "NPA_API_PASSWORD": NPA_PASSWORD,
        "MAX_LOOP_LAG_MS": "60000",  # two busy cores
        SWITCH: str(switch),
    }


async def test_the_same_request_gets_the_answer_that_was_lost(
    database_url: str, npa: NpaEmulator, tmp_path: Path
) -> None:
    switch = tmp_path / "die"
    server, db = Server(tmp_path, entry="tests.crash.answerless_process"), Database(database_url)
    server.environment.update(environment_of(database_url, npa, switch))
    try:
        server.start()
        await server.ready()
        key, _ = await keys_of_default(db, Settings(_env_file=None, database_url=database_url))
        headers = {"X-API-Key": key, "Idempotency-Key": "order-1"}
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers, trust_env=False, timeout=PATIENCE_SECONDS
        ) as http:
            switch.touch()
            with pytest.raises(httpx.RemoteProtocolError):
                await http.post(DOOR, json=WHOLE)
            assert await asyncio.to_thread(server.died) == -signal.SIGKILL
            (record,), (lead,) = await rows(db, IdempotencyRecord), await rows(db, Lead)
            server.start()
            await server.ready()
            again = await http.post(DOOR, json=WHOLE)
            assert (again.status_code, again.json()) == (201, record.body), again.text
            assert again.json()["id"] == str(lead.id)
            assert again.headers["Idempotency-Replayed"] == "true"
            await until(lambda: bool(npa.leads), seconds=PATIENCE_SECONDS)
        assert [one.id for one in await rows(db, Lead)] == [lead.id]
        assert len(await rows(db, Conversation)) == len(npa.leads) == 1
    finally:
        server.close()
        await db.close()
