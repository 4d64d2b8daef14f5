"""What is written when something happens, and what is not."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from ivr.db import Database
from ivr.db.tables import DeliveryState, OutboxEvent, Tenant, WebhookDelivery
from ivr.webhooks import endpoints, outbox
from tests.leads.cast import rows
from tests.webhooks.cast import NOW, emit, endpoint_of, tenant_of

URL = "https://crm.example/hook"


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """Every statement sent to the database in the block."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(db.engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine.sync_engine, "before_cursor_execute", note)


async def test_without_an_endpoint_nothing_is_written(db: Database, tenant: Tenant) -> None:
    await emit(db, tenant, 1, 2)
    assert await rows(db, OutboxEvent) == []


async def test_without_an_endpoint_many_events_cost_one_small_query(
    db: Database, tenant: Tenant
) -> None:
    with statements(db) as seen:
        await emit(db, tenant, 1, 2, 3, 4, 5)
    asked = [statement for statement in seen if "webhook" in statement]
    assert len(asked) == 1 and asked[0].startswith("SELECT")
    assert [statement for statement in seen if statement.startswith("INSERT")] == []


async def test_each_endpoint_that_wants_the_type_is_to_be_told(
    db: Database, tenant: Tenant
) -> None:
    every = await endpoint_of(db, tenant, URL)
    stages = await endpoint_of(db, tenant, URL, "lead.stage_changed", "escalation.opened")
    await endpoint_of(db, tenant, URL, "submission.failed")
    gone = await endpoint_of(db, tenant, URL)
    async with db.write() as session:
        await endpoints.disable(session, await session.merge(gone), "removed", now=NOW)
    await emit(db, tenant)
    (happened,) = await rows(db, OutboxEvent)
    told = await rows(db, WebhookDelivery)
    assert {one.endpoint_id for one in told} == {every.id, stages.id}
    assert {(one.event_id, one.state) for one in told} == {(happened.id, DeliveryState.PENDING)}
    assert (happened.type, happened.payload["seq"]) == ("lead.stage_changed", 1)


async def test_a_type_that_nobody_wants_leaves_no_event(db: Database, tenant: Tenant) -> None:
    await endpoint_of(db, tenant, URL, "submission.failed")
    await emit(db, tenant)
    assert await rows(db, OutboxEvent) == []


async def test_another_business_is_told_nothing(db: Database, tenant: Tenant) -> None:
    await endpoint_of(db, await tenant_of(db, "other"), URL)
    await emit(db, tenant)
    assert await rows(db, WebhookDelivery) == []


async def test_what_is_undone_did_not_happen(db: Database, tenant: Tenant) -> None:
    await endpoint_of(db, tenant, URL)
    with pytest.raises(LookupError):
        async with db.write() as session:
            await outbox.emit(
                session, tenant.id, "lead.stage_changed", lead_id=None, data={}, now=NOW
            )
            raise LookupError
    assert await rows(db, OutboxEvent) == []


async def test_the_first_event_after_an_endpoint_of_another_process_is_told(
    db: Database, tenant: Tenant
) -> None:
    await emit(db, tenant, 1)
    other = Database(db.url)
    await endpoint_of(other, tenant, URL)
    await other.close()
    await emit(db, tenant, 2)
    (happened,) = await rows(db, OutboxEvent)
    assert happened.payload["seq"] == 2


async def test_an_endpoint_waits_for_those_who_have_looked_for_one(
    db: Database, tenant: Tenant
) -> None:
    """Else a transaction that ends after it could hold an event that it is not told of."""
    other = Database(db.url)
    async with db.write() as session:
        row = OutboxEvent(
            tenant_id=tenant.id, type="lead.stage_changed", payload={}, created_at=NOW
        )
        session.add(row)  # as the transition, before its event: it holds the tenant's row
        await session.flush()
        await outbox.emit(session, tenant.id, "lead.stage_changed", lead_id=None, data={}, now=NOW)
        adding = asyncio.create_task(endpoint_of(other, tenant, URL))
        done, _ = await asyncio.wait({adding}, timeout=0.3)
        assert not done
    await adding
    await other.close()
    assert await rows(db, WebhookDelivery) == []
