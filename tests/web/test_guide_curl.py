"""The commands of the owner's stage tracking guide, typed into a shell: only host and key differ.

One of them has a misprint, a quotation mark and a colon in the wrong place: it is answered with
401, as a request without a key.
"""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from ivr.app import create_app
from ivr.db import Database
from ivr.settings import Settings
from tests.leads.courses import STAGES, centre, chat, pin, tell
from tests.web.house import key_of
from tools.emulators.serving import serve

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")

# As they stand in the guide, in its order.
GUIDE = r"""
curl -X POST "http://localhost:8009/chat" \
  -H "Content-Type: application/json" \
  -H "X-API-Key: your-api-key" \
  -d '{
    "message": "My name is Ahmed and I want to learn CTA",
    "conversation_id": null
  }'

curl "http://localhost:8009/leads/by-stage/COURSE_SELECTED" \
  -H "X-API-Key: your-api-key"

curl "http://localhost:8009/leads/stats" \
  -H "X-API-Key: your-api-key"

curl "http://localhost:8009/conversations/uuid-here/stage" \
  -H "X-API-Key: your-api-key"

curl -X POST "http://localhost:8009/conversations/uuid-here/update-stage?new_stage=ENROLLED" \
  -H "X-API-Key: your-api-key"

curl "http://localhost:8009/leads/by-stage/DEMO_SHARED" \
  -H "X-API-Key: your-api-key"

curl "http://localhost:8009/leads/stats" -H "X-API-Key: your-api-key"

curl -X POST "http://localhost:8009/conversations/uuid/update-stage?new_stage=ENROLLED" \
  -H "X-API-Key: your-api-key"

curl "http://localhost:8009/leads/by-stage/LOST" \
  -H "X-API-Key: your-api-key"

curl -X POST "http://localhost:8009/chat" \
  -H "Content-Type: application/json" \
  -H "X-API-Key: your-api-key" \
  -d '{
    "message": "Hi, my name is Test User",
    "conversation_id": null
  }'

curl "http://localhost:8009/leads/stats" \
  -H "X-API-Key": "your-api-key"
"""
COMMANDS = re.findall(r"(?ms)^curl .+?(?=\n\n|\n\Z)", GUIDE)
ANSWER = {"response", "conversation_id", "turn_count", "stage", "lead_data", "timestamp"}


@dataclass(frozen=True, slots=True)
class Shell:
    """Types commands of the guide with this server's address and key."""

    url: str
    key: str
    db: Database

    async def run(self, number: int, conversation: str = "") -> tuple[int, Any]:
        """Run a command; return status and JSON."""
        command = COMMANDS[number].replace("http://localhost:8009", self.url)
        command = command.replace("your-api-key", self.key)
        command = re.sub(
            r"/conversations/uuid(-here)?/", f"/conversations/{conversation}/", command
        )
        # What the misprint makes an address of its own is looked for on this machine only.
        silent = (
            r" --silent --max-time 30 --resolve '*:80:127.0.0.1' --write-out '\n%{http_code}\n'"
        )
        process = await asyncio.create_subprocess_shell(
            command + silent,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "no_proxy": "*"},
        )
        out, _ = await process.communicate()
        body, status, *_ = out.decode().splitlines()
        return int(status), json.loads(body)


@pytest.fixture
async def shell(sqlite_url: str, sqlite_db: Database) -> AsyncIterator[Shell]:
    """The whole server, on a port of its own."""
    settings = Settings(
        _env_file=None,
        database_url=sqlite_url,
        profile="courses",
        secret_key="a-secret-key-of-more-than-32-characters",
        max_loop_lag_ms=60_000,
    )
    key = await key_of(sqlite_db, await centre(sqlite_db))
    async with serve(create_app(settings)) as port:
        yield Shell(f"http://127.0.0.1:{port}", key, sqlite_db)


def test_the_guide_has_eleven_commands() -> None:
    assert len(COMMANDS) == 11
    assert all(command.startswith("curl ") for command in COMMANDS)


async def test_the_commands_about_stages_run_as_they_stand(shell: Shell) -> None:
    conversation = await chat(shell.db, await centre(shell.db))
    await tell(shell.db, conversation, name="Ahmed", selected_course="CTA")
    status, listed = await shell.run(1)
    assert (status, listed["count"]) == (200, 1)
    status, stats = await shell.run(2)
    assert (status, list(stats["by_stage"])) == (200, list(STAGES))
    status, found = await shell.run(3, str(conversation.id))
    assert (status, found["stage"]) == (200, "COURSE_SELECTED")
    await pin(shell.db, conversation, "DEMO_SHARED")
    assert (await shell.run(5))[1]["count"] == 1
    for number in (4, 7):
        status, done = await shell.run(number, str(conversation.id))
        assert status == 200
        assert done == {
            "message": "Stage updated successfully",
            "conversation_id": str(conversation.id),
            "new_stage": "ENROLLED",
        }
    assert (await shell.run(6))[1]["conversion_rate"] == 100.0
    status, lost = await shell.run(8)
    assert (status, lost) == (200, {"stage": "LOST", "count": 0, "leads": []})


async def test_the_commands_that_chat_run_as_they_stand(shell: Shell) -> None:
    status, answer = await shell.run(0)
    assert (status, answer["stage"], answer["turn_count"]) == (200, "COURSE_SELECTED", 1)
    assert answer.keys() >= ANSWER
    assert (answer["lead_data"]["name"], answer["lead_data"]["selected_course"]) == (
        "Ahmed",
        "CTA",
    )
    status, answer = await shell.run(9)
    assert (status, answer["stage"]) == (200, "NAME_COLLECTED")
    assert (await shell.run(2))[1]["by_stage"]["NAME_COLLECTED"] == 1


async def test_the_misprint_is_a_request_without_a_key(shell: Shell) -> None:
    status, answer = await shell.run(10)
    assert (status, answer["status"]) == (401, 401)
