"""The buyer is down, slow or refuses: no caller notices (S3.13), an operator can mend it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.calls.world import World, read_books, short, whole_call, world
from tools.emulators.npa import NpaFaults

ROOT = Path(__file__).parents[2]
UNAUTHORIZED = "NPA API error: Unauthorized"


async def manage(w: World, *arguments: str) -> tuple[int, str]:
    """Run `manage_failed_leads.py` as an operator does; return its status and all it printed."""
    settings = w.settings
    assert settings.npa_api_base_url is not None
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url,
        "NPA_API_BASE_URL": settings.npa_api_base_url,
        "NPA_API_USERNAME": "buyer",
        "NPA_API_PASSWORD": "secret",
        "COLUMNS": "200",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "manage_failed_leads.py",
        *arguments,
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


# What goes wrong at the buyer, whether it may have taken the lead, and the state that follows.
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"status": 503}, "pending"),
    ({"status": 429, "retry_after": "120"}, "pending"),
    ({"status": 400}, "failed"),
    ({"rejection": "no such model"}, "failed"),
    ({"timeout_before": True}, "ambiguous"),
    ({"timeout_after": True}, "ambiguous"),
    ({"drop_after": True}, "ambiguous"),
    ({"not_json": True}, "ambiguous"),
]


@pytest.mark.parametrize(("faults", "state"), FAULTS, ids=[next(iter(f)) for f, _ in FAULTS])
async def test_the_caller_hears_goodbye_whatever_the_buyer_does(
    sqlite_url: str, faults: dict[str, Any], state: str
) -> None:
    patience_s = 0.3 if any("timeout" in name for name in faults) else 20.0
    async with world(sqlite_url, scenario=short(), npa_timeout_seconds=patience_s) as w:
        w.npa.faults = NpaFaults(**faults)
        call, page = await whole_call(w)
        model = await w.openai.session()
    assert bytes(call.heard) == model.audio_sent()
    assert call.log[-1].what == "ended" and call.errors == []
    assert page.turns[-1].text == "Goodbye!"
    books = await read_books(sqlite_url)
    assert page.failed is not None and page.succeeded is None
    assert page.failed.lead_data["zip_code"] == "30093"
    assert [(s.state, s.attempts) for s in books.submissions] == [(state, 1)]
    assert len(books.reviews) == (state == "ambiguous")
    assert len(w.npa.requests) == 1


async def test_a_buyer_that_is_not_there_costs_no_lead(database_url: str) -> None:
    nowhere = "http://127.0.0.1:1"
    async with world(database_url, scenario=short(), npa_api_base_url=nowhere) as w:
        _, page = await whole_call(w)
    assert page.failed is not None and not page.failed.resolved
    (submission,) = (await read_books(database_url)).submissions
    assert submission.state == "pending" and submission.next_attempt_at is not None


@pytest.mark.parametrize("status", [200, 401])
async def test_a_refused_lead_is_sent_again_once_while_the_server_runs(
    sqlite_url: str, status: int
) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        w.npa.password, w.npa.faults.unauthorized_status = "another", status
        _, page = await whole_call(w)
        assert page.failed is not None and page.failed.error_message == UNAUTHORIZED
        w.npa.password = "secret"
        await assert_retried_once(w, str(page.failed.id))


async def test_a_refused_lead_is_sent_again_once_while_the_server_is_down(
    database_url: str,
) -> None:
    async with world(database_url, scenario=short()) as w:
        w.npa.password = "another"
        _, page = await whole_call(w)
        assert page.failed is not None and page.failed.error_message == UNAUTHORIZED
        w.npa.password = "secret"
        await w.stop()
        await assert_retried_once(w, str(page.failed.id))


async def assert_retried_once(w: World, failed_id: str) -> None:
    status, output = await manage(w, "list")
    assert status == 0 and "Unauthorized" in output
    status, output = await manage(w, "retry", failed_id)
    assert status == 0, output
    status, output = await manage(w, "retry", failed_id)
    assert status != 0 and "already submitted" in output
    books = await w.books()
    assert [row.lead_data["zip_code"] for row in books.succeeded] == ["30093"]
    assert [row.resolved for row in books.failed] == [True]
    assert [s.attempts for s in books.submissions] == [2]
    assert len(w.npa.leads) == 1


async def test_two_operators_at_once_send_a_lead_once(database_url: str) -> None:
    async with world(database_url, scenario=short()) as w:
        w.npa.password = "another"
        _, page = await whole_call(w)
        assert page.failed is not None
        w.npa.password = "secret"
        both = await asyncio.gather(
            manage(w, "retry", str(page.failed.id)), manage(w, "retry", str(page.failed.id))
        )
    assert sorted(status == 0 for status, _ in both) == [False, True]
    assert len(w.npa.leads) == 1


async def test_an_unknown_number_is_told_in_words(sqlite_url: str) -> None:
    async with world(sqlite_url) as w:
        status, output = await manage(w, "retry", "42")
    assert status != 0
    assert "failed lead 42 not found" in output
