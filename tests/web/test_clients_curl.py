"""The two commands of S2's quick start, typed into a shell: only host and key differ.

The first has no key in the owner's document; a client is made with the admin key, which is added.
"""

import asyncio
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from ivr.app import create_app
from ivr.settings import Settings
from tools.emulators.serving import serve

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")

# As they stand in the owner's document.
CREATE = r"""
curl -X POST http://localhost:8000/api/v1/clients \
  -H "Content-Type: application/json" \
  -d '{
    "name": "Test Realty",
    "slug": "test-realty",
    "industry": "real_estate",
    "timezone": "Asia/Riyadh",
    "business_hours": {
      "monday": {"start": "09:00", "end": "18:00"},
      "tuesday": {"start": "09:00", "end": "18:00"},
      "wednesday": {"start": "09:00", "end": "18:00"},
      "thursday": {"start": "09:00", "end": "18:00"},
      "friday": {"start": "09:00", "end": "13:00"}
    }
  }'
"""
SUBMIT = r"""
curl -X POST http://localhost:8000/webhooks/web-form \
  -H "Content-Type: application/json" \
  -H "X-API-Key: your-api-key" \
  -d '{
    "name": "Ahmed",
    "phone": "+966501234567",
    "email": "ahmed@example.com",
    "message": "I am looking to buy an apartment in Dammam, budget around 800,000 SAR",
    "source": "website"
  }'
"""


async def curl(command: str, more: str = "") -> tuple[int, Any]:
    """Run a command; return status and JSON."""
    process = await asyncio.create_subprocess_shell(
        command.strip() + more + r" --silent --max-time 60 --write-out '\n%{http_code}\n'",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "no_proxy": "*"},
    )
    out, _ = await process.communicate()
    body, status, *_ = out.decode().splitlines()
    return int(status), json.loads(body)


async def bootstrap(url: str, folder: Path) -> str:
    """Run `ivr tenants bootstrap` beside the server; return what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ivr", "tenants", "bootstrap"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "DATABASE_URL": url},
    )
    out, _ = await process.communicate()
    return out.decode().strip()


async def test_the_quick_start_makes_a_client_and_its_first_lead(
    sqlite_url: str, tmp_path: Path
) -> None:
    settings = Settings(
        _env_file=None,
        database_url=sqlite_url,
        secret_key="a-secret-key-of-more-than-32-characters",
        max_loop_lag_ms=60_000,
    )
    async with serve(create_app(settings)) as port:
        here = f"http://127.0.0.1:{port}"
        create = CREATE.replace("http://localhost:8000", here)
        status, refused = await curl(create)
        assert (status, refused["status"]) == (401, 401)
        admin = await bootstrap(sqlite_url, tmp_path)
        status, made = await curl(create, f" -H 'X-API-Key: {admin}'")
        assert (status, made["slug"], made["profile"]) == (201, "test-realty", "real_estate")
        submit = SUBMIT.replace("http://localhost:8000", here)
        status, answer = await curl(submit.replace("your-api-key", made["api_key"]))
        assert status == 200 and answer["lead_data"]["location"] == "Dammam"
