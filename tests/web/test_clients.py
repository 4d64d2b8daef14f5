"""Clients over HTTP (S2.35, S2.43-S2.48): who may make, read and change which."""

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from ivr.db import Database
from ivr.db.tables import ApiKey, PhoneNumber, Tenant
from tests.leads.cast import rows
from tests.web.office import CLIENTS, TEST_REALTY, office

NOBODY = str(uuid.UUID(int=1))
SHOWN = {
    *("id", "name", "slug", "industry", "timezone", "status", "profile", "phone_numbers"),
    *("business_hours", "config", "monthly_token_budget", "monthly_budget_cents"),
    *("created_at", "updated_at"),
}


async def test_test_realty_is_made_with_a_key_that_is_shown_once(db: Database) -> None:
    async with office(db) as it:
        answer = await it.ask("POST", CLIENTS, json=TEST_REALTY, status=201)
        made = answer.json()
        assert made.keys() == {*SHOWN, "api_key"}
        assert {name: made[name] for name in TEST_REALTY} == TEST_REALTY
        assert (made["profile"], made["status"]) == ("real_estate", "active")
        assert answer.headers["location"] == f"{CLIENTS}/{made['id']}"
        assert answer.headers["cache-control"] == "no-store"
        for key in (None, made["api_key"]):
            again = await it.ask("GET", f"{CLIENTS}/{made['id']}", key=key)
            assert again.json().keys() == SHOWN and made["api_key"] not in again.text
        stats = await it.get("/leads/stats", key=made["api_key"])
        assert stats["total_leads"] == 0


async def test_all_that_a_client_has_can_be_given_when_it_is_made(db: Database) -> None:
    async with office(db) as it:
        made = await it.make(
            industry="boats",
            profile="powersports",
            phone_numbers=["+966112345678", "+18005550000"],
            monthly_token_budget=1_000_000,
            monthly_budget_cents=5000,
            config={"tone": "warm and brief", "thresholds": {"hot": 80}},
        )
        assert (made["industry"], made["profile"]) == ("boats", "powersports")
        assert made["phone_numbers"] == ["+966112345678", "+18005550000"]
        assert made["config"] == {"tone": "warm and brief", "thresholds": {"hot": 80}}
        assert (made["monthly_token_budget"], made["monthly_budget_cents"]) == (1_000_000, 5000)
        created = datetime.fromisoformat(made["created_at"])
        assert created.tzinfo is not None and abs((datetime.now(UTC) - created).seconds) < 60


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"slug": "Test Realty"}, "slug"),
        ({"slug": "a--b"}, "slug"),
        ({"slug": ""}, "slug"),
        ({"timezone": "Asia/Atlantis"}, "timezone"),
        ({"timezone": "America"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"industry": "boats"}, "industry"),
        ({"industry": None}, "industry"),
        ({"profile": "nothing"}, "profile"),
        ({"profile": "/etc/profile.toml"}, "profile"),
        ({"name": "  "}, "name"),
        ({"name": "\0"}, "name"),
        ({"name": None}, "name"),
        ({"phone_numbers": ["018005550000"]}, "phone_numbers"),
        ({"phone_numbers": ["+1800555٠٠٠٠"]}, "phone_numbers"),
        ({"monthly_budget_cents": -1}, "monthly_budget_cents"),
        ({"monthly_token_budget": 2**63}, "monthly_token_budget"),
        ({"business_hours": {"someday": {"start": "09:00", "end": "18:00"}}}, "business_hours"),
        ({"id": NOBODY}, "id"),
        ({"status": "paused"}, "status"),
        ({"secrets": {}}, "secrets"),
        ({"created_at": "2020-01-01T00:00:00Z"}, "created_at"),
        ({"tenant_id": NOBODY}, "tenant_id"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_what_a_client_cannot_be_made_of_is_named(
    sqlite_db: Database, change: dict[str, Any], word: str
) -> None:
    async with office(sqlite_db) as it:
        problem = await it.post(CLIENTS, json={**TEST_REALTY, **change}, status=422)
        assert problem["detail"].startswith(word)
        assert len(await rows(sqlite_db, Tenant)) == 1


async def test_a_slug_and_a_number_belong_to_one_client_and_nobody_is_told_whose(
    db: Database,
) -> None:
    async with office(db) as it:
        first = await it.make(phone_numbers=["+966112345678"])
        taken = await it.post(CLIENTS, json=TEST_REALTY, status=409)
        assert taken["detail"] == "slug: another client has it"
        other = {**TEST_REALTY, "slug": "other", "phone_numbers": ["+18005550000", "+966112345678"]}
        taken = await it.post(CLIENTS, json=other, status=409)
        assert "+966112345678" in taken["detail"] and "+18005550000" not in taken["detail"]
        assert first["id"] not in str(taken) and first["slug"] not in str(taken)
        assert len(await rows(db, Tenant)) == 2, "nothing is left of what was refused"
        assert [row.number for row in await rows(db, PhoneNumber)] == ["+966112345678"]
        made = await it.make(slug="other")
        for change in ({"slug": "test-realty"}, {"phone_numbers": ["+966112345678"]}):
            await it.patch(made["id"], change, status=409)


@pytest.mark.parametrize(
    "changes",
    [{}, {"phone_numbers": ["+18005550000"]}],
    ids=["slug", "number"],
)
async def test_of_two_who_take_the_same_at_once_one_is_refused(
    db: Database, changes: dict[str, Any]
) -> None:
    async with office(db) as it:
        key = {"X-API-Key": it.admin_key}
        bodies = [{**TEST_REALTY, **changes} for _ in range(4)]
        if changes:
            bodies = [{**body, "slug": f"client-{n}"} for n, body in enumerate(bodies)]
        answers = await asyncio.gather(
            *(it.client.post(CLIENTS, json=body, headers=key) for body in bodies)
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
        assert len(await rows(db, Tenant)) == 2


async def test_numbers_are_replaced_as_a_whole_and_the_first_is_written_from(db: Database) -> None:
    async with office(db) as it:
        made = await it.make(phone_numbers=["+18005550000", "+18005550001"])
        numbers = ["+18005550001", "+18005550002"]
        changed = await it.patch(made["id"], {"phone_numbers": numbers})
        assert changed["phone_numbers"] == numbers
        (row,) = [one for one in await rows(db, Tenant) if one.slug == "test-realty"]
        assert row.phone_number == "+18005550001"
        other = await it.make(slug="other", phone_numbers=["+18005550000"])
        assert other["phone_numbers"] == ["+18005550000"], "a number that was given up is free"
        assert (await it.patch(made["id"], {"phone_numbers": []}))["phone_numbers"] == []


async def test_only_the_admin_key_makes_and_lists_clients(db: Database) -> None:
    async with office(db) as it:
        made = await it.make()
        for method, body in (("POST", TEST_REALTY), ("GET", None)):
            answer = await it.ask(method, CLIENTS, key=made["api_key"], json=body, status=403)
            assert "admin key" in answer.json()["detail"]
            nobody = await it.ask(method, CLIENTS, key="", json=body, status=401)
            assert nobody.headers["www-authenticate"] == "Bearer"


async def test_the_list_of_clients_is_read_page_by_page(db: Database) -> None:
    async with office(db) as it:
        for number in range(4):
            await it.make(slug=f"client-{number}", phone_numbers=[f"+1800555000{number}"])
        first = await it.get(CLIENTS, params={"limit": 3})
        assert [one["slug"] for one in first["items"]] == ["default", "client-0", "client-1"]
        assert first["items"][1]["phone_numbers"] == ["+18005550000"]
        second = await it.get(CLIENTS, params={"limit": 3, "cursor": first["next_cursor"]})
        assert [one["slug"] for one in second["items"]] == ["client-2", "client-3"]
        assert second["next_cursor"] is None
        await it.get(CLIENTS, params={"cursor": "nonsense"}, status=400)


async def test_a_client_changes_what_is_its_own_to_decide(db: Database) -> None:
    async with office(db) as it:
        made = await it.make()
        change = {
            "name": "Better Realty",
            "timezone": "Asia/Dubai",
            "business_hours": {"sunday": {"start": "08:00", "end": "16:00"}},
            "config": {
                "tone": "formal",
                "holidays": ["2026-12-02"],
                "thresholds": {"hot": 75},
                "escalation": {"staff_phone": "+966501234567"},
            },
        }
        changed = await it.patch(made["id"], change, key=made["api_key"])
        assert changed["updated_at"] is not None
        assert {name: changed[name] for name in ("name", "timezone", "business_hours")} == {
            name: change[name] for name in ("name", "timezone", "business_hours")
        }
        assert changed["config"]["escalation"] == {"staff_phone": "+966501234567"}
        assert (changed["slug"], changed["industry"]) == ("test-realty", "real_estate")
        less = await it.patch(
            made["id"], {"config": {"tone": None}, "business_hours": None}, key=made["api_key"]
        )
        assert "tone" not in less["config"] and less["config"]["thresholds"] == {"hot": 75}
        assert less["business_hours"] == {}
        texts = {"ar": {"greeting": "أهلًا"}}
        more = await it.patch(made["id"], {"config": {"texts": texts}}, key=made["api_key"])
        assert more["config"]["texts"] == texts
        none = {"config": {"texts": {"ar": None}}}
        assert (
            "ar" not in (await it.patch(made["id"], none, key=made["api_key"]))["config"]["texts"]
        )


@pytest.mark.parametrize(
    "change",
    [
        {"slug": "other"},
        {"status": "paused"},
        {"industry": "boats"},
        {"profile": "courses"},
        {"phone_numbers": []},
        {"monthly_token_budget": None},
        {"monthly_budget_cents": 10**9},
        {"config": {"target": {"name": "webhook", "url": "https://crm.example.com/in"}}},
        {"config": {"profile_toml": ""}},
        {"config": {"transfer_number": "+19005550000"}},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_what_costs_money_only_the_admin_key_changes(
    sqlite_db: Database, change: dict[str, Any]
) -> None:
    async with office(sqlite_db) as it:
        made = await it.make()
        both = {"name": "Mine", **change}
        refused = await it.patch(made["id"], both, key=made["api_key"], status=403)
        assert next(iter(change)) in refused["detail"] and "name" not in refused["detail"]
        assert (await it.get(f"{CLIENTS}/{made['id']}"))["name"] == "Test Realty"


async def test_the_admin_key_changes_the_rest(db: Database) -> None:
    async with office(db) as it:
        made = await it.make(monthly_budget_cents=5)
        change = {
            "slug": "realty",
            "status": "paused",
            "profile": "courses",
            "monthly_budget_cents": None,
            "monthly_token_budget": 0,
        }
        changed = await it.patch(made["id"], change)
        assert {name: changed[name] for name in change} == change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"id": NOBODY}, "id"),
        ({"tenant_id": NOBODY}, "tenant_id"),
        ({"secrets": {"target.password": "x"}}, "secrets"),
        ({"phone_number": "+18005550000"}, "phone_number"),
        ({"created_at": "2020-01-01T00:00:00Z"}, "created_at"),
        ({"api_key": "ivr_sk_mine"}, "api_key"),
        ({"name": None}, "name"),
        ({"config": None}, "config"),
        ({"config": {"unknown": 1}}, "config.unknown"),
        ({"profile": "nothing"}, "profile"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_nothing_else_can_be_set_in_a_client(
    sqlite_db: Database, change: dict[str, Any], word: str
) -> None:
    async with office(sqlite_db) as it:
        made = await it.make()
        refused = await it.patch(made["id"], change, status=422)
        assert refused["detail"].startswith(word)
        assert (await it.get(f"{CLIENTS}/{made['id']}")) == {
            name: value for name, value in made.items() if name != "api_key"
        }


async def test_another_clients_id_is_answered_as_one_that_nobody_has(db: Database) -> None:
    async with office(db) as it:
        mine, other = await it.make(), await it.make(slug="other")
        for method, path, body in _every_route():
            answers = [
                await it.ask(method, path.format(named), key=mine["api_key"], json=body, status=404)
                for named in (other["id"], NOBODY, str(it.default.id))
            ]
            assert len({answer.text for answer in answers}) == 1
            assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
            assert (await it.ask(method, path.format(NOBODY), json=body, status=404)).text == (
                answers[0].text
            )
        assert (
            len([row for row in await rows(db, ApiKey) if str(row.tenant_id) == other["id"]]) == 1
        )


def _every_route() -> list[tuple[str, str, Any]]:
    one = f"{CLIENTS}/{{}}"
    return [
        ("GET", one, None),
        ("PATCH", one, {"name": "Mine"}),
        ("POST", f"{one}/activate", None),
        ("POST", f"{one}/pause", None),
        ("POST", f"{one}/rotate-api-key", None),
        ("GET", f"{one}/keys", None),
        ("POST", f"{one}/keys", {"name": "mine"}),
        ("DELETE", f"{one}/keys/{NOBODY}", None),
    ]


async def test_no_route_of_clients_opens_without_a_key_or_with_a_page_s(db: Database) -> None:
    async with office(db) as it:
        made = await it.make()
        page = await it.key(made, kind="publishable", origin="https://shop.example")
        for method, path, body in _every_route():
            where = path.format(made["id"])
            for key in ("", "ivr_sk_wrong", f"{made['api_key']}x"):
                await it.ask(method, where, key=key, json=body, status=401)
            origin = {"Origin": "https://shop.example"}
            await it.ask(method, where, key=page, json=body, headers=origin, status=403)


async def test_an_admin_pauses_a_client_and_lets_it_go_on(db: Database) -> None:
    async with office(db) as it:
        made = await it.make()
        one = f"{CLIENTS}/{made['id']}"
        for step in ("pause", "activate"):
            refused = await it.post(f"{one}/{step}", key=made["api_key"], status=403)
            assert "admin key" in refused["detail"]
        paused = await it.post(f"{one}/pause")
        assert paused["status"] == "paused"
        assert await it.post(f"{one}/pause") == paused, "once more changes nothing"
        assert (await it.post(f"{one}/activate"))["status"] == "active"


async def test_a_change_that_another_has_made_meanwhile_is_not_overwritten(db: Database) -> None:
    async with office(db) as it:
        made = await it.make()
        one = f"{CLIENTS}/{made['id']}"
        seen = (await it.ask("GET", one)).headers["etag"]
        same = await it.ask("GET", one, headers={"If-None-Match": seen}, status=304)
        assert same.content == b""
        changed = await it.ask("PATCH", one, json={"name": "B"}, headers={"If-Match": seen})
        assert changed.headers["etag"] != seen
        await it.ask("PATCH", one, json={"name": "C"}, headers={"If-Match": seen}, status=412)
        newest = {"If-Match": changed.headers["etag"]}
        assert (await it.ask("PATCH", one, json={"name": "C"}, headers=newest)).json()[
            "name"
        ] == "C"


async def test_who_has_made_a_client_may_change_it_by_what_was_answered(db: Database) -> None:
    """The key stands in that one answer only, and so does not count for the tag."""
    wording = {"tone": "warm", "closing": "Bye.", "goodbye_phrases": ["bye"]}
    whole = {
        **TEST_REALTY,
        "config": {"thresholds": {"hot": 75}, "texts": {"ar": {"greeting": "أهلًا"}}, **wording},
        "phone_numbers": ["+18005550001", "+18005550000"],
    }
    async with office(db) as it:
        answer = await it.ask("POST", CLIENTS, json=whole, status=201)
        one = f"{CLIENTS}/{answer.json()['id']}"
        tag = answer.headers["etag"]
        assert (await it.ask("GET", one)).headers["etag"] == tag
        change = {"config": {"tone": "formal", "holidays": ["2026-12-02"]}}
        changed = await it.ask("PATCH", one, json=change, headers={"If-Match": tag})
        assert (await it.ask("GET", one)).headers["etag"] == changed.headers["etag"] != tag


async def test_the_settings_decide_about_the_client_default(db: Database) -> None:
    async with office(db) as it:
        named = str(it.default.id)
        for change, setting in (
            ({"name": "Mine"}, "BUSINESS_NAME"),
            ({"timezone": "UTC"}, "TIMEZONE"),
            ({"profile": "courses"}, "PROFILE"),
            ({"slug": "mine"}, "first start"),
        ):
            refused = await it.patch(named, change, status=409)
            assert setting in refused["detail"]
        same = await it.patch(named, {"name": it.default.name, "config": {"tone": "formal"}})
        assert same["config"] == {"tone": "formal"}


async def test_each_change_is_a_line_of_the_log_without_values(sqlite_db: Database) -> None:
    async with office(sqlite_db) as it:
        with structlog.testing.capture_logs() as lines:
            made = await it.make(phone_numbers=["+18005550000"])
            change = {"name": "Secret Name", "config": {"tone": "secret tone"}}
            await it.patch(made["id"], change, key=made["api_key"])
            await it.post(f"{CLIENTS}/{made['id']}/pause")
            rotated = await it.post(f"{CLIENTS}/{made['id']}/rotate-api-key")
        told = [line for line in lines if line.get("client") == made["id"]]
        assert [(line["event"], line.get("changed")) for line in told] == [
            ("client made", None),
            ("client changed", ["config.tone", "name"]),
            ("client changed", ["status"]),
            ("client changed", ["api_key"]),
        ]
        hint = "_".join(made["api_key"].split("_")[:3])
        assert told[1]["by"] == f"api:{hint}" and told[0]["by"].startswith("api:ivr_ak_")
        written = str(lines)
        for value in ("Secret Name", "secret tone", "+18005550000", "Test Realty"):
            assert value not in written
        for key in (made["api_key"], rotated["api_key"], it.admin_key):
            assert key not in written


async def test_the_openapi_document_describes_the_routes(sqlite_db: Database) -> None:
    async with office(sqlite_db) as it:
        document = await it.get("/openapi.json")
        for method, path, _ in _every_route():
            known = path.format("{client_id}").replace(NOBODY, "{key_id}")
            assert method.lower() in document["paths"][known]
        created = document["components"]["schemas"]["Created"]["properties"]
        assert "api_key" in created
