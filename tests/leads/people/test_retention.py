"""What is kept too long is forgotten: people by their business's word, traces after a month."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest

from ivr.db import Database
from ivr.db.tables import (
    Contact,
    Conversation,
    ConversationStatus,
    DeliveryState,
    Escalation,
    EscalationState,
    IdempotencyRecord,
    InboundEvent,
    Lead,
    OutboxEvent,
    Task,
    TaskKind,
    Trigger,
    WebhookDelivery,
    WebhookEndpoint,
)
from ivr.leads.people import erasing
from ivr.leads.people.retention import Retention
from tests.leads.cast import JOHN, NOW, Clock, rows
from tests.leads.people.gone_quiet import person

DAY = timedelta(days=1)


async def sweep(db: Database, now: datetime) -> int:
    clock = Clock()
    clock.now = now
    return await Retention(db, clock=clock).sweep()


async def prune(db: Database, now: datetime) -> int:
    clock = Clock()
    clock.now = now
    return await Retention(db, clock=clock).prune()


async def test_who_was_not_heard_of_for_so_long_is_forgotten_and_not_before(db: Database) -> None:
    await person(db)
    assert await sweep(db, NOW + 89 * DAY) == 0
    assert len(await rows(db, Contact)) == 1
    assert await sweep(db, NOW + 90 * DAY) == 1
    assert await rows(db, Contact) == await rows(db, Conversation) == await rows(db, Lead) == []
    assert await sweep(db, NOW + 90 * DAY) == 0


async def test_a_business_that_says_nothing_keeps_its_people(db: Database) -> None:
    await person(db, days=None)
    assert await sweep(db, NOW + 3650 * DAY) == 0


async def test_who_has_something_open_is_kept(db: Database) -> None:
    await person(db, closed=False)
    assert await sweep(db, NOW + 365 * DAY) == 0


async def test_who_came_again_with_another_lead_is_kept(db: Database) -> None:
    lead = await person(db)
    async with db.write() as session:
        again = lead.model_copy(update={"id": uuid.uuid4(), "created_at": NOW + 80 * DAY})
        again.last_inbound_at = NOW + 80 * DAY
        session.add(Lead(**again.model_dump()))
    assert await sweep(db, NOW + 100 * DAY) == 0
    assert await sweep(db, NOW + 170 * DAY) == 1
    assert await rows(db, Lead) == []


async def test_who_cannot_be_forgotten_keeps_nobody_else_waiting(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await person(db), await person(db, number=JOHN)
    erase = erasing.erase

    async def fails(session: Any, whole: Any, *given: Any, **more: Any) -> Any:
        if first.id in whole.leads:
            raise RuntimeError("a row that nobody foresaw")
        return await erase(session, whole, *given, **more)

    monkeypatch.setattr(erasing, "erase", fails)
    assert await sweep(db, NOW + 90 * DAY) == 1
    (left,) = await rows(db, Lead)
    assert left.id == first.id != second.id


def _task(lead: Lead, talk: Conversation) -> Any:
    return Task(
        **_whose(lead, talk), kind=TaskKind.CALL_BACK, reason="asked for it", created_at=NOW
    )


def _escalation(lead: Lead, talk: Conversation) -> Any:
    state = EscalationState.ACKNOWLEDGED
    return Escalation(
        **_whose(lead, talk), trigger=Trigger.STAFF, reason="-", state=state, created_at=NOW
    )


def _whose(lead: Lead, talk: Conversation) -> dict[str, Any]:
    return {"tenant_id": lead.tenant_id, "lead_id": lead.id, "conversation_id": talk.id}


@pytest.mark.parametrize("work", [_task, _escalation], ids=["task", "escalation"])
async def test_nobody_is_forgotten_for_whom_there_is_something_to_do(
    db: Database, work: Any
) -> None:
    lead = await person(db)
    (talk,) = await rows(db, Conversation)
    async with db.write() as session:
        session.add(work(lead, talk))
    assert await sweep(db, NOW + 365 * DAY) == 0


async def test_traces_are_pruned_after_a_month_and_what_is_parked_stays(db: Database) -> None:
    lead = await person(db)
    told = await event(db, lead, DeliveryState.DELIVERED)
    parked = await event(db, lead, DeliveryState.PARKED)
    waits = await event(db, lead, DeliveryState.PENDING)
    async with db.write() as session:
        session.add(_answer(lead))

    assert await prune(db, NOW + 29 * DAY) == 0
    assert await prune(db, NOW + 30 * DAY) == 3
    assert {row.id for row in await rows(db, OutboxEvent)} == {parked, waits}
    assert {row.event_id for row in await rows(db, WebhookDelivery)} == {parked, waits}
    assert told not in {parked, waits}
    assert await rows(db, InboundEvent) == await rows(db, IdempotencyRecord) == []
    assert len(await rows(db, Lead)) == 1


async def test_what_came_in_for_a_conversation_that_goes_on_stays(db: Database) -> None:
    await person(db)
    async with db.write() as session:
        (talk,) = await rows(db, Conversation)
        (await session.get_one(Conversation, talk.id)).status = ConversationStatus.OPEN
    assert await prune(db, NOW + 365 * DAY) == 0
    assert len(await rows(db, InboundEvent)) == 1


async def test_more_than_one_batch_is_pruned(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ivr.leads.people.retention.BATCH", 2)
    monkeypatch.setattr("ivr.leads.people.retention.PACE_SECONDS", 0.0)
    lead = await person(db)
    for _ in range(5):
        await event(db, lead, DeliveryState.DELIVERED)
    await prune(db, NOW + 31 * DAY)
    assert await rows(db, OutboxEvent) == []


async def event(db: Database, lead: Lead, state: DeliveryState) -> uuid.UUID:
    """Something that happened to a lead, and how far an endpoint was told of it."""
    whose = {"tenant_id": lead.tenant_id}
    async with db.write() as session:
        endpoint = WebhookEndpoint(**whose, url="https://a.example", secret="-", created_at=NOW)
        happened = OutboxEvent(
            **whose, type="lead.hot", lead_id=lead.id, payload={"name": "-"}, created_at=NOW
        )
        session.add_all([endpoint, happened])
        await session.flush()
        told = {"event_id": happened.id, "endpoint_id": endpoint.id, "updated_at": NOW}
        session.add(WebhookDelivery(**whose, **told, state=state))
    return happened.id


def _answer(lead: Lead) -> IdempotencyRecord:
    return IdempotencyRecord(
        tenant_id=lead.tenant_id, key="k", request_sha256="-", status=200, created_at=NOW
    )
