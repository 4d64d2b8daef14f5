"""No route shows or changes what is another client's, or tells that it is there (S2.34, C28)."""

import json

import httpx
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from ivr.app import ROUTERS, ROUTES
from ivr.web.api import create_api
from tests.isolation.routes import CROSSED, LINES, OF_NOBODY, SIGNED, Line
from tests.isolation.town import Things, Town, nobody, plain

NEW_ROUTE = (
    "these routes have no line in tests/isolation/routes.py: add to LINES how they are asked for"
    " what is another client's"
)


def test_every_route_stands_in_the_matrix() -> None:
    document = create_api(ROUTERS).openapi()
    json_routes = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    others = {_path(route) for route in ROUTES}
    known = {line.name for line in LINES}
    missing = {one for one in json_routes - known if one.partition(" ")[2] not in OF_NOBODY}
    missing |= others - SIGNED - OF_NOBODY
    assert not missing, NEW_ROUTE
    assert not known - json_routes, "lines of routes that are gone"


def _path(route: BaseRoute) -> str:
    assert isinstance(route, Route | Mount | WebSocketRoute)
    return route.path


async def test_what_is_another_clients_is_answered_as_what_nobody_has(town: Town) -> None:
    before = await town.rows_of(town.theirs)
    wrong = []
    for line in [*LINES, *CROSSED]:
        wrong += await _differences(town, line)
    assert not wrong, "\n\n".join(wrong)
    assert await town.rows_of(town.theirs) == before


async def test_each_of_these_requests_opens_what_is_ones_own(town: Town) -> None:
    """Else a 404 of the matrix would say nothing."""
    wrong = []
    for line in sorted(LINES, key=lambda line: line.method == "DELETE"):
        answer = await _ask(town, line, town.theirs.key, town.theirs.things)
        while line.method == "DELETE" and answer.status_code == 409:  # it is being finished
            answer = await _ask(town, line, town.theirs.key, town.theirs.things)
        wanted = {line.own, 200, 201} if line.says in {200, 201, 403} else {line.own}
        if answer.status_code not in wanted:
            wrong.append(f"{line.name}: {answer.status_code} {answer.text}")
    assert not wrong, "\n".join(wrong)


async def _differences(town: Town, line: Line) -> list[str]:
    theirs, nobodys = town.theirs.things, nobody()
    of_theirs = await _ask(town, line, town.ours.key, theirs)
    of_nobody = await _ask(town, line, town.ours.key, nobodys)
    problems = []
    if of_theirs.status_code != line.says:
        problems.append(f"expected {line.says}")
    shown, same = plain(_words(of_theirs), theirs), plain(_words(of_nobody), nobodys)
    if shown != same:
        problems.append(f"for what nobody has it is: {same}")
    if leaked := _leaked(of_theirs, line.request(theirs), theirs):
        problems.append(f"tells of {leaked}")
    report = f"{line.name}: {'; '.join(problems)}: {of_theirs.status_code} {of_theirs.text}"
    return [report] if problems else []


async def _ask(town: Town, line: Line, key: str, things: Things) -> httpx.Response:
    # An answer shows how far our own lead is: the one before may still be finishing its talk.
    await town.at_rest()
    request = line.request({**things, "ours": town.ours.things["client"]})
    return await town.ask(key=key, **request)


_OF_THE_MOMENT = {"date", "content-length", "ratelimit"}


def _words(answer: httpx.Response) -> str:
    kept = {k: v for k, v in answer.headers.items() if k not in _OF_THE_MOMENT}
    return f"{answer.status_code} {sorted(kept.items())} {answer.text}"


def _leaked(answer: httpx.Response, asked: object, theirs: Things) -> list[str]:
    """Return what of theirs stands in an answer to somebody who did not name it."""
    said = json.dumps(asked)
    return [kind for kind, thing in theirs.items() if thing in answer.text and thing not in said]
