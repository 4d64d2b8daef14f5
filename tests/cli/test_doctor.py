"""`ivr doctor` against small neighbours on loopback that are well, ill, or somebody else."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ivr.cli.checkup import finding
from ivr.db import Database
from tests.cli.conftest import Terminal
from tools.emulators.openai import OpenAIEmulator
from tools.emulators.serving import serve

TODAY = date.today()  # noqa: DTZ011  # the models' shutdown dates are days, not moments
NUMBER = "+18005551212"
KEY = "sk-very-secret"


@dataclass
class Neighbours:
    """Model provider, Twilio, the buyer and our own public address, all on one port."""

    url: str = ""
    models: dict[str, str | None] = field(default_factory=dict)
    models_status: int = 200
    account: dict[str, Any] = field(default_factory=lambda: {"status": "active"})
    account_status: int = 200
    voice_url: str | None = None
    health: dict[str, Any] = field(default_factory=lambda: {"status": "ready", "live_calls": 0})
    health_status: int = 200
    date_header: str | None = None
    silence: asyncio.Event = field(default_factory=asyncio.Event)
    is_silent: bool = False
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.url.path}")
        if self.is_silent:
            await self.silence.wait()
        response = self._answer(request)
        if self.date_header is not None:
            response.headers["date"] = self.date_header
        return response

    def _answer(self, request: Request) -> Response:
        path = request.url.path
        if path == "/v1/models":
            entries = [{"id": name, "shutdown_date": day} for name, day in self.models.items()]
            return JSONResponse({"data": entries, "message": KEY}, self.models_status)
        if path.startswith("/v1/models/"):
            known = path.removeprefix("/v1/models/") in self.models
            return JSONResponse({}, self.models_status if known else 404)
        if path == "/2010-04-01/Accounts/AC1.json":
            return JSONResponse(self.account, self.account_status)
        if path == "/2010-04-01/Accounts/AC1/IncomingPhoneNumbers.json":
            known = request.query_params["PhoneNumber"] == NUMBER and self.voice_url is not None
            found = [{"voice_url": self.voice_url}] if known else []
            return JSONResponse({"incoming_phone_numbers": found})
        if path == "/health/ready":
            return JSONResponse(self.health, self.health_status)
        return JSONResponse({"message": "what is that?"}, 404)


@pytest.fixture
async def around(
    terminal: Terminal, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Neighbours]:
    """Neighbours that are well, a database, and settings that are complete."""
    neighbours = Neighbours()
    routes = [Route("/{path:path}", neighbours.answer, methods=["GET", "POST"])]
    async with serve(Starlette(routes=routes), date_header=False) as port:
        neighbours.url = f"http://127.0.0.1:{port}"
        neighbours.voice_url = f"{neighbours.url}/twilio/voice-realtime-proxied"
        texts = {"text-1": None, "large-1": None, "small-1": None}
        neighbours.models = {"voice-1": None, "ears-1": None, **texts}
        for name, value in {
            "DATABASE_URL": sqlite_url,
            "SECRET_KEY": "k" * 32,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{neighbours.url}/v1",
            "OPENAI_REALTIME_MODEL": "voice-1",
            "OPENAI_TRANSCRIBE_MODEL": "ears-1",
            "OPENAI_MODEL": "text-1",
            "OPENAI_REPLY_MODEL": "large-1",
            "OPENAI_ROUTE_MODEL": "small-1",
            "TWILIO_SID": "AC1",
            "TWILIO_AUTH_TOKEN": "token",
            "TWILIO_PHONE_NUMBER": NUMBER,
            "TWILIO_API_BASE_URL": neighbours.url,
            "PUBLIC_BASE_URL": neighbours.url,
            "NPA_API_BASE_URL": neighbours.url,
            "NPA_API_USERNAME": "dealer",
            "NPA_API_PASSWORD": "password",
        }.items():
            monkeypatch.setenv(name, value)
        yield neighbours
        neighbours.silence.set()


async def examine(terminal: Terminal) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code and the findings by id."""
    answer = await terminal.run("doctor", "--json")
    return answer.code, {link["id"]: link for link in json.loads(answer.out)["links"]}


async def test_a_whole_chain_is_whole(around: Neighbours, terminal: Terminal) -> None:
    answer = await terminal.run("doctor")
    assert answer.code == 0
    assert answer.out.splitlines()[-1] == "every link is whole"
    assert {line[0] for line in answer.out.splitlines()[:-1]} == {"✔"}
    for link in ("settings", "profile", "database", "models", "phone", "public URL", "buyer"):
        assert f"✔  {link} " in answer.out


async def test_nothing_is_submitted(around: Neighbours, terminal: Terminal) -> None:
    await terminal.run("doctor")
    assert {line.split()[0] for line in around.asked} == {"GET"}


async def test_a_refused_model_key_is_broken_and_stays_secret(
    around: Neighbours, terminal: Terminal
) -> None:
    around.models_status = 401
    answer = await terminal.run("doctor")
    assert answer.code == 1
    assert "✘  models" in answer.out
    assert "OPENAI_API_KEY was refused (HTTP 401)" in answer.out
    assert answer.out.splitlines()[-1] == "broken: models"
    assert KEY not in answer.out + answer.err


async def test_every_model_of_the_second_provider_is_looked_for(
    around: Neighbours, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.models |= {"claude-1": None, "claude-2": None}
    for name, value in {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": around.url,
        "ANTHROPIC_MODEL": "claude-1",
        "ANTHROPIC_REPLY_MODEL": "claude-2",
        "ANTHROPIC_ROUTE_MODEL": "claude-3",
    }.items():
        monkeypatch.setenv(name, value)
    code, links = await examine(terminal)
    found = {name: link["level"] for name, link in links.items() if "ANTHROPIC" in name}
    assert code == 1
    assert list(found.values()) == ["fine", "fine", "broken"]
    assert "models.ANTHROPIC_ROUTE_MODEL.unknown" in found


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [(-1, "broken", "was shut down"), (89, "warning", "in 89 days"), (91, "fine", "available")],
)
async def test_a_model_that_ends_is_told_in_time(
    around: Neighbours, terminal: Terminal, days: int, level: str, words: str
) -> None:
    around.models["text-1"] = str(TODAY + timedelta(days=days))
    code, links = await examine(terminal)
    (link,) = (link for id_, link in links.items() if id_.startswith("models.OPENAI_MODEL."))
    assert (link["level"], code) == (level, int(level == "broken"))
    assert words in link["message"]


async def test_a_model_that_the_key_may_not_use_is_broken(
    around: Neighbours, terminal: Terminal
) -> None:
    del around.models["ears-1"]
    code, links = await examine(terminal)
    assert code == 1
    assert links["models.OPENAI_TRANSCRIBE_MODEL.unknown"]["level"] == "broken"


async def test_the_emulated_model_provider_is_accepted(
    around: Neighbours, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with OpenAIEmulator() as openai:
        monkeypatch.setenv("OPENAI_BASE_URL", openai.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", openai.api_key)
        for name in ("OPENAI_REALTIME_MODEL", "OPENAI_TRANSCRIBE_MODEL", "OPENAI_MODEL"):
            monkeypatch.delenv(name)
        _, links = await examine(terminal)
    assert "models.OPENAI_REALTIME_MODEL.available" in links


async def test_wrong_twilio_credentials_are_broken(around: Neighbours, terminal: Terminal) -> None:
    around.account_status = 401
    code, links = await examine(terminal)
    assert (code, links["phone.refused"]["level"]) == (1, "broken")


async def test_a_suspended_account_is_broken(around: Neighbours, terminal: Terminal) -> None:
    around.account = {"status": "suspended"}
    code, links = await examine(terminal)
    assert code == 1
    assert links["phone.account"]["message"] == "the Twilio account is suspended"


@pytest.mark.parametrize("elsewhere", ["", "https://other.example/twilio/voice"])
async def test_a_number_that_calls_elsewhere_is_a_warning(
    around: Neighbours, terminal: Terminal, elsewhere: str
) -> None:
    around.voice_url = elsewhere
    code, links = await examine(terminal)
    assert (code, links["phone.webhook"]["level"]) == (0, "warning")
    assert around.url in links["phone.webhook"]["hint"]


async def test_a_number_of_another_account_is_broken(
    around: Neighbours, terminal: Terminal
) -> None:
    around.voice_url = None
    assert (await examine(terminal))[0] == 1


async def test_somebody_else_at_our_public_address_is_broken(
    around: Neighbours, terminal: Terminal
) -> None:
    around.health = {"hello": "world"}
    code, links = await examine(terminal)
    assert (code, links["public URL.stranger"]["level"]) == (1, "broken")


async def test_a_server_without_its_database_is_not_well(
    around: Neighbours, terminal: Terminal
) -> None:
    around.health, around.health_status = {"status": "not_ready", "live_calls": 0}, 503
    code, links = await examine(terminal)
    assert (code, links["public URL.unwell"]["level"]) == (1, "broken")


async def test_a_buyer_out_of_reach_is_broken(
    around: Neighbours, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPA_API_BASE_URL", "http://127.0.0.1:1")
    code, links = await examine(terminal)
    assert (code, links["buyer.unreachable"]["level"]) == (1, "broken")


async def test_silence_is_cut_short_and_named(
    around: Neighbours, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "TIMEOUT_SECONDS", 0.05)
    around.is_silent = True
    code, links = await examine(terminal)
    assert code == 1
    for id_ in ("models", "phone", "public URL", "buyer"):
        assert "no answer in" in links[f"{id_}.unreachable"]["message"]


async def test_a_wrong_clock_is_noticed(around: Neighbours, terminal: Terminal) -> None:
    around.date_header = "Wed, 01 Jan 2020 00:00:00 GMT"
    code, links = await examine(terminal)
    assert (code, links["clock.wrong"]["level"]) == (0, "warning")
    assert links["clock.wrong"]["message"].endswith("fast")


async def test_a_database_of_a_newer_release_is_broken(
    around: Neighbours, terminal: Terminal, sqlite_url: str
) -> None:
    db = Database(sqlite_url)
    async with db.write() as session:
        connection = await session.connection()
        await connection.execute(text("UPDATE alembic_version SET version_num = 'ffff'"))
    await db.close()
    code, links = await examine(terminal)
    assert code == 1
    assert "a newer release made" in links["database.unusable"]["message"]


async def test_a_role_that_could_take_down_the_wall_between_clients_is_told(
    around: Neighbours,
    terminal: Terminal,
    postgres_url: str,
    postgres_owner_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url)
    assert "database.role" not in (await examine(terminal))[1]
    monkeypatch.setenv("DATABASE_URL", postgres_owner_url)
    code, links = await examine(terminal)
    assert (code, links["database.role"]["level"]) == (0, "warning")
    assert "owns the tables" in links["database.role"]["message"]


async def test_a_wrong_profile_is_broken(
    around: Neighbours, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROFILE", "boats")
    code, links = await examine(terminal)
    assert (code, links["profile.unusable"]["level"]) == (1, "broken")


async def test_a_profile_whose_leads_have_nowhere_to_go_is_told(
    around: Neighbours, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROFILE", "courses")
    _, links = await examine(terminal)
    assert links["profile.no-target"]["level"] == "warning"
    monkeypatch.setenv("TARGET_WEBHOOK_URL", "https://crm.example.com/leads")
    assert "profile.no-target" not in (await examine(terminal))[1]


def test_without_any_setting_the_missing_ones_are_named_and_nothing_is_made(
    terminal: Terminal,
) -> None:
    answer = terminal.run_now("doctor")
    assert answer.code == 0
    assert "TWILIO_AUTH_TOKEN is not set" in answer.out
    assert "!  database  none at ./nps_ivr.db yet" in answer.out
    assert "(newest" not in answer.out


def test_a_broken_setting_is_named(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("PUBLIC_BASE_URL", "example.org")
    answer = terminal.run_now("doctor")
    assert answer.code == 1
    assert "✘  settings  PORT:" in answer.out
    assert "✘  settings  PUBLIC_BASE_URL:" in answer.out
