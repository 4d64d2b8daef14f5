"""No secret stands in a log, an answer or a plain column, whoever repeats it to us (S2.64, X.9)."""

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from sqlmodel import select
from sqlmodel.sql.expression import SelectOfScalar
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ivr import api_keys, logs
from ivr.cli.desk import secrets_of
from ivr.db.tables import KeyKind, Tenant, utc_now
from ivr.sealing import Seal
from ivr.webhooks import endpoints
from tests.calls.world import TOKEN, World, short, whole_call, world
from tests.leads.cast import until
from tools.emulators.receiver import Receiver, ReceiverFaults
from tools.emulators.serving import serve

NPA_PASSWORD = "planted-npa-password"
CLAUDE_KEY = "planted-anthropic-key"
SECRET_KEY = "planted-secret-key-of-more-than-32-characters"
TARGET_PASSWORD = "planted-tenant-password"
TARGET_SECRET = "whsec_" + "cGxhbnRlZC10YXJnZXQtc2VjcmV0LW9mLTMyLWJ5dGU="
OTHER_TOKEN = "planted-second-twilio-token"
PERSON = ("John Doe", "+17705550123", "7705550123")
CHATTY = (*logs._QUIET, *logs._TAKEN_OVER, "websockets.client", "websockets.server", "asyncio")


@pytest.fixture(autouse=True)
def everything_is_told() -> Iterator[None]:
    """Have every library tell all it can, and leave logging as it was."""
    loggers = [logging.getLogger(), *map(logging.getLogger, CHATTY)]
    before = [(one, list(one.handlers), one.level, one.propagate) for one in loggers]
    config = structlog.get_config()
    yield
    for one, handlers, level, propagate in before:
        one.handlers[:], one.propagate = handlers, propagate
        one.setLevel(level)
    structlog.configure(**config)


def tell_all(w: World) -> None:
    """Configure logging as `ivr serve` does, and then turn everything up."""
    logs.configure("json", level="DEBUG", secrets=secrets_of(w.settings))
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG)
    for one in logging.root.manager.loggerDict.values():
        if isinstance(one, logging.Logger):  # an earlier test's server may have silenced it
            one.disabled = False


async def _echo(request: Request) -> JSONResponse:
    """A model's service that repeats the key which it refuses, as some do."""
    told = f"invalid x-api-key: {dict(request.headers)}"
    error = {"type": "authentication_error", "message": told}
    return JSONResponse({"type": "error", "error": error}, status_code=401)


async def test_planted_secrets_are_found_nowhere(
    sqlite_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []

    async def keep(response: httpx.Response) -> None:
        said.append((await response.aread()).decode())

    routes = [Route("/{rest:path}", _echo, methods=["GET", "POST"])]
    async with (
        Receiver() as receiver,
        serve(Starlette(routes=routes)) as claude,
        world(
            sqlite_url,
            scenario=short(),
            speed=4,  # of each frame several lines are written
            secret_key=SECRET_KEY,
            npa_api_password=NPA_PASSWORD,
            twilio_auth_token_secondary=OTHER_TOKEN,
            anthropic_api_key=CLAUDE_KEY,
            anthropic_base_url=f"http://127.0.0.1:{claude}",
        ) as w,
    ):
        tell_all(w)
        w.npa.password = NPA_PASSWORD
        w.npa.faults.rejection = f"Unauthorized: {NPA_PASSWORD}"
        receiver.faults = ReceiverFaults(status=400, body="no", times=1)
        now = utc_now()
        async with w.db.write() as session:
            tenant = (await session.exec(_first_tenant())).one()
            _, admin = api_keys.make(session, tenant.id, kind=KeyKind.ADMIN, name="a", now=now)
            _, key = api_keys.make(session, tenant.id, kind=KeyKind.SECRET, name="k", now=now)
            _, signs = await endpoints.add(
                session,
                tenant.id,
                receiver.url,
                only_public=False,
                seal=Seal(SECRET_KEY.encode()),
                now=now,
            )
        receiver.secrets.append(signs)
        async with httpx.AsyncClient(
            base_url=w.url, trust_env=False, timeout=60, event_hooks={"response": [keep]}
        ) as http:
            shown = await _traffic(w, http, admin=admin, key=key)
        await until(lambda: len(receiver.taken) > 0)
        model = w.openai.api_key

    written = "".join(capfd.readouterr())
    planted = {
        *(NPA_PASSWORD, CLAUDE_KEY, SECRET_KEY, OTHER_TOKEN, TARGET_PASSWORD, TARGET_SECRET),
        *(TOKEN, model, signs, admin, key, *shown),
    }
    assert "sqlalchemy" in written and "httpcore" in written, "nobody was listened to"
    assert [one for one in planted if one in written] == []
    # In what libraries write at DEBUG a name is a word like others; they are quiet by default.
    ours = [line for line in written.splitlines() if '"logger": "ivr' in line]
    assert len(ours) > 10
    assert [one for one in PERSON if any(one in line for line in ours)] == []
    assert [one for one in PERSON[1:] if one in written] == []
    once = {one: [text for text in said if one in text] for one in planted}
    assert {one for one, texts in once.items() if texts} == set(shown), "shown to who made them"
    assert all(len(once[one]) == 1 for one in shown), "and once"
    kept = b"".join(path.read_bytes() for path in _files(sqlite_url))
    assert [one for one in planted if one.encode() in kept] == []


async def _traffic(w: World, http: httpx.AsyncClient, *, admin: str, key: str) -> list[str]:
    """Do what a day brings; return the keys that were shown to who asked for them."""
    as_admin, as_client = {"X-API-Key": admin}, {"Authorization": f"Bearer {key}"}
    target = {
        "name": "npa",
        "base_url": "https://buyer.example",
        "username": "u",
        "password": TARGET_PASSWORD,
    }
    body = {
        "name": "Test Realty",
        "slug": "test-realty",
        "timezone": "Asia/Riyadh",
        "profile": "powersports",
        "config": {"target": target},
    }
    answer = await http.post("/api/v1/clients", headers=as_admin, json=body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    path = f"/api/v1/clients/{made['id']}"
    signed = {
        "profile": "real_estate",
        "config": {"target": {"name": "webhook", "secret": TARGET_SECRET}},
    }
    answer = await http.patch(path, headers=as_admin, json=signed)
    assert answer.status_code == 200, answer.text
    bad = {"config": {"target": {"name": "npa", "base_url": 5, "password": TARGET_PASSWORD}}}
    assert (await http.patch(path, headers=as_admin, json=bad)).status_code == 422
    rotated = (await http.post(f"{path}/rotate-api-key", headers=as_admin)).json()
    await http.get(path, headers=as_admin)
    await http.get("/api/v1/leads", headers={"X-API-Key": f"{key}x"})
    await http.get(f"/api/v1/leads?api_key={key}", headers=as_client)
    await whole_call(w)
    texter = w.twilio.texter(w.scenario.caller, w.scenario.called)
    await texter.text("Hi, my name is John Doe")
    said = {"message": "I am John Doe, +1 770 555 0123"}
    assert (await http.post("/chat", headers=as_client, json=said)).status_code == 200
    await http.post("/chat", headers=as_client, json={"massage": f"{key}"})
    await http.get("/api/v1/leads", headers=as_client)
    return [made["api_key"], rotated["api_key"]]


def _first_tenant() -> SelectOfScalar[Tenant]:
    return select(Tenant)


def _files(url: str) -> list[Path]:
    """Return the database and what lies beside it, also what is not yet in its pages."""
    folder = Path(url.removeprefix("sqlite+aiosqlite:///")).parent
    return [path for path in folder.iterdir() if path.is_file()]
