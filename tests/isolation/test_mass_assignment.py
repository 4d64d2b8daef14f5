"""Nobody sets what is not asked for: an owner, an id, a time, a right or a budget."""

import uuid
from typing import Any

from tests.isolation.routes import CLIENT, CLIENTS, LINES, Line
from tests.isolation.town import Town

MARK = "imposed-by-mallory"
OF_OUR_OWN = str(uuid.uuid4())
LONG_AGO = "1999-01-01T00:00:00Z"
# Columns of the tables, none of which a body may set; where one of them is a field, it is left out.
IMPOSED: dict[str, Any] = {
    "tenant_id": OF_OUR_OWN,
    "contact_id": OF_OUR_OWN,
    "sha256": MARK,
    "hint": MARK,
    "secrets": {"webhook": MARK},
    "score_by": MARK,
    "category": MARK,
    "stage_pin": MARK,
    "actor": MARK,
    "created_at": LONG_AGO,
    "finished_at": LONG_AGO,
    "revoked_at": LONG_AGO,
    "answering_until": LONG_AGO,
    "cost_micros": 424242,
    "turn_count": 424242,
}
MARKS = (MARK, OF_OUR_OWN, "datetime.datetime(1999", "424242")
# Kept as it came, for whoever must know what was sent.
VERBATIM = {"inbound_events"}
OF_THE_INSTALLATION: list[dict[str, Any]] = [
    {"slug": "mine"},
    {"status": "paused"},
    {"industry": "finance"},
    {"profile": "courses"},
    {"phone_numbers": ["+18005550102"]},
    {"monthly_token_budget": None},
    {"monthly_budget_cents": 10**9},
    {"config": {"transfer_number": "+19005550100"}},
    {"config": {"target": {"name": "webhook", "url": "https://mallory.example"}}},
]
WRITES = [line for line in LINES if isinstance(line.body, dict)]


async def test_what_is_no_field_of_a_body_is_refused_or_has_no_effect(town: Town) -> None:
    before = await town.rows_of(town.theirs)
    for line in WRITES:
        answer = await _impose(town, line, {**IMPOSED, "tenant_id": str(town.theirs.id)})
        assert answer < 500, line.name
        assert await _marked(town) == [], line.name
    assert await town.rows_of(town.theirs) == before


async def test_an_owner_of_our_own_making_is_nobody(town: Town) -> None:
    for line in WRITES:
        await _impose(town, line, {"tenant_id": OF_OUR_OWN, "client_id": OF_OUR_OWN})
    assert await _marked(town) == []


async def _impose(town: Town, line: Line, more: dict[str, Any]) -> int:
    request = line.request(town.ours.things)
    request["json"] = {**more, **request["json"]}
    request["params"] = {**more, **request["params"]}
    return (await town.ask(key=town.ours.key, **request)).status_code


async def _marked(town: Town) -> list[str]:
    """Return the tables in which what was imposed has arrived."""
    rows = await town.rows_of(town.ours)
    return [
        table
        for table, found in rows.items()
        if table not in VERBATIM and any(mark in repr(found) for mark in MARKS)
    ]


async def test_a_client_does_not_change_what_is_the_installations_to_decide(town: Town) -> None:
    before = await town.rows_of(town.ours)
    path = CLIENT.format(client_id=town.ours.id)
    for change in OF_THE_INSTALLATION:
        answer = await town.ask("PATCH", path, town.ours.key, json={"name": "Mallory", **change})
        assert answer.status_code == 403, f"{change}: {answer.text}"
    assert await town.rows_of(town.ours) == before


async def test_what_is_taken_does_not_say_by_whom(town: Town) -> None:
    body = {"name": "New", "slug": "new", "industry": "real_estate", "timezone": "UTC"}
    for taken in ({"slug": "thorn"}, {"phone_numbers": ["+18005550102"]}):
        answer = await town.ask("POST", CLIENTS, town.admin_key, json={**body, **taken})
        assert answer.status_code == 409, taken
        assert str(town.theirs.id) not in answer.text and "Thorn Realty" not in answer.text


async def test_a_key_makes_no_key_that_opens_more(town: Town) -> None:
    path = f"{CLIENT.format(client_id=town.ours.id)}/keys"
    narrow = {"name": "narrow", "scopes": ["leads:read", "client:write"]}
    made = (await town.ask("POST", path, town.ours.key, json=narrow)).json()["api_key"]
    for wanted, status in (
        ({"name": "all"}, 403),
        ({"name": "more", "scopes": ["leads:write"]}, 403),
        ({"name": "admin", "kind": "admin"}, 422),
        ({"name": "theirs", "tenant_id": str(town.theirs.id)}, 422),
    ):
        answer = await town.ask("POST", path, made, json=wanted)
        assert answer.status_code == status, answer.text
