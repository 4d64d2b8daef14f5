"""Several outboxes, killed ones, and refusals in between: each message once, none after a STOP."""

import asyncio
import random
from datetime import timedelta

import pytest

from ivr.db import Database
from ivr.db.tables import ConsentAction, MessageState, utc_now
from ivr.messages import consent
from tests.conftest import HASH_KEY
from tests.leads.cast import until
from tests.messages.cast import (
    JOHN,
    in_state,
    nothing_waits,
    outbox_of,
    outgoing,
    queued,
    states,
    texting,
    to_the_end,
)

REFUSAL = {
    "address": JOHN,
    "channel": "sms",
    "action": ConsentAction.REVOKED,
    "source": "keyword",
    "evidence": "STOP",
}


async def test_a_refusal_that_comes_while_an_answer_is_lost_stops_the_second_try(
    db, twilio, john, clock
):
    twilio.message_faults.drop, twilio.message_faults.times = "before", 1
    await queued(db, john)
    async with outbox_of(db, twilio, clock=clock) as outbox:
        await outbox.send_due()
        await _stop(db, john)
        await to_the_end(outbox, clock)
    assert twilio.messages == []
    assert await in_state(db, MessageState.BLOCKED)


async def test_a_process_killed_between_claim_and_answer_sends_once(db, twilio, john, clock):
    """What another process finds is a row in flight; it asks Twilio, which has it."""
    twilio.message_faults.hang, twilio.message_faults.times = "after", 1
    await queued(db, john, "only once")
    async with outbox_of(db, twilio, clock=clock) as outbox:
        dying = asyncio.create_task(outbox.send_due())
        await until(lambda: bool(twilio.messages))
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
    assert await in_state(db, MessageState.IN_FLIGHT)

    async with outbox_of(db, twilio, clock=clock) as outbox:
        assert await outbox.send_due() == 0  # it may be alive yet
        clock.ahead += timedelta(minutes=1)
        await to_the_end(outbox)
    (sent,), (row,) = twilio.messages, await outgoing(db)
    assert row.provider_id == sent["sid"]


async def test_who_slept_after_the_claim_does_not_send_any_more(db, twilio, john, clock):
    """By then another process may have asked Twilio, and sent it."""
    await queued(db, john)

    class Nap:
        moments = [timedelta(0), timedelta(minutes=2)]

        def __call__(self):
            return clock() + (self.moments.pop(0) if len(self.moments) > 1 else self.moments[0])

    async with outbox_of(db, twilio, clock=Nap()) as outbox:
        (row,) = await outgoing(db)
        await outbox.attempt(row.id)
    assert twilio.messages == []
    assert await in_state(db, MessageState.IN_FLIGHT)


async def test_a_message_that_another_process_is_just_sending_is_left_to_it(
    database_url, db, twilio, john, monkeypatch
):
    """It was due when we looked; by the time we come to it, it is in flight."""
    await queued(db, john, "only once")
    (row,) = await outgoing(db)
    twilio.message_faults.hang, twilio.message_faults.times = "before", 1
    other = Database(database_url, hash_key=lambda: HASH_KEY)
    async with outbox_of(db, twilio) as one, outbox_of(other, twilio) as two:
        sending = asyncio.create_task(one.attempt(row.id))
        await until(lambda: in_state(db, MessageState.IN_FLIGHT))
        assert await two.attempt(row.id) is False
        assert await in_state(db, MessageState.IN_FLIGHT)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    await other.close()


async def test_two_processes_never_send_a_message_twice(database_url, db, twilio, monkeypatch):
    """Ten conversations, four messages each, some answers lost, two outboxes at work."""
    monkeypatch.setattr("ivr.messages.outbox.ASK_AFTER", timedelta(milliseconds=50))
    twilio.message_faults.drop, twilio.message_faults.times = "after", 5
    conversations = [await texting(db, number=f"+1770555{n:04}") for n in range(10)]
    for number in range(4):
        for conversation in conversations:
            await queued(db, conversation, f"message {number}")
    other = Database(database_url, hash_key=lambda: HASH_KEY)
    async with outbox_of(db, twilio) as one, outbox_of(other, twilio) as two:
        running = [asyncio.create_task(outbox.run()) for outbox in (one, two)]
        await until(lambda: nothing_waits(db))
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    await other.close()
    for conversation in conversations:
        bodies = [m["body"] for m in twilio.messages if m["to"] == conversation.from_number]
        assert bodies == [f"message {n}" for n in range(4)]


async def test_two_processes_that_find_the_same_lost_answer_agree(database_url, db, twilio, clock):
    conversations = [await texting(db, number=f"+1770555{n:04}") for n in range(6)]
    twilio.message_faults.drop, twilio.message_faults.times = "after", 6
    for conversation in conversations:
        await queued(db, conversation)
    other = Database(database_url, hash_key=lambda: HASH_KEY)
    async with (
        outbox_of(db, twilio, clock=clock) as one,
        outbox_of(other, twilio, clock=clock) as two,
    ):
        await one.send_due()
        clock.ahead += timedelta(minutes=1)
        await asyncio.gather(one.send_due(), two.send_due())
    await other.close()
    assert len(twilio.messages) == 6
    assert set(await states(db)) == {MessageState.DELIVERED}


async def test_a_refusal_being_written_is_waited_for(db, twilio, john):
    """The outbox does not look past a transaction that is about to revoke the consent."""
    await queued(db, john)
    (row,) = await outgoing(db)
    async with outbox_of(db, twilio) as outbox:
        async with db.write() as session:
            await consent.lock(session, john.tenant_id, JOHN)
            sending = asyncio.create_task(outbox.attempt(row.id))
            done, _ = await asyncio.wait({sending}, timeout=0.2)
            assert not done and twilio.messages == []
            await consent.record(session, john.tenant_id, **REFUSAL, now=utc_now())
        assert await sending is False
    assert twilio.messages == []
    assert await in_state(db, MessageState.BLOCKED)


async def _stop(db, conversation):
    async with db.write() as session:
        await consent.record(session, conversation.tenant_id, **REFUSAL, now=utc_now())


@pytest.mark.parametrize("seed", range(6))
async def test_in_any_weather_each_message_arrives_once_and_in_order(
    sqlite_db, twilio, clock, seed
):
    """Connections break before and after, answers are garbage, 429 and 500, the clock goes on."""
    chance, faults = random.Random(seed), twilio.message_faults
    conversations = [await texting(sqlite_db, number=f"+1770555{n:04}") for n in range(3)]
    for number in range(4):
        for conversation in conversations:
            await queued(sqlite_db, conversation, f"message {chance.choice('ab')}{number}")
    async with outbox_of(sqlite_db, twilio, clock=clock, timeout_s=0.3) as outbox:
        for _ in range(40):
            faults.drop = chance.choice([None, None, "before", "after"])
            faults.garbage = chance.random() < 0.2
            faults.status_after = chance.choice([None, None, None, 500])
            faults.list_broken = chance.random() < 0.3
            twilio.faults.rest_status = chance.choice([None, None, None, 429, 503])
            await outbox.send_due()
            clock.ahead += timedelta(seconds=chance.choice([0, 1, 20, 90]))
        faults.drop = faults.status_after = twilio.faults.rest_status = None
        faults.garbage = faults.list_broken = False
        await to_the_end(outbox, clock)

    by_sid = {message["sid"]: message for message in twilio.messages}
    taken = [row for row in await outgoing(sqlite_db) if row.provider_id]
    assert {row.provider_id for row in taken} == by_sid.keys()  # each known, none twice
    assert all(by_sid[row.provider_id]["body"] == row.body for row in taken)
    for conversation in conversations:
        sent = [m["body"] for m in twilio.messages if m["to"] == conversation.from_number]
        assert sent == sorted(sent, key=lambda body: body[-1])
    lost = [row for row in await outgoing(sqlite_db) if not row.provider_id]
    assert all(row.state == MessageState.FAILED for row in lost)  # tried for hours
    assert len(taken) + len(lost) == 12
