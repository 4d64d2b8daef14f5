"""The commands about leads in docs/api.md, typed into a shell: only host, key and id differ."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ivr import tenants
from ivr.app import create_app
from ivr.db import Database
from ivr.db.tables import utc_now
from ivr.settings import Settings
from tests.web.house import key_of
from tests.web.test_clients_curl import curl
from tools.emulators.serving import serve

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
SECTION = DOCUMENT.read_text().partition("\n## Leads\n")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"(?ms)^curl .+?(?=\n```)", SECTION)


def test_the_section_has_five_commands() -> None:
    assert len(COMMANDS) == 5


async def test_the_commands_run_as_they_stand(sqlite_url: str, sqlite_db: Database) -> None:
    settings = Settings(
        _env_file=None,
        database_url=sqlite_url,
        secret_key="a-secret-key-of-more-than-32-characters",
        max_loop_lag_ms=60_000,
    )
    tenant = await tenants.ensure_default(sqlite_db, settings, now=utc_now())
    key = await key_of(sqlite_db, tenant)
    async with serve(create_app(settings)) as port:

        async def run(number: int, lead_id: str = "") -> tuple[int, Any]:
            command = COMMANDS[number].replace("http://localhost:8000", f"http://127.0.0.1:{port}")
            return await curl(command.replace("your-api-key", key).replace("LEAD_ID", lead_id))

        status, lead = await run(0)
        assert (status, lead["created"], lead["source"]) == (201, True, "trade fair")
        assert await run(0) == (status, lead)
        status, found = await run(1, lead["id"])
        assert (status, found["fields"]["zip_code"]["value"]) == (200, "30093")
        status, changed = await run(2, lead["id"])
        assert (status, changed["owner"], changed["status"]) == (200, "ann", "negotiating")
        status, scored = await run(3, lead["id"])
        assert (status, scored["score"], scored["score_label"]) == (200, 85, "HOT")
        status, given = await run(4, lead["id"])
        assert (status, given["lifecycle"], given["owner"]) == (200, "HANDED_OFF", "ann")
