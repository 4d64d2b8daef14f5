"""The keys of a client over HTTP: made, listed, revoked, replaced, never more than their maker."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ivr.db import Database
from ivr.db.tables import ApiKey, utc_now
from tests.leads.cast import rows
from tests.web.office import CLIENTS, office


def keys_of(client: Any) -> str:
    return f"{CLIENTS}/{client['id']}/keys"


def soon(hours: float) -> str:
    return (utc_now() + timedelta(hours=hours)).isoformat()


async def test_a_key_is_made_shown_once_listed_and_revoked(db: Database) -> None:
    async with office(db) as it:
        client = await it.make()
        body = {"name": "crm", "scopes": ["leads:read"], "expires_at": soon(1)}
        made = await it.post(keys_of(client), key=client["api_key"], json=body, status=201)
        assert made["api_key"].startswith(made["hint"]) and made["scopes"] == ["leads:read"]
        listed = await it.ask("GET", keys_of(client), key=client["api_key"])
        first, second = listed.json()["items"]
        assert (first["name"], first["scopes"], second["id"]) == ("first key", None, made["id"])
        assert made["api_key"] not in listed.text and "sha256" not in listed.text
        await it.get("/leads/stats", key=made["api_key"])
        path = f"{keys_of(client)}/{made['id']}"
        for _ in range(2):
            answer = await it.ask("DELETE", path, key=client["api_key"], status=204)
            assert answer.content == b""
        await it.get("/leads/stats", key=made["api_key"], status=401)
        last = (await it.get(keys_of(client)))["items"][-1]
        assert last["revoked_at"] is not None


async def test_a_page_s_key_belongs_to_its_origin(sqlite_db: Database) -> None:
    async with office(sqlite_db) as it:
        client = await it.make()
        body = {"name": "page", "kind": "publishable", "origin": "https://Shop.example:443/"}
        made = await it.post(keys_of(client), json=body, status=201)
        assert made["api_key"].startswith("ivr_pk_") and made["origin"] == "https://shop.example"


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"kind": "publishable"}, 400, "origin"),
        ({"origin": "https://shop.example"}, 400, "origin"),
        ({"kind": "publishable", "origin": "https://a\0.example"}, 400, "origin"),
        ({"kind": "publishable", "origin": "https://a b.example"}, 400, "origin"),
        ({"kind": "publishable", "origin": "shop"}, 400, "origin"),
        ({"kind": "admin"}, 422, "kind"),
        ({"scopes": []}, 422, "scopes"),
        ({"scopes": ["leads:delete"]}, 422, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 400, "expires_at"),
        ({"expires_at": "2090-01-01T00:00:00"}, 422, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, 422, "expires_at"),
        ({"name": ""}, 422, "name"),
        ({"tenant_id": "x"}, 422, "tenant_id"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_a_key_that_cannot_be_is_refused(
    sqlite_db: Database, body: dict[str, Any], status: int, word: str
) -> None:
    async with office(sqlite_db) as it:
        client = await it.make()
        before = len(await rows(sqlite_db, ApiKey))
        asked = {"name": "test", **body}
        problem = await it.post(keys_of(client), json=asked, status=status)
        assert problem["detail"].startswith(word)
        assert len(await rows(sqlite_db, ApiKey)) == before


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "leads:write"),
        ({"scopes": ["client:write", "leads:write"]}, "leads:write"),
        ({"kind": "publishable", "origin": "https://shop.example"}, "intake"),
    ],
    ids=["all", "one-more", "page"],
)
async def test_a_key_makes_none_that_opens_more(
    db: Database, body: dict[str, Any], word: str
) -> None:
    async with office(db) as it:
        client = await it.make()
        some = await it.key(client, "client:write", "leads:read")
        asked = {"name": "more", **body}
        problem = await it.post(keys_of(client), key=some, json=asked, status=403)
        assert word in problem["detail"]
        less = {"name": "less", "scopes": ["leads:read"]}
        assert await it.post(keys_of(client), key=some, json=less, status=201)


async def test_a_key_makes_none_that_outlasts_it(db: Database) -> None:
    async with office(db) as it:
        client = await it.make()
        ending = await it.key(client, expires_at=soon(2))
        for body in ({"name": "n"}, {"name": "n", "expires_at": soon(3)}):
            problem = await it.post(keys_of(client), key=ending, json=body, status=403)
            assert problem["detail"].startswith("expires_at")
        within = {"name": "n", "expires_at": soon(1)}
        assert await it.post(keys_of(client), key=ending, json=within, status=201)


async def test_another_clients_key_is_none(db: Database) -> None:
    async with office(db) as it:
        mine, other = await it.make(), await it.make(slug="other")
        (theirs,) = (await it.get(keys_of(other)))["items"]
        path = f"{keys_of(mine)}/{theirs['id']}"
        for key in (mine["api_key"], None):
            problem = await it.ask("DELETE", path, key=key, status=404)
            assert problem.json()["detail"] == "no such key"
        await it.get("/leads/stats", key=other["api_key"])


async def test_the_client_default_neither_sees_nor_revokes_admin_keys(db: Database) -> None:
    async with office(db) as it:
        default = {"id": str(it.default.id)}
        own = await it.key(default)
        listed = (await it.get(keys_of(default)))["items"]
        (admin,) = [one for one in listed if one["kind"] == "admin"]
        assert admin["id"] not in str(await it.get(keys_of(default), key=own))
        path = f"{keys_of(default)}/{admin['id']}"
        await it.ask("DELETE", path, key=own, status=404)
        await it.post(f"{CLIENTS}/{default['id']}/rotate-api-key", json={"grace_seconds": 0})
        assert await it.get(CLIENTS), "a rotation of the client's keys leaves the admin key alone"


async def test_the_list_of_keys_is_read_page_by_page(db: Database) -> None:
    async with office(db) as it:
        client = await it.make()
        for _ in range(3):
            await it.key(client)
        first = await it.get(keys_of(client), params={"limit": 3})
        query = {"limit": 3, "cursor": first["next_cursor"]}
        second = await it.get(keys_of(client), params=query)
        found = [one["id"] for one in (*first["items"], *second["items"])]
        assert len(found) == len(set(found)) == 4 and second["next_cursor"] is None


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_keys_are_seen_and_made_with_the_scopes_of_the_client(
    sqlite_db: Database, method: str
) -> None:
    async with office(sqlite_db) as it:
        client = await it.make()
        wrong = await it.key(client, "leads:read", "leads:write", "intake")
        body = {"name": "n", "scopes": ["leads:read"]} if method == "POST" else None
        problem = await it.ask(method, keys_of(client), key=wrong, json=body, status=403)
        scope = "client:write" if method == "POST" else "client:read"
        assert problem.json()["detail"] == f"X-API-Key: this key has not the scope {scope}"


async def test_a_rotated_key_is_refused_after_the_grace_and_the_new_one_works(
    db: Database,
) -> None:
    async with office(db) as it:
        made = await it.make()
        one = f"{CLIENTS}/{made['id']}"
        answer = await it.ask("POST", f"{one}/rotate-api-key", key=made["api_key"])
        rotated = answer.json()
        assert rotated["id"] == made["id"] and answer.headers["cache-control"] == "no-store"
        end = datetime.fromisoformat(rotated["old_keys_end_at"])
        assert 23.9 * 3600 < (end - datetime.now(UTC)).total_seconds() < 24.1 * 3600
        for key in (made["api_key"], rotated["api_key"]):
            await it.get("/leads/stats", key=key)
        at_once = await it.post(f"{one}/rotate-api-key", json={"grace_seconds": 0})
        for key in (made["api_key"], rotated["api_key"]):
            gone = await it.ask("GET", "/leads/stats", key=key, status=401)
            assert gone.headers["www-authenticate"] == "Bearer"
        await it.get("/leads/stats", key=at_once["api_key"])
        for grace in (-1, 10**9, "a day"):
            await it.post(f"{one}/rotate-api-key", json={"grace_seconds": grace}, status=422)


async def test_a_key_that_ends_or_opens_less_makes_no_new_one_for_all(db: Database) -> None:
    """Who has stolen a key must not outlast its rotation."""
    async with office(db) as it:
        made = await it.make()
        one = f"{CLIENTS}/{made['id']}"
        some = await it.key(made, "client:write", "client:read")
        await it.post(f"{one}/rotate-api-key", key=some, status=403)
        await it.post(f"{one}/rotate-api-key")
        await it.post(f"{one}/rotate-api-key", key=made["api_key"], status=403)


@pytest.mark.parametrize(
    ("what", "grace_seconds", "status"),
    [
        ("rotate-api-key", 0, 401),
        ("rotate-api-key", 3600, 403),
        ("keys", 0, 401),
        ("keys", 60, 403),
    ],
)
async def test_a_key_that_was_replaced_meanwhile_makes_no_other(
    db: Database, what: str, grace_seconds: int, status: int
) -> None:
    """It is good when the request begins, and is replaced before its body is there."""
    async with office(db) as it:
        made = await it.make()
        one = f"{CLIENTS}/{made['id']}"
        body = {"grace_seconds": 0} if what == "rotate-api-key" else {"name": "mine"}

        async def slowly() -> AsyncIterator[bytes]:
            await it.post(f"{one}/rotate-api-key", json={"grace_seconds": grace_seconds})
            yield json.dumps(body).encode()

        headers = {"Content-Type": "application/json"}
        await it.ask(
            "POST",
            f"{one}/{what}",
            key=made["api_key"],
            content=slowly(),
            headers=headers,
            status=status,
        )
        assert len((await it.get(f"{one}/keys"))["items"]) == 2, "the first one, and the owner's"


async def test_of_rotations_at_once_with_one_key_the_first_one_counts(db: Database) -> None:
    async with office(db) as it:
        made = await it.make()
        path, headers = f"{CLIENTS}/{made['id']}/rotate-api-key", {"X-API-Key": made["api_key"]}
        asked = {"json": {"grace_seconds": 0}, "headers": headers}
        answers = await asyncio.gather(*(it.client.post(path, **asked) for _ in range(4)))
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]
        (rotated,) = [answer.json() for answer in answers if answer.is_success]
        await it.get("/leads/stats", key=rotated["api_key"])
