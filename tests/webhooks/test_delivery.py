"""Each event is delivered at least once and signed, or parked; it never vanishes (invariant 18)."""

import asyncio
import os
import sys
from datetime import timedelta
from typing import Any, NoReturn

import httpx
import pytest

from ivr.db import Database
from ivr.db.tables import DeliveryState, Tenant, WebhookEndpoint, utc_now
from ivr.errors import DatabaseDown
from ivr.webhooks import delivery, endpoints, signing
from ivr.webhooks.delivery import DELAYS, LEASE, Deliveries
from tests.leads.cast import Clock, rows, until
from tests.webhooks.cast import (
    SEAL,
    attempt_due,
    delivery_rows,
    emit,
    endpoint_of,
    listening,
    process,
    secret_of,
    tenant_of,
)
from tools.emulators.receiver import Receiver, ReceiverFaults

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


async def test_each_event_arrives_once_signed_and_whole(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    endpoint = await listening(db, tenant, receiver)
    await emit(db, tenant, 1, 2, 3)
    async with process(db, clock, receiver) as deliveries:
        assert await attempt_due(deliveries) == [DeliveryState.DELIVERED] * 3
        assert await attempt_due(deliveries) == []
    assert sorted(one.data["seq"] for one in receiver.taken) == [1, 2, 3]
    assert set(receiver.ids.values()) == {1}
    first = receiver.taken[0]
    assert first.type == "lead.stage_changed" and "Ünïcode ✓".encode() in first.body
    assert signing.verify(first.headers, first.body, secret_of(endpoint), now=clock.now)
    plain = signing.plain_signature(secret_of(endpoint), first.body)
    assert first.headers["x-webhook-signature"] == plain


async def test_each_endpoint_is_told_with_its_own_secret(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    async with Receiver() as other:
        await listening(db, tenant, other)
        await emit(db, tenant)
        async with process(db, clock, receiver, other) as deliveries:
            await attempt_due(deliveries)
        assert (len(receiver.taken), len(other.taken)) == (1, 1)
        assert receiver.ids == other.ids
        assert receiver.secrets != other.secrets


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (ReceiverFaults(status=500), "HTTP 500 told to fail"),
        (ReceiverFaults(status=404), "HTTP 404 told to fail"),
        (ReceiverFaults(hang=True), "no answer in 0.3 s"),
        (ReceiverFaults(slow_s=30), "no answer in 0.3 s"),
        (ReceiverFaults(redirect="http://127.0.0.1:9/"), "HTTP 307 redirects are not followed"),
    ],
)
async def test_a_failure_is_noted_and_tried_again_later(
    db: Database,
    tenant: Tenant,
    receiver: Receiver,
    clock: Clock,
    faults: ReceiverFaults,
    error: str,
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    receiver.faults = faults
    async with process(db, clock, receiver, request_seconds=0.3) as deliveries:
        assert await attempt_due(deliveries) == [DeliveryState.PENDING]
        assert receiver.requests == 1
        (row,) = await delivery_rows(db)
        assert (row.last_error, row.next_attempt_at) == (error, clock.now + DELAYS[0])
        assert await attempt_due(deliveries) == []
        receiver.faults = ReceiverFaults()
        clock.advance(DELAYS[0])
        assert await attempt_due(deliveries) == [DeliveryState.DELIVERED]
    (row,) = await delivery_rows(db)
    assert (row.last_error, row.last_status_code, row.attempts) == (None, 204, 2)
    assert set(receiver.ids.values()) == {1}


async def test_where_nobody_listens_it_is_tried_again(
    db: Database, tenant: Tenant, clock: Clock
) -> None:
    await endpoint_of(db, tenant, "http://127.0.0.1:9/hook")
    await endpoint_of(db, tenant, "http://nowhere.invalid/hook")
    await emit(db, tenant)
    async with process(db, clock) as deliveries:
        assert await attempt_due(deliveries) == [DeliveryState.PENDING] * 2
    assert all("ConnectError" in str(row.last_error) for row in await delivery_rows(db))


async def test_an_answer_that_broke_off_means_the_same_id_and_bytes_again(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    """A status that came counts; one that did not is a question, answered by asking again."""
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    receiver.faults = ReceiverFaults(hang_after=True, times=1)
    async with process(db, clock, receiver, request_seconds=0.3) as deliveries:
        assert await attempt_due(deliveries) == [DeliveryState.PENDING]
        clock.advance(DELAYS[0])
        assert await attempt_due(deliveries) == [DeliveryState.DELIVERED]
    first, second = receiver.taken
    assert (first.message_id, first.body) == (second.message_id, second.body)
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]


async def test_after_ten_attempts_it_is_parked_and_stays(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    receiver.faults = ReceiverFaults(status=503, body="\0down" + "x" * 100_000)
    waits = []
    async with process(db, clock, receiver) as deliveries:
        while await attempt_due(deliveries) == [DeliveryState.PENDING]:
            (row,) = await delivery_rows(db)
            assert row.next_attempt_at is not None
            waits.append(row.next_attempt_at - clock.now)
            clock.now = row.next_attempt_at
        (row,) = await delivery_rows(db)
        assert (row.state, row.attempts, row.next_attempt_at) == (DeliveryState.PARKED, 10, None)
        clock.advance(30 * DAY)
        assert await attempt_due(deliveries) == []
    assert tuple(waits) == DELAYS
    assert str(row.last_error).startswith("HTTP 503 down") and len(str(row.last_error)) < 600


@pytest.mark.parametrize(
    ("asked", "wait"), [("120", 120 * SECOND), ("1", 5 * SECOND), ("9999999", DAY)]
)
async def test_a_receiver_may_ask_for_a_longer_wait(
    db: Database,
    tenant: Tenant,
    receiver: Receiver,
    clock: Clock,
    asked: str,
    wait: timedelta,
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    receiver.faults = ReceiverFaults(status=429, retry_after=asked)
    async with process(db, clock, receiver) as deliveries:
        await attempt_due(deliveries)
    (row,) = await delivery_rows(db)
    assert row.next_attempt_at == clock.now + wait


async def test_who_is_gone_is_asked_no_more_and_what_waits_is_parked(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant, 1, 2, 3)
    receiver.faults = ReceiverFaults(status=410)
    async with process(db, clock, receiver) as deliveries:
        states = await attempt_due(deliveries)
        assert states == [DeliveryState.PARKED, None, None] and receiver.requests == 1
        await emit(db, tenant, 4)
        assert await attempt_due(deliveries) == []
    (endpoint,) = await rows(db, WebhookEndpoint)
    assert endpoint.disabled_at == clock.now
    assert [row.state for row in await delivery_rows(db)] == [DeliveryState.PARKED] * 3


async def test_an_event_that_crossed_the_end_of_its_endpoint_is_parked(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    endpoint = await listening(db, tenant, receiver)
    await emit(db, tenant)
    async with db.write() as session:
        (await session.merge(endpoint)).disabled_at = clock.now
    async with process(db, clock, receiver) as deliveries:
        assert await attempt_due(deliveries) == [DeliveryState.PARKED]
    (row,) = await delivery_rows(db)
    assert row.last_error == "the endpoint is disabled" and receiver.requests == 0


async def test_of_two_processes_one_delivers(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant, *range(10))
    other = Database(db.url)
    async with process(db, clock, receiver) as one, process(other, clock, receiver) as two:
        numbers = [number for number, _ in await one.due(limit=100) if number is not None]
        work = [each.attempt(number) for number in numbers for each in (one, two)]
        states = await asyncio.gather(*work)
    await other.close()
    assert states.count(DeliveryState.DELIVERED) == states.count(None) == 10
    assert len(receiver.taken) == 10 and set(receiver.ids.values()) == {1}


async def test_what_a_dead_process_had_sent_is_sent_again(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    """Killed between the request and the note of its answer: at least once is the promise."""
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    receiver.faults = ReceiverFaults(hang_after=True, times=1)
    async with process(db, clock, receiver) as deliveries:
        ((number, _),) = await deliveries.due(limit=1)
        assert number is not None
        dying = asyncio.create_task(deliveries.attempt(number))
        await until(lambda: len(receiver.taken) == 1)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    async with process(db, clock, receiver) as deliveries:
        clock.advance(LEASE - SECOND)
        assert await attempt_due(deliveries) == []
        clock.advance(SECOND)
        assert await attempt_due(deliveries) == [DeliveryState.DELIVERED]
    assert list(receiver.ids.values()) == [2]


async def test_a_killed_process_loses_nothing(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    """Killed with -9 while some are answered, some on their way and some not yet begun."""
    await listening(db, tenant, receiver)
    await emit(db, tenant, *range(30))
    receiver.faults = ReceiverFaults(slow_s=0.02, times=10)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    deliverer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.webhooks.delivery_process", db.url), env=environment
    )
    try:
        await until(lambda: len(receiver.taken) >= 5, seconds=60)
        receiver.faults = ReceiverFaults(hang_after=True)
        await until(lambda: len(receiver.taken) >= 10)
    finally:
        deliverer.kill()
        await deliverer.wait()
    receiver.faults = ReceiverFaults()
    clock.now = utc_now() + LEASE
    async with process(db, clock, receiver) as deliveries:
        while await attempt_due(deliveries):
            pass
    assert {row.state for row in await delivery_rows(db)} == {DeliveryState.DELIVERED}
    assert len(receiver.ids) == 30 and max(receiver.ids.values()) == 2


async def test_a_delivery_that_kills_every_process_is_parked(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    async with db.write() as session:
        (row,) = await delivery_rows(db)
        row = await session.merge(row)
        row.state, row.attempts = DeliveryState.IN_FLIGHT, len(DELAYS) + 1
    async with process(db, clock, receiver) as deliveries:
        assert await attempt_due(deliveries) == [DeliveryState.PARKED]
    assert receiver.requests == 0


async def test_a_late_answer_of_the_first_attempt_still_counts(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    receiver.faults = ReceiverFaults(slow_s=0.5, times=1)
    async with process(db, clock, receiver) as slow, process(db, clock, receiver) as quick:
        ((number, _),) = await slow.due(limit=1)
        assert number is not None
        first = asyncio.create_task(slow.attempt(number))
        await until(lambda: receiver.requests == 1)
        clock.advance(LEASE)
        receiver.faults = ReceiverFaults(status=500)
        assert await quick.attempt(number) == DeliveryState.PENDING
        assert await first == DeliveryState.DELIVERED
        clock.advance(DELAYS[-1])
        assert await attempt_due(quick) == []
    (row,) = await delivery_rows(db)
    assert (row.state, row.last_error) == (DeliveryState.DELIVERED, None)


async def test_a_late_failure_does_not_undo_the_attempt_after_it(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant)
    receiver.faults = ReceiverFaults(slow_s=0.3, status=500, times=1)
    async with process(db, clock, receiver) as slow, process(db, clock, receiver) as next_one:
        ((number, _),) = await slow.due(limit=1)
        assert number is not None
        first = asyncio.create_task(slow.attempt(number))
        await until(lambda: receiver.requests == 1)
        clock.advance(LEASE)
        receiver.faults = ReceiverFaults(slow_s=0.6)
        second = asyncio.create_task(next_one.attempt(number))
        assert await first is None
        (row,) = await delivery_rows(db)
        assert (row.state, row.attempts) == (DeliveryState.IN_FLIGHT, 2)
        assert await second == DeliveryState.DELIVERED


async def test_a_new_secret_signs_beside_the_old_one_for_a_day(
    db: Database, tenant: Tenant, receiver: Receiver, clock: Clock
) -> None:
    endpoint = await listening(db, tenant, receiver)
    async with (
        Receiver(secret_of(endpoint)) as old,
        process(db, clock, receiver, old) as deliveries,
    ):
        async with db.write() as session:
            row = await endpoints.lock(session, endpoint.id)
            new = endpoints.rotate(row, SEAL, now=clock.now)
        for knows in ([new], [secret_of(endpoint)]):
            receiver.secrets = knows
            await emit(db, tenant)
            assert await attempt_due(deliveries) == [DeliveryState.DELIVERED]
        assert len(receiver.taken[0].headers["webhook-signature"].split()) == 2
        clock.advance(endpoints.OVERLAP)
        receiver.secrets = [new]
        await emit(db, tenant, now=clock.now)
        assert await attempt_due(deliveries) == [DeliveryState.DELIVERED]
        assert len(receiver.taken[-1].headers["webhook-signature"].split()) == 1


async def test_the_loop_delivers_by_itself_and_ends_with_its_block(
    db: Database, tenant: Tenant, receiver: Receiver
) -> None:
    await listening(db, tenant, receiver)
    await emit(db, tenant, *range(50))
    async with Deliveries.open(db, only_public=False, seal=SEAL):
        await until(lambda: len(receiver.ids) == 50)
    assert {row.state for row in await delivery_rows(db)} == {DeliveryState.DELIVERED}
    assert set(receiver.ids.values()) == {1}


class CutOff(Deliveries):
    """Its query ends with an error of the driver when it is cut off, as asyncpg's may."""

    begun = False

    async def due(self, **_: Any) -> NoReturn:
        self.begun = True
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise DatabaseDown("cut off") from error


async def test_the_loop_ends_although_the_cut_off_query_fails(sqlite_db: Database) -> None:
    async with httpx.AsyncClient() as http:
        deliveries = CutOff(sqlite_db, http, only_public=False, seal=SEAL)
        loop = asyncio.create_task(delivery.run(deliveries))
        await until(lambda: deliveries.begun)
        loop.cancel()
        done, _ = await asyncio.wait({loop}, timeout=30)
    assert done and isinstance(loop.exception(), DatabaseDown)


async def test_an_endpoint_that_hangs_holds_up_no_other(
    db: Database, tenant: Tenant, receiver: Receiver
) -> None:
    other_tenant = await tenant_of(db, "other")
    async with Receiver() as hanging:
        hanging.faults = ReceiverFaults(hang=True)
        await listening(db, tenant, hanging)
        await emit(db, tenant, *range(60))
        await listening(db, other_tenant, receiver)
        await emit(db, other_tenant)
        async with httpx.AsyncClient() as http:
            deliveries = Deliveries(db, http, only_public=False, seal=SEAL)
            loop = asyncio.create_task(delivery.run(deliveries))
            await until(lambda: len(receiver.taken) == 1, seconds=8)
            assert hanging.requests == delivery.AT_ONCE_EACH
            hanging.stop()
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)
