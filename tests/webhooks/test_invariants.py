"""Invariant 18 under any order of events, failures, deaths and operators: nothing vanishes."""

import asyncio
import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr.db import Database
from ivr.db.tables import DeliveryState, OutboxEvent, Tenant
from ivr.webhooks import endpoints, replay, signing
from ivr.webhooks.delivery import DELAYS, LEASE, Deliveries
from tests.leads.cast import Clock, rows
from tests.webhooks.cast import (
    SEAL,
    attempt_due,
    delivery_rows,
    emit,
    endpoint_of,
    secret_of,
    tenant_of,
)

URLS = ("https://one.example/", "https://two.example/")
STEPS = st.one_of(
    st.just(("emit",)),
    st.tuples(st.just("answer"), st.sampled_from([204, 500, 429, 302, 410, 0])),
    st.tuples(st.just("die"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 5, 60, 3600, 90_000])),
    st.just(("replay",)),
    st.just(("disable",)),
)


class Dying(Deliveries):
    """A process that dies before the request leaves, or before its answer is written down."""

    sends_first = False

    async def _post(self, parcel):  # type: ignore[no-untyped-def]  # private types
        if self.sends_first:
            await super()._post(parcel)
        raise asyncio.CancelledError


class World:
    """Receivers that remember what they took, and a business that tells them."""

    def __init__(self, db: Database, tenant: Tenant) -> None:
        self.db, self.tenant, self.clock = db, tenant, Clock()
        self.status, self.took, self.events = 204, Counter[tuple[str, str]](), 0
        self.secrets: dict[str, str] = {}
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        url, now = str(request.url), self.clock.now
        name = signing.verify(request.headers, request.content, self.secrets[url], now=now)
        if self.status == 0:
            raise httpx.ReadError("broken")
        if self.status == 204:
            self.took[name, url] += 1
        return httpx.Response(self.status, headers={"Retry-After": "7"})

    def process(self, kind: type[Deliveries] = Deliveries) -> Deliveries:
        return kind(self.db, self.http, only_public=False, seal=SEAL, clock=self.clock)

    async def step(self, step: tuple[object, ...]) -> None:
        match step:
            case ("emit",):
                self.events += 1
                await emit(self.db, self.tenant, self.events, now=self.clock.now)
            case ("answer", int(status)):
                self.status = status
                await attempt_due(self.process())
            case ("die", bool(sends_first)):
                await self._die(sends_first=sends_first)
            case ("wait", int(seconds)):
                self.clock.advance(timedelta(seconds=seconds))
            case ("replay",):
                async with self.db.write() as session:
                    early = self.clock.now - timedelta(days=1)
                    await replay.since(session, self.tenant.id, early, now=self.clock.now)
            case ("disable",):
                async with self.db.write() as session:
                    one = (await endpoints.of_tenant(session, self.tenant.id))[0]
                    await endpoints.disable(session, one, "removed", now=self.clock.now)

    async def _die(self, *, sends_first: bool) -> None:
        dying = self.process(Dying)
        assert isinstance(dying, Dying)
        dying.sends_first = sends_first
        await asyncio.gather(attempt_due(dying), return_exceptions=True)

    async def check(self) -> None:
        """Every event stands, and what is called delivered was taken."""
        async with self.db.read() as session:
            found = await endpoints.of_tenant(session, self.tenant.id)
        urls = {endpoint.id: endpoint.url for endpoint in found}
        for row in await delivery_rows(self.db):
            waits = row.state in endpoints.WAITING
            assert waits == (row.next_attempt_at is not None)
            assert (row.state == DeliveryState.DELIVERED) == (row.delivered_at is not None)
            if row.state == DeliveryState.DELIVERED:
                assert self.took[str(row.event_id), urls[row.endpoint_id]] >= 1

    async def calm_down(self) -> None:
        """Let everything heal: then each delivery is over."""
        self.status = 204
        self.clock.advance(LEASE + DELAYS[-1] * 2)
        while await attempt_due(self.process()):
            pass


async def _live_through(url: str, steps: list[tuple[object, ...]]) -> None:
    db = Database(url)
    world = World(db, await tenant_of(db))
    for address in URLS:
        endpoint = await endpoint_of(db, world.tenant, address)
        world.secrets[address] = secret_of(endpoint)
    for step in steps:
        await world.step(step)
        await world.check()
    await world.calm_down()
    states = {row.state for row in await delivery_rows(db)}
    assert states <= {DeliveryState.DELIVERED, DeliveryState.PARKED}
    await world.check()
    told = {row.event_id for row in await delivery_rows(db)}
    assert {event.id for event in await rows(db, OutboxEvent)} == told
    await world.http.aclose()
    await db.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=3, max_size=14))
def test_each_event_is_delivered_or_parked_whatever_happens(
    sqlite_template: Path, steps: list[tuple[object, ...]]
) -> None:
    with TemporaryDirectory() as folder:
        path = shutil.copy(sqlite_template, folder)
        asyncio.run(_live_through(f"sqlite+aiosqlite:///{path}", [("emit",), *steps]))
