"""What was parked, or everything since some moment, is sent again."""

from datetime import timedelta

import pytest

from ivr.db import Database
from ivr.db.tables import DeliveryState, Tenant, WebhookDelivery
from ivr.errors import Conflict, NotFound
from ivr.webhooks import endpoints, replay
from tests.leads.cast import Clock
from tests.webhooks.cast import (
    attempt_due,
    delivery_rows,
    emit,
    endpoint_of,
    listening,
    process,
    tenant_of,
)
from tools.emulators.receiver import Receiver

HOUR = timedelta(hours=1)


async def parked_at(db: Database, row: WebhookDelivery) -> None:
    """Park a delivery, as days of failures do."""
    async with db.write() as session:
        found = await session.get_one(WebhookDelivery, row.id)
        found.state, found.attempts = DeliveryState.PARKED, 10
        found.next_attempt_at, found.last_error = None, "HTTP 500"


async def test_a_parked_delivery_is_listed_replayed_and_delivered(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    (row,) = await delivery_rows(db)
    await parked_at(db, row)
    async with db.read() as session:
        ((delivery, event, _),) = await replay.parked(session, tenant.id)
    assert (delivery.last_error, event.payload["seq"]) == ("HTTP 500", 1)
    async with process(db, clock, receiver) as deliveries:
        assert await attempt_due(deliveries) == []
        async with db.write() as session:
            await replay.one(session, tenant.id, row.id or 0, now=clock.now)
        assert await attempt_due(deliveries) == [DeliveryState.DELIVERED]
    assert [one.data["seq"] for one in receiver.taken] == [1]


async def test_what_is_on_its_way_foreign_or_disabled_is_not_replayed(
    db: Database, tenant: Tenant, clock: Clock
) -> None:
    endpoint = await endpoint_of(db, tenant, "https://crm.example/hook")
    await emit(db, tenant)
    (row,) = await delivery_rows(db)
    other = await tenant_of(db, "other")
    async with db.write() as session:
        with pytest.raises(Conflict, match="on its way"):
            await replay.one(session, tenant.id, row.id or 0, now=clock.now)
        with pytest.raises(NotFound):
            await replay.one(session, other.id, row.id or 0, now=clock.now)
        found = await endpoints.lock(session, endpoint.id)
        await endpoints.disable(session, found, "removed", now=clock.now)
    async with db.write() as session:
        with pytest.raises(Conflict, match="disabled"):
            await replay.one(session, tenant.id, row.id or 0, now=clock.now)


async def test_since_a_moment_everything_goes_out_again_also_to_a_newer_endpoint(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant, 1, now=clock.now - 2 * HOUR)
    await emit(db, tenant, 2, now=clock.now)
    async with Receiver() as newer, process(db, clock, receiver, newer) as deliveries:
        await attempt_due(deliveries)
        await listening(db, tenant, newer)
        await endpoint_of(db, tenant, newer.url, "submission.failed")
        async with db.write() as session:
            count = await replay.since(session, tenant.id, clock.now - HOUR, now=clock.now)
        assert count == 2
        await attempt_due(deliveries)
        assert sorted(one.data["seq"] for one in receiver.taken) == [1, 2, 2]
        assert [one.data["seq"] for one in newer.taken] == [2]


async def test_only_what_was_parked_since_then(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant, 1, 2)
    first, _ = await delivery_rows(db)
    await parked_at(db, first)
    async with process(db, clock, receiver) as deliveries:
        await attempt_due(deliveries)
        async with db.write() as session:
            count = await replay.since(
                session, tenant.id, clock.now - HOUR, only_parked=True, now=clock.now
            )
        assert count == 1
        await attempt_due(deliveries)
    assert set(receiver.ids.values()) == {1} and len(receiver.ids) == 2
