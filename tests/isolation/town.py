"""Two clients of one served installation, and everything of each that a request can name."""

import re
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import and_, or_
from sqlmodel import col, select

from ivr import api_keys, tenants
from ivr.db.tables import (
    Conversation,
    ConversationStatus,
    KeyKind,
    Submission,
    SubmissionState,
    utc_now,
)
from tests.channels.world import World, world
from tests.db.every_table import all_rows
from tests.leads.cast import until

# A matrix asks more in a minute than anybody may.
NO_LIMITS = {
    f"rate_limit_{what}_per_minute": 0 for what in ("key", "intake", "address", "failures")
}
CLIENTS = "/api/v1/clients"
RULE = {
    "name": "in a hurry",
    "conditions": {"all": [{"field": "channel", "op": "equals", "value": "sms"}]},
    "outcome": "NURTURING",
}
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)?")
_PHONE = re.compile(r"\+1 \d{3}-\d{3}-\d{4}")
_SECONDS = re.compile(r'"\w+_seconds":[\d.]+,')
_HASH = re.compile(r'"[0-9a-f]{64}"|ivr_[sp]k_\w+')

Things = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Resident:
    """A client: its keys, and what it has, by kind."""

    key: str
    public_key: str
    things: Things

    @property
    def id(self) -> uuid.UUID:
        return uuid.UUID(self.things["client"])


@dataclass(frozen=True, slots=True)
class Town:
    """The server, whose admin key it is, and the two clients."""

    world: World
    http: httpx.AsyncClient
    admin_key: str
    ours: Resident
    theirs: Resident

    async def ask(
        self,
        method: str,
        path: str,
        key: str | None,
        *,
        headers: Mapping[str, str] | None = None,
        **request: Any,
    ) -> httpx.Response:
        """Send a request with a key of ours, theirs or the admin's, or with none."""
        given = {**(headers or {}), **({} if key is None else {"X-API-Key": key})}
        return await self.http.request(method, path, headers=given, **request)

    async def at_rest(self) -> None:
        """Wait until nothing is left to be done of what was said before."""
        await until(self._is_at_rest)

    async def _is_at_rest(self) -> bool:
        now = utc_now()
        is_open = col(Conversation.status) == ConversationStatus.OPEN
        is_due = and_(is_open, col(Conversation.finish_after) <= now)
        is_answered = col(Conversation.answering_until) > now
        is_tried = and_(
            col(Submission.state) == SubmissionState.PENDING,
            col(Submission.next_attempt_at) <= now,
        )
        is_sent = col(Submission.state) == SubmissionState.IN_FLIGHT
        queries = (
            select(Conversation.id).where(or_(is_due, is_answered)),
            select(Submission.id).where(or_(is_tried, is_sent)),
        )
        async with self.world.db.read() as session:
            found = [(await session.exec(query.limit(1))).first() for query in queries]
        return found == [None, None]

    async def rows_of(self, resident: Resident) -> Mapping[str, list[tuple[Any, ...]]]:
        """Return every row of a client."""
        return await all_rows(self.world.db, resident.id)


def nobody() -> Things:
    """Return names like those of a client's things, of which there is none."""
    return {
        **{kind: str(uuid.uuid4()) for kind in ("client", "lead", "conversation", "escalation")},
        **{kind: str(uuid.uuid4()) for kind in ("key", "rule", "etag")},
        **{kind: f"{kind}-nobody" for kind in ("session", "visitor", "event", "slug")},
        "name": "Nora Nobody",
        "phone": "+17705550199",
        "email": "nora@nobody.example",
        "alias": "me@nobody.example",
        "number": "+18005550199",
    }


def plain(text: str, *named: Things) -> str:
    """Return an answer without what differs from one request to the next."""
    things = [(value, kind) for one in named for kind, value in one.items()]
    for value, kind in sorted(things, key=lambda thing: -len(thing[0])):  # slugs are in the others
        text = text.replace(value, f"<{kind}>")
    for pattern, word in (
        (_PHONE, "<phone>"),
        (_ID, "<id>"),
        (_TIME, "<time>"),
        (_HASH, "<hash>"),
        (_SECONDS, ""),
    ):
        text = pattern.sub(word, text)
    return text


@asynccontextmanager
async def town_at(database_url: str) -> AsyncIterator[Town]:
    """Open the server, and have two clients move in through its doors."""
    async with world(database_url, **NO_LIMITS) as w, _client(w) as http:
        admin_key = await _admin_key(w)
        empty = Town(w, http, admin_key, *[Resident("", "", {})] * 2)
        ours = await _move_in(empty, "oak", "+18005550101", "Olga Ours", "+17705550111")
        theirs = await _move_in(empty, "thorn", "+18005550102", "Theo Theirs", "+17705550122")
        yield Town(w, http, admin_key, ours, theirs)


def _client(w: World) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=w.url, timeout=60, trust_env=False)


async def _admin_key(w: World) -> str:
    now = utc_now()
    default = await tenants.ensure_default(w.db, w.settings, now=now)
    async with w.db.write() as session:
        _, key = api_keys.make(session, default.id, kind=KeyKind.ADMIN, name="admin", now=now)
    return key


async def _move_in(town: Town, slug: str, number: str, name: str, phone: str) -> Resident:
    made = await _said(
        town,
        "POST",
        CLIENTS,
        town.admin_key,
        json={
            "name": f"{slug.title()} Realty",
            "slug": slug,
            "industry": "real_estate",
            "timezone": "UTC",
            "phone_numbers": [number],
        },
    )
    key, rules = made["api_key"], f"{CLIENTS}/{made['id']}/qualification-rules"
    things = {"client": made["id"], "slug": slug, "number": number, "name": name, "phone": phone}
    things |= {"email": f"someone@{slug}.example", "alias": f"me@{slug}.example"}
    things |= {"event": f"event-{slug}"}
    things |= {"session": f"session-{slug}", "visitor": f"visitor-{slug}"}
    person = {kind: things[kind] for kind in ("name", "phone", "email")}

    lead = await _said(
        town,
        "POST",
        "/api/v1/leads",
        key,
        json=person,
        headers={"Idempotency-Key": things["event"]},
    )
    etag = (await town.ask("GET", f"/api/v1/leads/{lead['id']}", key)).headers["etag"]
    await _said(town, "POST", "/webhooks/web-form", key, json={**person, "message": "Hello"})
    chat = {"message": "Hi", "session_id": things["session"]}
    talk = await _said(town, "POST", "/chat", key, json=chat)
    visit = {"message": "Hi", "session_id": things["visitor"], "email": things["alias"]}
    await _said(town, "POST", "/webhooks/live-chat", key, json=visit)
    conversation = talk["conversation_id"]
    escalate = f"/api/v1/conversations/{conversation}/escalate"
    await _said(town, "POST", escalate, key, json={})
    open_ones = await _said(town, "GET", "/api/v1/escalations", key)
    rule = await _said(town, "POST", rules, key, json=RULE)
    public = {"name": "site", "kind": "publishable", "origin": f"https://{slug}.example"}
    site = await _said(town, "POST", f"{CLIENTS}/{made['id']}/keys", key, json=public)
    things |= {"lead": lead["id"], "conversation": conversation, "etag": etag.strip('"')}
    things |= {"escalation": _first(open_ones)["id"], "rule": rule["id"], "key": site["id"]}
    return Resident(key, site["api_key"], things)


def _first(listed: dict[str, Any]) -> dict[str, Any]:
    (items,) = (value for value in listed.values() if isinstance(value, list))
    first: dict[str, Any] = items[0]
    return first


async def _said(town: Town, method: str, path: str, key: str, **request: Any) -> Any:
    answer = await town.ask(method, path, key, **request)
    assert answer.is_success, f"{method} {path}: {answer.text}"
    return answer.json()
