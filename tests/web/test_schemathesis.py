"""What the OpenAPI document promises, asked in every way it allows, and in some that it does not.

A few examples of each operation, always the same ones. SCHEMATHESIS_EXAMPLES=200 asks for more of
them, each time others: `SCHEMATHESIS_EXAMPLES=200 pytest tests/web/test_schemathesis.py`.
"""

import asyncio
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from ivr import api_keys
from ivr.app import ROUTERS
from ivr.db.tables import KeyKind, utc_now
from ivr.web.api import create_api
from tests.channels.world import SITE
from tests.doors.served import Served, served

ASKED = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
EXAMPLES = ASKED or 6
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENT = create_api(ROUTERS).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
VERBS = ("get", "post", "put", "patch", "delete")
OPERATIONS = [
    (verb, path)
    for path, item in sorted(DOCUMENT["paths"].items())
    for verb in VERBS
    if verb in item
]


def _takes_anything(operation: dict[str, Any]) -> bool:
    return bool({"parameters", "requestBody"} & operation.keys())


def _tests(*modes: GenerationMode) -> list[Any]:
    return [
        pytest.param(verb, path, mode, id=f"{verb}-{path}-{mode.value}")
        for verb, path in OPERATIONS
        for mode in modes
        if mode is GenerationMode.POSITIVE or _takes_anything(DOCUMENT["paths"][path][verb])
    ]


# Ids of ours that an example may have instead of the one that it was made with.
IDS = ("lead_id", "conversation_id", "client_id", "stage")


@dataclass(frozen=True, slots=True)
class Town:
    """A served business: where it is, the keys that one may have, and the ids of its things."""

    url: str
    keys: dict[str, dict[str, str]]
    ids: dict[str, str]


@pytest.fixture(scope="module")
def town(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A business on SQLite."""
    path = tmp_path_factory.mktemp("schemathesis") / "nps_ivr.db"
    shutil.copyfile(sqlite_template, path)
    yield from _serve(f"sqlite+aiosqlite:///{path}")


@pytest.fixture(scope="module")
def strict_town(postgres_url_of_module: str) -> Iterator[Town]:
    """A business on PostgreSQL, which holds less: no NUL, no number for a text."""
    yield from _serve(postgres_url_of_module)


def _serve(database_url: str) -> Iterator[Town]:
    """Serve in a thread: schemathesis asks with a client that waits."""
    loop, made, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    towns: list[Town] = []

    async def live() -> None:
        unlimited = {
            f"rate_limit_{what}_per_minute": 0 for what in ("key", "intake", "address", "failures")
        }
        try:
            async with served(database_url, **unlimited) as house:
                towns.append(await _town(house))
                made.set()
                await end.wait()
        finally:
            made.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    made.wait(60)
    assert towns, "the server did not start"
    yield towns[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(30)
    loop.close()


async def _town(house: Served) -> Town:
    said = await house.ask("POST", "/chat", key=house.secret, json={"message": "Hi, I am John Doe"})
    leads = (await house.ask("GET", "/api/v1/leads", key=house.secret)).json()["items"]
    now = utc_now()
    async with house.db.write() as session:
        owner = await api_keys.find(session, house.secret, now=now)
        assert owner is not None
        _, admin = api_keys.make(
            session, owner.tenant_id, kind=KeyKind.ADMIN, name="admin", now=now
        )
    return Town(
        url=f"http://127.0.0.1:{house.port}",
        keys={
            "secret": {"X-API-Key": house.secret},
            "admin": {"X-API-Key": admin},
            "publishable": {"X-API-Key": house.public, "Origin": SITE},
            "none": {},
        },
        ids={
            "lead_id": leads[0]["id"],
            "conversation_id": said.json()["conversation_id"],
            "client_id": str(owner.tenant_id),
            "stage": "NEW",
        },
    )


# The server lives in another thread, and may use it.
in_a_thread = pytest.mark.filterwarnings("ignore:Do not use the `random` module")


@in_a_thread
@pytest.mark.parametrize(
    ("verb", "path", "mode"), _tests(GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
)
def test_an_operation_answers_as_it_is_documented(
    town: Town, verb: str, path: str, mode: GenerationMode
) -> None:
    _ask(town, verb, path, mode)


@in_a_thread
@pytest.mark.parametrize(("verb", "path", "mode"), _tests(GenerationMode.NEGATIVE))
def test_what_cannot_be_is_refused_on_postgresql_too(
    strict_town: Town, verb: str, path: str, mode: GenerationMode
) -> None:
    _ask(strict_town, verb, path, mode)


def _ask(town: Town, verb: str, path: str, mode: GenerationMode) -> None:
    operation = SCHEMA[path][verb.upper()]

    @given(data=st.data())
    @settings(
        max_examples=EXAMPLES,
        derandomize=not ASKED,
        database=None,
        deadline=None,
        phases=[Phase.generate, *([Phase.shrink] if ASKED else [])],
        suppress_health_check=list(HealthCheck),
    )
    def ask(data: Any) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        key = data.draw(st.sampled_from(["secret", "secret", "admin", "publishable", "none"]))
        if mode is GenerationMode.POSITIVE and data.draw(st.booleans()):
            known = {name: town.ids[name] for name in IDS if name in (case.path_parameters or {})}
            case.path_parameters = {**(case.path_parameters or {}), **known}
        case.headers = {
            name: value
            for name, value in (case.headers or {}).items()
            if name.lower() not in {"x-api-key", "authorization"}
        }
        response = case.call(base_url=town.url, headers=town.keys[key], timeout=60)
        is_wrong = mode is GenerationMode.NEGATIVE and response.status_code != 414
        checks = [*CHECKS, *([negative_data_rejection] if is_wrong else [])]
        case.validate_response(response, checks=checks, headers=town.keys[key])

    ask()
