"""What a body that cannot be read is answered: which part of it, and what was expected."""

from collections.abc import AsyncIterator

import pytest

from ivr.db import Database
from tests.leads.courses import centre
from tests.web.house import Interface, interface

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"  # as curl sends it


@pytest.fixture
async def web(db: Database) -> AsyncIterator[Interface]:
    async with interface(db, await centre(db)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("body", "kind", "field", "words"),
    [
        ('{"reason": secret}', JSON, "body", "expected JSON"),
        ("", JSON, "body", "required"),
        ('["secret"]', JSON, "body", "expected a JSON object"),
        ('{"new_stage": "LOST"}', FORM, "body", "Content-Type: " + JSON),
        ('{"new_stage": ["secret"]}', JSON, "new_stage", "valid string"),
        ('{"new_stage": "LOST"}', JSON, "body", "expected conversation_ids or lead_ids"),
    ],
    ids=["no JSON", "nothing", "a list", "as curl sends it", "a field", "two fields"],
)
async def test_what_is_wrong_with_a_body_is_said_and_not_repeated(
    web: Interface, body: str, kind: str, field: str, words: str
) -> None:
    headers = {"Content-Type": kind}
    answer = await web.client.post("/api/v1/leads/bulk-stage", content=body, headers=headers)
    problem = answer.json()
    assert (answer.status_code, "secret" in answer.text) == (422, False)
    found = {one["field"]: one["problem"] for one in problem["errors"]}
    assert words in found[field]
    assert words in problem["detail"]
