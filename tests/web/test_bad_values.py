"""What JSON can spell and a database cannot hold is taken or refused at every door, never a bug."""

import json
from typing import Any

import pytest

from ivr.app import ROUTERS
from ivr.web.api import create_api
from tests.channels.world import World, world
from tests.isolation.routes import LINES, Line
from tests.isolation.town import Town, town_at
from tests.web.lead_door import DOOR, WHOLE, create

HALF = "\ud83d"  # of an emoji
TEXTS = ("a\0b", HALF)
BAD: dict[str, list[Any]] = {
    "string": [*TEXTS],
    "array": [[one] for one in TEXTS],
    "object": [{one: one} for one in TEXTS] + [{HALF: float("nan")}],
}
DOCUMENT = create_api(ROUTERS).openapi()
# Each route once.
ASKED = list({line.name: line for line in LINES}.values())
WRITES = [line for line in ASKED if isinstance(line.body, dict)]


async def test_no_word_of_a_body_or_a_query_breaks_its_route(database_url: str) -> None:
    async with town_at(database_url) as town:
        broken = [one for line in ASKED for one in await _broken_by_query(town, line)]
        broken += [one for line in WRITES for one in await _broken_by_body(town, line)]
    assert not broken, "\n".join(broken)


async def _broken_by_query(town: Town, line: Line) -> list[str]:
    asked, found = line.request(town.ours.things)["params"], []
    for name in _queries(line):
        found += await _asked(town, line, f"?{name}", params={**asked, name: "a\0b"})
    return found


async def _broken_by_body(town: Town, line: Line) -> list[str]:
    body, found = line.request(town.ours.things)["json"], []
    for name, schema in [*_fields(line), (f"more{HALF}", {"type": "string"})]:
        kinds = {schema.get("type"), *(one.get("type") for one in schema.get("anyOf", []))}
        for bad in [one for kind in kinds for one in BAD.get(kind or "object", [])]:
            found += await _asked(town, line, f"{name!r}: {bad!r}", json={**body, name: bad})
    return found


async def _asked(town: Town, line: Line, what: str, **more: Any) -> list[str]:
    """Return the line if its route breaks; httpx itself would write no such JSON."""
    request = {**line.request(town.ours.things), **more}
    if (body := request.pop("json", None)) is not None:
        request["content"] = json.dumps(body)
        request["headers"] = {**request["headers"], "Content-Type": "application/json"}
    answer = await town.ask(key=town.ours.key, **request)
    return [f"{line.name} {what}: {answer.text}"] if answer.status_code >= 500 else []


def _operation(line: Line) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][line.path][line.method.lower()]
    return operation


def _fields(line: Line) -> list[tuple[str, dict[str, Any]]]:
    """Return the fields that the document tells of a body, with the schema of each."""
    schema = _operation(line)["requestBody"]["content"]["application/json"]["schema"]
    named = [one["$ref"] for one in schema.get("anyOf", [schema]) if "$ref" in one]
    if named:
        schema = DOCUMENT["components"]["schemas"][named[0].rpartition("/")[2]]
    return list(schema["properties"].items())


def _queries(line: Line) -> list[str]:
    parameters = _operation(line).get("parameters", [])
    return [one["name"] for one in parameters if one["in"] == "query"]


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
async def test_a_number_that_json_has_not_is_refused_by_name(
    database_url: str, number: str
) -> None:
    fields = f'{{"fields": {{"location": {number}}}}}'
    async with world(database_url) as w:
        lead = await create(w, WHOLE)
        for method, path, content, field in (
            ("POST", DOOR, fields, "fields.location"),
            ("PATCH", f"{DOOR}/{lead['id']}", fields, "fields.location"),
            ("POST", "/webhooks/web-form", f'{{"location": {number}}}', "location"),
        ):
            problem = await _refused(w, method, path, content)
            assert [one["field"] for one in problem["errors"]] == [field], path


async def _refused(w: World, method: str, path: str, content: str) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    response = await w.http.request(method, path, content=content, headers=headers)
    assert response.status_code == 422, response.text
    problem: dict[str, Any] = response.json()
    return problem
