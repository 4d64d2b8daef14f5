"""What a request may ask is decided by its key alone, before anything is looked for."""

import json

import pytest

from tests.isolation.routes import LINES
from tests.isolation.town import Town, nobody

FOR_VISITORS = {"/webhooks/live-chat", "/webhooks/web-form", "/webhooks/live-chat/messages"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """No query is asked but for the key."""
    return sqlite_url


BAD_KEYS = {"none": None, "unknown": "ivr_sk_" + "a" * 43, "malformed": "x"}
UNREADABLE = {"no-json": b"{", "no-text": b'{"name": "\xff"}', "too-deep": b"[" * 60_000}


@pytest.mark.parametrize("credential", BAD_KEYS)
async def test_without_a_good_key_every_route_says_the_same(town: Town, credential: str) -> None:
    key = BAD_KEYS[credential]
    answers = set()
    for line in LINES:
        for things in (town.theirs.things, nobody()):
            request = line.request(things)
            answer = await town.ask(key=key, **request)
            answers.add((answer.status_code, json.dumps(answer.json()["detail"])))
    assert {status for status, _ in answers} == {401}
    assert len(answers) == 1, "nothing depends on what was asked for"


@pytest.mark.parametrize("credential", BAD_KEYS)
async def test_without_a_good_key_it_does_not_matter_what_the_body_is(
    town: Town, credential: str
) -> None:
    for line in (line for line in LINES if line.body is not None):
        request = line.request(town.theirs.things)
        del request["json"]
        request["headers"]["Content-Type"] = "application/json"
        for name, body in UNREADABLE.items():
            answer = await town.ask(key=BAD_KEYS[credential], content=body, **request)
            assert answer.status_code == 401, f"{line.name}, {name}: {answer.text}"


async def test_the_admin_key_opens_clients_and_nobodys_leads(town: Town) -> None:
    for line in LINES:
        answer = await town.ask(key=town.admin_key, **line.request(town.theirs.things))
        names_client = "{client_id}" in line.path or line.path == "/api/v1/clients"
        assert names_client or answer.status_code == 403, f"{line.name}: {answer.text}"


async def test_a_key_in_a_page_opens_nothing_to_read_or_change(town: Town) -> None:
    origin = {"Origin": "https://oak.example"}
    for line in LINES:
        if line.path in FOR_VISITORS:
            continue
        request = line.request(town.ours.things)
        request["headers"] |= origin
        answer = await town.ask(key=town.ours.public_key, **request)
        assert answer.status_code == 403, f"{line.name}: {answer.text}"
