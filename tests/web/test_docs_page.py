"""The API's page and its document: shown in a real browser, and true to the doors."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect
from starlette.applications import Starlette
from starlette.routing import Mount

from ivr.app import ROUTERS, ROUTES
from ivr.web.api import create_api
from tests.web.test_widget import CHROMIUM, FLAGS, visitor
from tools.emulators.serving import serve

PROBLEM = {"$ref": "#/components/schemas/Problem"}
OPEN = {"/health", "/health/ready", "/health/live", "/webhooks/missed-call"}
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = create_api(ROUTERS).openapi()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation


@pytest_asyncio.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        await opened.close()


@needs_browser
async def test_the_page_shows_every_operation_and_loads_nothing_from_elsewhere(
    chromium: Browser, document: dict[str, Any]
) -> None:
    app = Starlette(routes=[*ROUTES, Mount("/", create_api(ROUTERS))])
    asked: list[str] = []
    async with serve(app) as port, visitor(chromium) as (page, problems):
        page.on("request", lambda request: asked.append(request.url))
        answer = await page.goto(f"http://127.0.0.1:{port}/docs")
        assert answer is not None
        policy = answer.headers["content-security-policy"]
        await expect(page.locator(".opblock")).to_have_count(len(list(operations(document))))
        one = page.locator("#operations-conversations-conversations_read")
        await one.locator(".opblock-summary-control").click()
        await expect(one.get_by_text("Show a conversation with its first 200").last).to_be_visible()
        await expect(one.locator(".response-col_status", has_text="404")).to_be_visible()
        await expect(page.get_by_role("button", name="Authorize")).to_be_visible()
        assert problems == []
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {
        f"127.0.0.1:{port}"
    }
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_every_operation_is_described_and_has_a_stable_name(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))
    for path, operation in operations(document):
        assert operation["tags"] and len(operation["summary"]) > 10, path
        assert operation["operationId"].startswith(operation["tags"][0]), path
    assert {"conversations_read", "conversations_write", "health_health"} <= set(names)


def test_every_door_but_health_asks_for_a_key_in_one_of_two_ways(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["key"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    for path, operation in operations(document):
        if path not in OPEN:
            assert operation["security"] == [{"key": []}, {"bearer": []}], path
            assert {"401", "403", "503"} <= operation["responses"].keys(), path


def test_errors_are_problem_documents(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "4" and path not in OPEN:
                content = response["content"]
                assert content == {"application/problem+json": {"schema": PROBLEM}}, (path, status)
    assert "HTTPValidationError" not in json.dumps(document)


def test_headers_that_change_what_happens_are_named(document: dict[str, Any]) -> None:
    write = document["paths"]["/api/v1/conversations/{conversation_id}/messages"]["post"]
    headers = [one["name"] for one in write["parameters"] if one["in"] == "header"]
    assert headers == ["Idempotency-Key"]
    assert {"201", "404", "409", "413", "422"} <= write["responses"].keys()
    assert "400" in document["paths"]["/api/v1/conversations"]["get"]["responses"]


def test_twilio_s_doors_are_not_in_it(document: dict[str, Any]) -> None:
    assert not [path for path in document["paths"] if path.startswith("/twilio")]
