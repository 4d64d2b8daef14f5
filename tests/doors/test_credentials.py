"""Whose request it is, and what is noted of the key."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from fastapi import APIRouter
from sqlmodel import col, update

from ivr import api_keys
from ivr.api_keys import Scope
from ivr.channels import chat_messages
from ivr.db import Database
from ivr.db.tables import ApiKey, KeyKind, utc_now
from ivr.doors import credentials
from ivr.doors.credentials import Actor, ReadsLeads
from ivr.web import clients, escalations
from tests.leads.cast import until
from tests.leads.courses import centre
from tests.web.house import Interface, interface

WEEK = timedelta(days=7)
NOBODY = str(uuid.UUID(int=1))


async def _used(house: Interface) -> ApiKey:
    async with house.db.read() as session:
        (row,) = await api_keys.of_tenant(session, house.tenant.id)
        return row


async def test_an_operator_sees_when_a_key_was_last_used(db: Database) -> None:
    async with interface(db, await centre(db)) as house:
        assert (await _used(house)).last_used_at is None
        began = utc_now()
        await house.get("/leads/stats")

        async def is_noted() -> bool:
            return (await _used(house)).last_used_at is not None

        await until(is_noted)
        first = (await _used(house)).last_used_at
        assert first is not None and first >= began
        async with db.write() as session:
            await session.exec(
                update(ApiKey)
                .where(col(ApiKey.tenant_id) == house.tenant.id)
                .values(last_used_at=began - WEEK)
            )
        await house.get("/leads/stats")

        async def is_noted_again() -> bool:
            noted = (await _used(house)).last_used_at
            return noted is not None and noted >= began

        await until(is_noted_again)


async def test_the_hour_of_a_key_in_use_is_written_once(db: Database) -> None:
    async with interface(db, await centre(db)) as house:
        key = await _used(house)
        now = utc_now()
        for later in (timedelta(0), timedelta(minutes=59), timedelta(minutes=61)):
            async with db.write() as session:
                await api_keys.note_use(session, key.id, now=now + later)
        assert (await _used(house)).last_used_at == now + timedelta(minutes=61)
        async with db.write() as session:
            await api_keys.note_use(session, key.id, now=now + timedelta(minutes=62))
        assert (await _used(house)).last_used_at == now + timedelta(minutes=61)


# Which scope opens what: one route of each, with a body that every other key would be refused.
OPENED_BY = {
    ("GET", "/leads/stats"): Scope.LEADS_READ,
    ("GET", "/leads/by-stage/NEW"): Scope.LEADS_READ,
    ("GET", "/conversations/x/stage"): Scope.LEADS_READ,
    ("GET", "/api/v1/leads/stage-analytics"): Scope.LEADS_READ,
    ("POST", "/conversations/x/update-stage?new_stage=NEW"): Scope.LEADS_WRITE,
    ("POST", "/api/v1/conversations/x/release-stage"): Scope.LEADS_WRITE,
    ("POST", "/api/v1/leads/bulk-stage"): Scope.LEADS_WRITE,
    ("GET", "/api/v1/escalations"): Scope.CONVERSATIONS_READ,
    ("POST", f"/api/v1/escalations/{NOBODY}/take"): Scope.CONVERSATIONS_WRITE,
    ("GET", "/chat/x/messages"): Scope.CONVERSATIONS_READ,
    ("GET", "/webhooks/live-chat/messages?session_id=x"): Scope.INTAKE,
    ("GET", "/api/v1/clients/{client}"): Scope.CLIENT_READ,
    ("PATCH", "/api/v1/clients/{client}"): Scope.CLIENT_WRITE,
}
BODIES: dict[str, Any] = {
    "/api/v1/leads/bulk-stage": {"new_stage": "NEW", "lead_ids": [NOBODY]},
    f"/api/v1/escalations/{NOBODY}/take": {"assignee": "Sam"},
    "/api/v1/clients/{client}": {},
}


@pytest.mark.parametrize("scope", list(Scope))
async def test_a_key_opens_what_its_scopes_name_and_nothing_else(
    sqlite_db: Database, scope: Scope
) -> None:
    async with whole(sqlite_db) as house:
        some = await key(house, scopes=[scope])
        for (method, path), needed in OPENED_BY.items():
            where = path.format(client=house.tenant.id)
            body = BODIES.get(path) if method != "GET" else None
            answer = await house.client.request(
                method, where, json=body, headers={"X-API-Key": some}
            )
            if needed is scope:
                assert answer.status_code in {200, 404}, (where, answer.text)
                continue
            problem = answer.json()
            assert (answer.status_code, problem["status"]) == (403, 403), where
            assert problem["detail"] == f"X-API-Key: this key has not the scope {needed}"
            assert answer.headers["content-type"] == "application/problem+json"


async def test_an_admin_key_opens_no_leads_and_no_conversations(sqlite_db: Database) -> None:
    async with whole(sqlite_db) as house:
        admin = await key(house, kind=KeyKind.ADMIN)
        for (method, path), needed in OPENED_BY.items():
            where = path.format(client=house.tenant.id)
            body = BODIES.get(path) if method != "GET" else None
            answer = await house.client.request(
                method, where, json=body, headers={"X-API-Key": admin}
            )
            is_clients = needed in {Scope.CLIENT_READ, Scope.CLIENT_WRITE}
            assert answer.status_code == (200 if is_clients else 403), where


async def test_a_key_without_scopes_opens_all_that_is_its_clients(sqlite_db: Database) -> None:
    async with whole(sqlite_db) as house:
        for (method, path), _ in OPENED_BY.items():
            body = BODIES.get(path) if method != "GET" else None
            answer = await house.client.request(
                method, path.format(client=house.tenant.id), json=body
            )
            assert answer.status_code in {200, 404}, (path, answer.text)


@pytest.mark.parametrize("over", ["expires_at", "revoked_at"])
async def test_a_key_that_is_over_is_answered_as_one_that_never_was(
    db: Database, over: str
) -> None:
    async with interface(db, await centre(db)) as house:
        answers = [await house.client.get("/leads/stats", headers={"X-API-Key": "ivr_sk_nobody"})]
        async with db.write() as session:
            await session.exec(update(ApiKey).values({over: utc_now() - timedelta(seconds=1)}))
        answers.append(await house.client.get("/leads/stats"))
        bearer = {"X-API-Key": "", "Authorization": f"Bearer {house.key}"}
        answers.append(await house.client.get("/leads/stats", headers=bearer))
        for answer in answers:
            assert (answer.status_code, answer.text) == (401, answers[0].text)
            assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_body_of_who_has_no_good_key_is_not_read(sqlite_db: Database) -> None:
    async with whole(sqlite_db) as house:
        read = []

        async def body() -> AsyncIterator[bytes]:
            read.append("some")
            yield b"{}"

        path, headers = f"/api/v1/clients/{house.tenant.id}", {"Content-Type": "application/json"}
        for wrong in ("", "ivr_sk_nobody"):
            answer = await house.client.patch(
                path, content=body(), headers={**headers, "X-API-Key": wrong}
            )
            assert (answer.status_code, read) == (401, [])
        assert (await house.client.patch(path, content=body(), headers=headers)).is_success and read


async def test_a_key_that_ends_while_its_request_comes_in_opens_nothing(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request may be begun, and its body kept back until long after the key was revoked."""
    monkeypatch.setattr(credentials, "FRESH_SECONDS", 0)
    async with whole(db) as house:

        async def body() -> AsyncIterator[bytes]:
            async with house.db.write() as session:
                await session.exec(update(ApiKey).values(revoked_at=utc_now()))
            yield b'{"config": {"tone": "mine"}}'

        answer = await house.client.patch(
            f"/api/v1/clients/{house.tenant.id}",
            content=body(),
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 401, answer.text


async def test_who_did_it_is_told_by_the_beginning_of_the_key(sqlite_db: Database) -> None:
    router = APIRouter()

    @router.get("/who")
    async def who(_: ReadsLeads, actor: Actor) -> str:
        return actor

    async with interface(sqlite_db, await centre(sqlite_db), router) as house:
        actor = await house.get("/who")
        assert actor == f"api:{house.key[:15]}" and len(actor) == len("api:ivr_sk_8cFw2kQa")


@asynccontextmanager
async def whole(db: Database) -> AsyncIterator[Interface]:
    """The doors of this file, and one tenant's key without scopes."""
    doors = (escalations.router, chat_messages.router, clients.router)
    async with interface(db, await centre(db), *doors) as house:
        yield house


async def key(house: Interface, *, kind: KeyKind = KeyKind.SECRET, **given: Any) -> str:
    async with house.db.write() as session:
        _, made = api_keys.make(
            session, house.tenant.id, kind=kind, name="some", now=utc_now(), **given
        )
    return made
