"""Who asks too often is told when to come again, and nobody else feels it."""

from typing import Any

import pytest

from tests.doors.served import MISTYPED, Served, served

OFFICE, ATTACKER = "203.0.113.9", "198.51.100.66"


async def _statuses(house: Served, times: int, path: str, **how: str) -> list[int]:
    return [(await house.ask("GET", path, **how)).status_code for _ in range(times)]


async def test_a_key_that_asks_too_often_is_told_when_to_come_again(sqlite_url: str) -> None:
    async with served(sqlite_url, rate_limit_key_per_minute=3) as house:
        first = await house.ask("GET", "/leads/stats", key=house.secret)
        assert first.headers["ratelimit-policy"] == '"key";q=3;w=60'
        assert first.headers["ratelimit"] == '"key";r=2;t=20'
        assert await _statuses(house, 2, "/leads/stats", key=house.secret) == [200, 200]
        refused = await house.ask("GET", "/api/v1/leads", key=house.secret, at=OFFICE)
        assert refused.status_code == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["title"] == "Too Many Requests"
        assert 19 <= int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit"].startswith('"key";r=0;t=')
        assert refused.headers["x-content-type-options"] == "nosniff"


async def test_leads_come_in_while_the_same_key_has_read_too_much(sqlite_url: str) -> None:
    async with served(sqlite_url, rate_limit_key_per_minute=1) as house:
        assert await _statuses(house, 2, "/leads/stats", key=house.secret) == [200, 429]
        said = {"message": "Hi, I want to sell my bike"}
        for _ in range(3):
            answer = await house.ask("POST", "/chat", key=house.secret, json=said)
            assert answer.status_code == 200


async def test_an_intake_door_that_is_full_takes_the_same_lead_later(sqlite_url: str) -> None:
    form = {"name": "John Doe", "phone": "+17705550123", "event_id": "form-1"}
    async with served(sqlite_url, rate_limit_intake_per_minute=1) as house:
        assert (
            await house.ask("POST", "/webhooks/web-form", key=house.secret, json=form)
        ).status_code == 200
        again = await house.ask("POST", "/webhooks/web-form", key=house.secret, json=form)
        assert again.status_code == 429 and int(again.headers["retry-after"]) > 0


async def test_who_guesses_keys_is_stopped_and_only_at_their_address(sqlite_url: str) -> None:
    async with served(sqlite_url, rate_limit_failures_per_minute=5) as house:
        wrong = [f"{MISTYPED[:-1]}{number}" for number in range(7)]
        said = [
            (await house.ask("GET", "/leads/stats", key=key, at=ATTACKER)).status_code
            for key in wrong
        ]
        assert said == [401] * 5 + [429] * 2
        late = await house.ask("GET", "/leads/stats", key=house.secret, at=ATTACKER)
        assert late.status_code == 429, "a right guess is not told from a wrong one"
        assert "wrong keys" in late.json()["detail"]
        assert await _statuses(house, 2, "/leads/stats", key=house.secret, at=OFFICE) == [200] * 2


async def test_a_key_in_use_is_not_shut_out_by_who_guesses_beside_it(sqlite_url: str) -> None:
    async with served(sqlite_url, rate_limit_failures_per_minute=2) as house:
        assert await _statuses(house, 1, "/leads/stats", key=house.secret, at=OFFICE) == [200]
        guesses = await _statuses(house, 4, "/leads/stats", key=MISTYPED, at=OFFICE)
        assert guesses == [401, 401, 429, 429]
        assert await _statuses(house, 2, "/leads/stats", key=house.secret, at=OFFICE) == [200] * 2


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", "/api/v1/leads", [401] * 3),  # then its wrong keys are used up
        ("POST", "/api/v1/clients", [401] * 3),
        ("GET", "/openapi.json", [200] * 5),
        ("GET", "/nowhere", [404] * 5),
    ],
    ids=["lead", "client", "open-page", "no-page"],
)
async def test_another_key_each_time_lets_nobody_ask_more_often(
    sqlite_url: str, method: str, path: str, said: list[int]
) -> None:
    limits = {f"rate_limit_{what}_per_minute": 5 for what in ("key", "intake", "address")}
    async with served(sqlite_url, rate_limit_failures_per_minute=3, **limits) as house:
        broken: dict[str, Any] = {"headers": {"Content-Type": "application/json"}, "content": "{"}
        more = broken if method == "POST" else {}
        statuses = [
            (await house.ask(method, path, key=key, at=ATTACKER, **more)).status_code
            for key in (f"{MISTYPED[:-2]}{number:02}" for number in range(12))
        ]
        assert statuses == said + [429] * (12 - len(said))
        assert await _statuses(house, 2, "/leads/stats", key=house.secret, at=OFFICE) == [200] * 2


async def test_a_key_counts_for_its_address_until_it_was_right(sqlite_url: str) -> None:
    async with served(sqlite_url, rate_limit_address_per_minute=2) as house:
        assert await _statuses(house, 4, "/leads/stats", key=house.secret, at=OFFICE) == [200] * 4
        assert await _statuses(house, 2, "/widget.js", at=OFFICE) == [200, 429]
        assert await _statuses(house, 1, "/leads/stats", key=house.secret, at=OFFICE) == [200]
        new = await house.ask("GET", "/leads/stats", key=MISTYPED, at=OFFICE)
        assert new.status_code == 429 and new.headers["ratelimit-policy"].startswith('"address"')


async def test_a_page_without_keys_proves_none(sqlite_url: str) -> None:
    """An open page answers 200 whatever key it is asked with: that must not make it known."""
    async with served(sqlite_url, rate_limit_failures_per_minute=1) as house:
        assert await _statuses(house, 1, "/openapi.json", key=MISTYPED, at=ATTACKER) == [200]
        assert await _statuses(house, 2, "/leads/stats", key=MISTYPED, at=ATTACKER) == [401, 429]


async def test_a_visitor_who_polls_too_fast_waits_and_others_do_not(sqlite_url: str) -> None:
    path = "/webhooks/live-chat/messages?session_id=s1"
    async with served(sqlite_url, rate_limit_address_per_minute=3) as house:
        said = {"message": "Hello", "session_id": "s1"}
        first = await house.ask(
            "POST", "/webhooks/live-chat", key=house.public, at=ATTACKER, json=said
        )
        assert first.status_code == 200
        assert await _statuses(house, 3, path, key=house.public, at=ATTACKER) == [200, 200, 429]
        refused = await house.ask("GET", path, key=house.public, at=ATTACKER)
        assert refused.headers["access-control-allow-origin"] == "*", "the page must read it"
        assert "retry-after" in refused.headers["access-control-expose-headers"].lower()
        assert await _statuses(house, 2, path, key=house.public, at=OFFICE) == [200, 200]


async def test_a_publishable_key_is_limited_from_all_addresses_together(sqlite_url: str) -> None:
    path = "/webhooks/live-chat/messages?session_id=s1"
    async with served(sqlite_url, rate_limit_intake_per_minute=2) as house:
        said = [
            (await house.ask("GET", path, key=house.public, at=f"203.0.113.{n}")).status_code
            for n in range(4)
        ]
        assert said == [404, 404, 429, 429]


async def test_who_sends_no_key_is_limited_by_address(sqlite_url: str) -> None:
    async with served(sqlite_url, rate_limit_address_per_minute=2) as house:
        assert await _statuses(house, 3, "/widget.js", at=ATTACKER) == [200, 200, 429]
        assert await _statuses(house, 1, "/widget.js", at=OFFICE) == [200]


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_health_is_always_told(sqlite_url: str, path: str) -> None:
    limits = {"rate_limit_address_per_minute": 1, "rate_limit_failures_per_minute": 1}
    async with served(sqlite_url, **limits) as house:
        assert await _statuses(house, 4, path) == [200] * 4


async def test_calls_and_texts_are_never_limited_and_forgers_count(sqlite_url: str) -> None:
    """Twilio's addresses are those of all its customers; who forges a signature guesses."""
    limits = {"rate_limit_address_per_minute": 1, "rate_limit_failures_per_minute": 2}
    async with served(sqlite_url, **limits) as house:
        form = {"CallSid": "CA1", "From": "+17705550123", "To": "+18005551212"}
        for path in ("/twilio/voice", "/twilio/sms", "/webhooks/whatsapp/inbound"):
            forged = await house.ask(
                "POST", path, at=ATTACKER, data=form, headers={"X-Twilio-Signature": "AAAA"}
            )
            assert forged.status_code == 403
        assert await _statuses(house, 1, "/leads/stats", key=house.secret, at=ATTACKER) == [429]
        assert await _statuses(house, 1, "/leads/stats", key=house.secret, at=OFFICE) == [200]


async def test_a_limit_on_a_proxys_address_is_said_in_the_log(
    sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async with served(sqlite_url, rate_limit_address_per_minute=1) as house:
        await _statuses(house, 30, "/widget.js")
    lines = [line for line in capsys.readouterr().out.splitlines() if "too many requests" in line]
    assert 1 <= len(lines) <= 6
    assert "TRUSTED_PROXIES" in lines[0]
