"""Lists show what is one's own, whoever's page they are asked to go on from."""

from typing import Any

from ivr.app import ROUTERS
from ivr.web.api import create_api
from tests.isolation.routes import LINES, Line
from tests.isolation.town import Resident, Town


def _paged() -> list[Line]:
    """Return the lists that go on from page to page."""
    paths = create_api(ROUTERS).openapi()["paths"]
    found = {}
    for line in LINES:
        names = {one["name"] for one in paths[line.path][line.method.lower()].get("parameters", [])}
        if "cursor" in names and line.own == 200:
            found[line.path] = line
    return list(found.values())


async def test_a_page_that_follows_anothers_shows_what_is_ones_own(town: Town) -> None:
    followed = 0
    for line in _paged():
        first = await _page(town, line, town.theirs)
        assert _of(town.ours, first) == [], line.name
        cursor = _cursor(first)
        if cursor is None:
            continue
        followed += 1
        answer = await _page(town, line, town.ours, cursor=cursor)
        assert answer.status_code in {200, 400}, answer.text
        assert _of(town.theirs, answer) == [], line.name
    assert followed >= 3, "there are lists of more than one page"


async def test_a_whole_list_is_of_one_client(town: Town) -> None:
    for line in _paged():
        for asks, other in ((town.ours, town.theirs), (town.theirs, town.ours)):
            answer = await _page(town, line, asks, limit=50)
            assert answer.status_code == 200, answer.text
            assert _of(other, answer) == [], line.name


async def _page(town: Town, line: Line, asks: Resident, **query: Any) -> Any:
    request = line.request(asks.things)
    request["params"] = {"limit": 1, **query}
    return await town.ask(key=asks.key, **request)


def _cursor(answer: Any) -> str | None:
    found = answer.json().get("next_cursor")
    _, _, rest = answer.headers.get("link", "").partition("cursor=")
    return found or rest.partition(">")[0].partition("&")[0] or None


def _of(resident: Resident, answer: Any) -> list[str]:
    """Return what of a client stands in an answer."""
    return [kind for kind, thing in resident.things.items() if thing in answer.text]
