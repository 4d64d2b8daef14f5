"""What every answer tells a browser."""

import pytest

from tests.doors.served import served

CLOSED = "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/leads/stats", 200),
        ("GET", "/api/v1/leads", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/api/v1/leads/nobody", 422),
        ("GET", "/nowhere", 404),
        ("DELETE", "/chat", 405),
        ("POST", "/chat", 422),
        ("POST", "/twilio/voice", 403),
        ("POST", "/twilio/sms", 403),
    ],
)
async def test_an_answer_loads_nothing_and_is_kept_nowhere(
    sqlite_url: str, method: str, path: str, status: int
) -> None:
    async with served(sqlite_url) as house:
        answer = await house.ask(method, path, key=house.secret)
        assert answer.status_code == status
        assert answer.headers["content-security-policy"] == CLOSED
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert "server" not in answer.headers


async def test_without_a_key_and_in_the_preflight_they_are_there_too(sqlite_url: str) -> None:
    async with served(sqlite_url) as house:
        asks = {"Origin": "https://any.example", "Access-Control-Request-Method": "POST"}
        preflight = await house.ask("OPTIONS", "/webhooks/live-chat", headers=asks)
        assert preflight.status_code == 200
        for answer in (preflight, await house.ask("GET", "/leads/stats")):
            assert answer.headers["content-security-policy"] == CLOSED


async def test_other_pages_may_show_the_widget_and_nobody_the_docs(sqlite_url: str) -> None:
    async with served(sqlite_url) as house:
        widget, docs = await house.ask("GET", "/widget"), await house.ask("GET", "/docs")
        assert "frame-ancestors *" in widget.headers["content-security-policy"]
        assert "x-frame-options" not in widget.headers
        assert widget.headers["cache-control"] == "public, max-age=300"
        assert "frame-ancestors 'none'" in docs.headers["content-security-policy"]
        assert "script-src 'self'" in docs.headers["content-security-policy"]
        assert docs.headers["x-frame-options"] == "DENY"


async def test_without_tls_no_browser_is_told_to_insist_on_it(sqlite_url: str) -> None:
    async with served(sqlite_url, public_base_url="http://ivr.test") as house:
        assert "strict-transport-security" not in (await house.ask("GET", "/health")).headers
