"""Two clients on one server, with calls and texts at the same time: nothing is crossed."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from sqlalchemy import func, select
from sqlmodel import SQLModel

from ivr import api_keys
from ivr.db import Database
from ivr.db.tables import KeyKind, Tenant, utc_now
from tests.calls.world import NPA_PASSWORD, NPA_USER, World, brisk, short, talk_through, world
from tests.leads.cast import LEAD, rows, until
from tools.emulators.openai.chat_script import Call as Tool
from tools.emulators.openai.chat_script import Say, Shown, save
from tools.emulators.receiver import LeadReceiver
from tools.scenarios import Call, Expect, Scenario, Turn

SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
# The same people turn to both.
CALLERS = ("+17705550123", "+17705550124")
TEXTERS = ("+17705550126", "+17705550127")
VISITOR = "+17705550129"
PATIENCE = 90.0  # seconds: much is done at once
BYE = Call("end_call", {"reason": "complete"})


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the server: what it is called, and how it is called."""

    name: str
    number: str
    scenario: Scenario
    told: str  # by who writes
    api: httpx.AsyncClient


def saves(name: str, value: str) -> Call:
    return Call("save_field", {"name": name, "value": value, "heard_as": value})


REALTY = Scenario(
    name="realty",
    title="Sara wants to buy",
    profile="real_estate",
    caller=CALLERS[0],
    called="+18005550002",
    turns=(
        Turn("Your name?", "Sara"),
        Turn("Buy or rent?", "Buy", (saves("name", "Sara"),)),
        Turn("Thank you. Goodbye!", "", (saves("service_interest", "buy"),), (BYE,)),
    ),
    expect=Expect({"name": "Sara", "service_interest": "buy"}),
    extraction={"name": "Sara", "service_interest": "buy"},
)
BIKE_TOLD = "; ".join(f"{key}={value}" for key, value in LEAD.items() if key != "phone")
HOME_TOLD = (
    "name=Sara; service_interest=buy; property_type=apartment; location=Dammam; "
    "budget=800000 SAR; timeline=next month"
)


def mind(shown: Shown) -> Say:
    """Save what is told as `key=value`, then greet and say goodbye as the instructions want it."""
    told = re.findall(r"(\w+)=([^;]+)", shown.last_message)
    if shown.round == 0:
        return Say(calls=tuple(save(key, value.strip()) for key, value in told))
    greeting = re.search(r'begin in words like: "(.+?)"', shown.instructions)
    closing = re.search(r"contact's language, in words like: \"(.+?)\"", shown.instructions)
    words = " ".join(found[1] for found in (greeting, closing) if found)
    ends = (Tool("end_call", {"reason": "complete"}),) if shown.round == 1 else ()
    return Say(text=f"{words}\n[confidence: 0.9]", calls=ends)


@asynccontextmanager
async def two_clients(
    database_url: str, receiver: LeadReceiver
) -> AsyncIterator[tuple[World, Client, Client]]:
    """One server whose own settings have no target, and two clients made through its interface."""
    none = {"npa_api_base_url": None, "npa_api_username": None, "npa_api_password": None}
    async with world(database_url, scenario=brisk(), text_model_seconds=60, **none) as w:
        w.openai.own_numbers = True
        w.openai.other_scenarios.append((re.compile("Test Realty|Sara"), REALTY))
        w.openai.think(mind)
        npa = {
            "name": "npa",
            "base_url": w.npa.base_url,
            "username": NPA_USER,
            "password": NPA_PASSWORD,
            "lead_source": "BIKES",
        }
        webhook = {"name": "webhook", "url": receiver.url, "secret": SECRET}
        async with admin(w) as http:
            bikes = await make(w, http, "Bike Barn", "+18005550001", "powersports", npa)
            homes = await make(w, http, "Test Realty", "+18005550002", "real_estate", webhook)
        async with bikes.api, homes.api:
            yield w, bikes, homes


@asynccontextmanager
async def admin(w: World) -> AsyncIterator[httpx.AsyncClient]:
    default = (await rows(w.db, Tenant))[0]
    async with w.db.write() as session:
        _, key = api_keys.make(session, default.id, kind=KeyKind.ADMIN, name="admin", now=utc_now())
    async with client_with(w, key) as http:
        yield http


def client_with(w: World, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=w.url, headers={"X-API-Key": key}, timeout=60, trust_env=False
    )


async def make(
    w: World, http: httpx.AsyncClient, name: str, number: str, profile: str, target: dict[str, str]
) -> Client:
    body = {
        "name": name,
        "slug": name.lower().replace(" ", "-"),
        "timezone": "Asia/Riyadh",
        "profile": profile,
        "phone_numbers": [number],
        "config": {"target": target, "tone": f"The voice of {name}."},
    }
    answer = await http.post("/api/v1/clients", json=body)
    assert answer.status_code == 201, answer.text
    assert target.get("password", SECRET) not in answer.text.replace(answer.json()["api_key"], "")
    is_bikes = profile == "powersports"
    return Client(
        name=name,
        number=number,
        scenario=w.scenario if is_bikes else REALTY,
        told=BIKE_TOLD if is_bikes else HOME_TOLD,
        api=client_with(w, answer.json()["api_key"]),
    )


async def calls_in(w: World, client: Client, caller: str) -> None:
    call = await w.twilio.call(from_=caller, to=client.number)
    await talk_through(call, client.scenario)
    assert await call.ended() == "completed"


async def texts(w: World, client: Client, number: str) -> list[str]:
    texter = w.twilio.texter(number, client.number)
    await texter.text(f"{client.told}; phone={number}")

    def own() -> list[str]:
        return [one["body"] for one in texter.received if one["from"] == client.number]

    await until(lambda: bool(own()), seconds=PATIENCE)
    return own()


async def chats(client: Client, session_id: str) -> list[str]:
    body = {"message": f"{client.told}; phone={VISITOR}", "session_id": session_id}
    answer = await client.api.post("/chat", json=body)
    assert answer.status_code == 200, answer.text
    return [answer.json()["response"]]


async def crossed(db: Database) -> Counter[str]:
    """Return how many rows point to a row of another tenant, by table and column."""
    found: Counter[str] = Counter()
    async with db.read() as session:
        connection = await session.connection()
        for table in SQLModel.metadata.sorted_tables:
            for key in table.foreign_keys if "tenant_id" in table.c else ():
                parent = key.column.table.alias()
                if "tenant_id" not in parent.c:
                    continue
                joined = table.join(parent, key.parent == parent.c[key.column.name])
                astray = table.c.tenant_id != parent.c.tenant_id
                count = select(func.count()).select_from(joined).where(astray)
                found[f"{table.name}.{key.parent.name}"] += (
                    await connection.execute(count)
                ).scalar_one()
    assert len(found) > 20, "there are many ways from row to row"
    return +found


async def test_two_clients_at_once_and_nothing_is_crossed(database_url: str) -> None:
    async with (
        LeadReceiver(SECRET) as receiver,
        two_clients(database_url, receiver) as (w, bikes, homes),
    ):
        async with asyncio.TaskGroup() as group:
            said = {
                client.name: [
                    *[group.create_task(texts(w, client, number)) for number in TEXTERS],
                    group.create_task(chats(client, "the-same-visitor")),
                ]
                for client in (bikes, homes)
            }
            for client in (bikes, homes):
                for caller in CALLERS:
                    group.create_task(calls_in(w, client, caller))

        async def is_delivered() -> bool:
            books = await w.books()
            return all(one.finished_at for one in books.conversations)

        await until(is_delivered, seconds=PATIENCE)
        books, astray = await w.books(), await crossed(w.db)
        tenants = {tenant.name: tenant for tenant in await rows(w.db, Tenant)}
        sessions = [
            str(one.received.of("session.update")[0]["session"]["instructions"])
            for one in w.openai.sessions
        ]

    assert not astray
    barn, realty = tenants["Bike Barn"].id, tenants["Test Realty"].id
    for client, other in ((bikes, homes), (homes, bikes)):
        words = [text for task in said[client.name] for text in task.result()]
        assert words and all(client.name in text and other.name not in text for text in words)
    told = Counter(
        name for text in sessions for name in ("Bike Barn", "Test Realty") if name in text
    )
    assert told == {"Bike Barn": len(CALLERS), "Test Realty": len(CALLERS)}
    assert all(
        f"The voice of {name}." in text for text in sessions for name in told if name in text
    )
    assert {row.tenant_id for row in books.leads} == {barn, realty}
    assert {row.tenant_id for row in books.conversations} == {barn, realty}
    taken = {row.tenant_id: row for row in books.succeeded}
    assert set(taken) == {barn, realty} and books.failed == []
    at_npa = {lead["refNumber"] for lead in w.npa.leads}
    at_realty = {one.message_id for one in receiver.taken}
    of = {
        tenant: {str(it.id) for it in books.submissions if it.tenant_id == tenant}
        for tenant in (barn, realty)
    }
    assert (at_npa, at_realty) == (of[barn], of[realty])
    assert {lead["leadSource"] for lead in w.npa.leads} == {"BIKES"}
    assert all(lead["make"] == "Yamaha" for lead in w.npa.leads)
    assert all(one.data["name"] == "Sara" for one in receiver.taken)


async def test_without_a_target_of_its_own_a_client_s_leads_go_nowhere_else(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        async with admin(w) as http:
            body = {
                "name": "Bike Barn",
                "slug": "bike-barn",
                "timezone": "UTC",
                "profile": "powersports",
                "phone_numbers": ["+18005550001"],
            }
            assert (await http.post("/api/v1/clients", json=body)).status_code == 201
        call = await w.twilio.call(from_=CALLERS[0], to="+18005550001")
        await talk_through(call, w.scenario)
        await call.ended()
        await w.finished(call)
        books = await w.books()

    (failed,) = books.failed
    assert "config.target.base_url" in failed.error_message
    assert w.npa.requests == []
