"""The outbox: sends each message once, in order, whatever Twilio, the network and we do."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import structlog

from ivr.db import Database
from ivr.db.tables import (
    Channel,
    ConsentAction,
    ConsentEvent,
    MessageState,
    Purpose,
    Task,
    TaskKind,
    utc_now,
)
from ivr.errors import DatabaseDown
from ivr.leads.attention import tasks
from ivr.messages import consent
from ivr.messages.outbox import DELAYS, Outbox
from tests.leads.cast import rows, until
from tests.messages.cast import (
    BUSINESS,
    JOHN,
    in_state,
    outbox_of,
    outgoing,
    queued,
    tenant_is,
    texting,
    to_the_end,
)
from tests.nobody import nobody


async def test_a_queued_message_is_sent_once(db, twilio, john, clock):
    await queued(db, john, "What year is it?")
    async with outbox_of(db, twilio, clock=clock) as outbox:
        assert await outbox.send_due() == 1
        assert await outbox.send_due() == 0

    (sent,) = twilio.messages
    assert (sent["to"], sent["from"], sent["body"]) == (JOHN, BUSINESS, "What year is it?")
    (row,) = await outgoing(db)
    assert (row.state, row.provider_id, row.attempts) == (MessageState.QUEUED, sent["sid"], 1)
    assert row.sent_at is not None and row.next_attempt_at is None


async def test_messages_of_a_conversation_go_out_in_their_order(db, twilio, john, clock):
    for number in range(4):
        await queued(db, john, f"part {number}", now=john.started_at)  # all at the same moment
    async with outbox_of(db, twilio, clock=clock) as outbox:
        assert [await outbox.send_due() for _ in range(5)] == [1, 1, 1, 1, 0]
    assert [m["body"] for m in twilio.messages] == [f"part {n}" for n in range(4)]


async def test_a_message_that_must_wait_holds_up_those_behind_it(db, twilio, john, clock):
    await queued(db, john, "first")
    await queued(db, john, "second")
    twilio.faults.rest_status, twilio.faults.rest_times = 429, 1
    async with outbox_of(db, twilio, clock=clock) as outbox:
        assert [await outbox.send_due() for _ in range(2)] == [1, 0]
        assert twilio.messages == []
        await to_the_end(outbox, clock)
    assert [m["body"] for m in twilio.messages] == ["first", "second"]


async def test_a_message_to_staff_does_not_wait_for_the_contacts(db, twilio, john, clock):
    await queued(db, john, "to John")
    twilio.faults.rest_status, twilio.faults.rest_times = 429, 1
    async with outbox_of(db, twilio, clock=clock) as outbox:
        await outbox.send_due()
        await queued(db, john, "new lead", purpose=Purpose.STAFF, recipient="+17705550100")
        await outbox.send_due()
    assert [m["body"] for m in twilio.messages] == ["new lead"]


async def test_a_long_text_is_sent_in_parts_in_order(db, twilio, john, clock):
    await queued(db, john, "A sentence that is not short at all. " * 100)
    async with outbox_of(db, twilio, clock=clock) as outbox:
        await to_the_end(outbox)
    assert len(twilio.messages) == 3
    assert "".join(m["body"] for m in twilio.messages).count("not short") == 100


async def test_whatsapp_numbers_wear_their_prefix_on_the_wire_only(db, twilio, clock):
    conversation = await texting(db, channel=Channel.WHATSAPP)
    await queued(db, conversation)
    async with outbox_of(db, twilio, clock=clock) as outbox:
        await outbox.send_due()
    (sent,), (row,) = twilio.messages, await outgoing(db)
    assert (sent["to"], sent["from"]) == (f"whatsapp:{JOHN}", f"whatsapp:{BUSINESS}")
    assert (row.recipient, row.sender) == (JOHN, BUSINESS)


async def test_as_long_as_twilio_asks_for_is_waited(db, twilio, john, clock):
    await queued(db, john)
    twilio.faults.rest_status, twilio.faults.rest_times = 429, 1
    twilio.faults.rest_retry_after_s = 300
    async with outbox_of(db, twilio, clock=clock) as outbox:
        await outbox.send_due()
        (row,) = await outgoing(db)
        assert timedelta(seconds=290) < row.next_attempt_at - clock() <= timedelta(seconds=300)
        clock.ahead += timedelta(seconds=301)
        await outbox.send_due()
    assert len(twilio.messages) == 1


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_refusals_that_may_pass_are_tried_again_but_not_for_ever(
    sqlite_db, twilio, clock, status
):
    conversation = await texting(sqlite_db)
    await queued(sqlite_db, conversation)
    twilio.faults.rest_status = status
    async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
        await to_the_end(outbox, clock)
    (row,) = await outgoing(sqlite_db)
    assert (row.state, row.attempts) == (MessageState.FAILED, len(DELAYS) + 1)
    (task,) = await rows(sqlite_db, Task)
    assert task.kind == TaskKind.WRITE_BACK


async def test_nobody_at_the_address_is_tried_again(sqlite_db, twilio, clock):
    conversation = await texting(sqlite_db)
    await queued(sqlite_db, conversation)
    real = twilio.api_base_url
    with nobody() as address:
        twilio.api_base_url = address
        async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
            await outbox.send_due()
    assert await in_state(sqlite_db, MessageState.PENDING)
    twilio.api_base_url = real
    async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
        await to_the_end(outbox, clock)
    assert len(twilio.messages) == 1


@pytest.mark.parametrize("code", [21211, 21614, 21408])
async def test_what_twilio_will_never_send_fails_at_once_and_a_person_learns_of_it(
    sqlite_db, twilio, clock, code
):
    conversation = await texting(sqlite_db)
    await queued(sqlite_db, conversation)
    twilio.message_faults.error = code
    async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
        await to_the_end(outbox, clock)
    (row,) = await outgoing(sqlite_db)
    assert (row.state, row.error_code, row.attempts) == (MessageState.FAILED, code, 1)
    assert [task.kind for task in await rows(sqlite_db, Task)] == [TaskKind.WRITE_BACK]


async def test_who_opted_out_at_twilio_has_opted_out_here(db, twilio, john, clock):
    await queued(db, john, "one")
    await queued(db, john, "two")
    twilio.opted_out.add(JOHN)
    async with outbox_of(db, twilio, clock=clock) as outbox:
        await to_the_end(outbox, clock)
    first, second = await outgoing(db)
    assert (first.state, first.error_code) == (MessageState.FAILED, 21610)
    assert second.state == MessageState.BLOCKED
    (event,) = await rows(db, ConsentEvent)
    assert (event.source, event.action, event.channel) == ("21610", ConsentAction.REVOKED, "sms")
    assert await rows(db, Task) == []  # nobody is to write to them
    assert len([r for r in twilio.rest_requests if r.method == "POST"]) == 1


async def test_outside_whatsapps_window_a_person_writes(sqlite_db, twilio, clock):
    conversation = await texting(sqlite_db, channel=Channel.WHATSAPP)
    await queued(sqlite_db, conversation)
    twilio.message_faults.error = 63016
    async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
        await to_the_end(outbox, clock)
    (task,) = await rows(sqlite_db, Task)
    assert "window" in task.reason
    assert await rows(sqlite_db, ConsentEvent) == []


@pytest.mark.parametrize(
    "fault",
    [{"drop": "after"}, {"hang": "after"}, {"garbage": True}, {"status_after": 500}],
    ids=str,
)
async def test_a_lost_answer_is_looked_up_and_nothing_is_sent_twice(db, twilio, john, clock, fault):
    for name, value in fault.items():
        setattr(twilio.message_faults, name, value)
    twilio.message_faults.times = 1
    await queued(db, john, "only once")
    async with outbox_of(db, twilio, clock=clock, timeout_s=0.3) as outbox:
        await outbox.send_due()
        assert await in_state(db, MessageState.IN_FLIGHT)
        assert await outbox.send_due() == 0  # Twilio is given a moment
        clock.ahead += timedelta(minutes=1)
        assert await outbox.send_due() == 1

    (sent,) = twilio.messages
    (row,) = await outgoing(db)
    assert (row.state, row.provider_id) == (MessageState.DELIVERED, sent["sid"])


@pytest.mark.parametrize("fault", ["drop", "hang"])
async def test_what_twilio_never_got_is_sent_again(db, twilio, john, clock, fault):
    setattr(twilio.message_faults, fault, "before")
    twilio.message_faults.times = 1
    await queued(db, john, "only once")
    async with outbox_of(db, twilio, clock=clock, timeout_s=0.3) as outbox:
        await outbox.send_due()
        assert await in_state(db, MessageState.IN_FLIGHT)
        await to_the_end(outbox, clock)
    (sent,) = twilio.messages
    (row,) = await outgoing(db)
    assert (row.provider_id, row.attempts) == (sent["sid"], 2)


async def test_an_equal_text_sent_before_is_not_taken_for_the_lost_one(db, twilio, john, clock):
    async with outbox_of(db, twilio, clock=clock, timeout_s=0.3) as outbox:
        await queued(db, john, "Thanks!")
        await outbox.send_due()
        twilio.message_faults.drop, twilio.message_faults.times = "before", 1
        await queued(db, john, "Thanks!")
        await outbox.send_due()
        await to_the_end(outbox, clock)
    assert len(twilio.messages) == 2
    assert len({row.provider_id for row in await outgoing(db)}) == 2


async def test_a_lost_template_message_is_recognised_without_its_words(db, twilio, clock):
    conversation = await texting(
        db, channel=Channel.WHATSAPP, wrote_at=utc_now() - timedelta(days=2)
    )
    await queued(db, conversation, template="HX" + "0" * 32)
    twilio.message_faults.drop, twilio.message_faults.times = "after", 1
    async with outbox_of(db, twilio, clock=clock) as outbox:
        await outbox.send_due()
        clock.ahead += timedelta(minutes=1)
        await outbox.send_due()
    (sent,), (row,) = twilio.messages, await outgoing(db)
    assert row.provider_id == sent["sid"]


async def test_while_twilio_cannot_be_asked_nothing_is_sent_again(sqlite_db, twilio, clock):
    conversation = await texting(sqlite_db)
    await queued(sqlite_db, conversation)
    twilio.message_faults.drop, twilio.message_faults.times = "after", 1
    twilio.message_faults.list_broken = True
    async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
        for _ in range(5):
            await outbox.send_due()
            clock.ahead += timedelta(minutes=5)
        assert await in_state(sqlite_db, MessageState.IN_FLIGHT)
        assert len(twilio.messages) == 1
        clock.ahead += timedelta(days=1)  # by then a person is better
        await to_the_end(outbox)
    assert await in_state(sqlite_db, MessageState.FAILED)
    assert [task.kind for task in await rows(sqlite_db, Task)] == [TaskKind.WRITE_BACK]
    assert len(twilio.messages) == 1


async def test_poked_it_sends_at_once_and_its_end_waits_for_what_has_left(
    sqlite_db, twilio, monkeypatch
):
    monkeypatch.setattr("ivr.messages.outbox.POLL_SECONDS", 3600)
    conversation = await texting(sqlite_db)
    twilio.message_faults.receipts, twilio.message_faults.receipts_first = (), True
    async with outbox_of(sqlite_db, twilio) as outbox:
        running = asyncio.create_task(outbox.run())
        await asyncio.sleep(0)
        await queued(sqlite_db, conversation)
        outbox.poke()
        await until(lambda: len(twilio.rest_requests) > 0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert await in_state(sqlite_db, MessageState.QUEUED)


class Torn(Database):
    """A database whose driver answers a query that is cut off with a failure of its own."""

    @asynccontextmanager
    async def read(self):
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError as cut:
            raise DatabaseDown("connection lost") from cut
        yield


async def test_told_to_end_it_ends_whatever_the_database_says(sqlite_url, twilio):
    db = Torn(sqlite_url)
    async with outbox_of(db, twilio) as outbox:
        running = asyncio.create_task(outbox.run())
        await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=10)
    assert done == {running}
    assert isinstance(running.exception(), DatabaseDown)
    await db.close()


async def test_without_an_account_messages_wait_and_that_is_said_once(sqlite_db):
    conversation = await texting(sqlite_db)
    await queued(sqlite_db, conversation)
    outbox = Outbox(sqlite_db, None, on_undeliverable=tasks.write_back)
    with structlog.testing.capture_logs() as logs:
        await running_until(outbox, lambda: bool(logs))
        await running_until(outbox, lambda: True)
    assert [line["event"] for line in logs] == [
        "messages wait: TWILIO_SID or TWILIO_AUTH_TOKEN is not set"
    ]
    assert await in_state(sqlite_db, MessageState.PENDING)


async def running_until(outbox, is_over):
    running = asyncio.create_task(outbox.run())
    await asyncio.sleep(0)  # its first round, which needs nothing once it has told
    await until(is_over)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_an_answer_that_waited_for_days_is_a_persons_work(sqlite_db, twilio, clock):
    """As where there was no account, or nobody ran."""
    conversation = await texting(sqlite_db)
    await queued(sqlite_db, conversation)
    clock.ahead = timedelta(days=2, seconds=1)
    async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
        await outbox.send_due()
    assert twilio.messages == []
    assert await in_state(sqlite_db, MessageState.BLOCKED)
    assert [task.kind for task in await rows(sqlite_db, Task)] == [TaskKind.WRITE_BACK]


@pytest.mark.parametrize("purpose", [Purpose.REPLY, Purpose.NOTICE])
async def test_nobody_is_asked_to_write_by_hand_to_who_forbade_it(
    sqlite_db, twilio, clock, purpose
):
    """Neither what was queued after the STOP nor the late answer to it."""
    conversation = await texting(sqlite_db)
    async with sqlite_db.write() as session:
        await consent.record(
            session,
            conversation.tenant_id,
            address=JOHN,
            channel=Channel.SMS,
            action=ConsentAction.REVOKED,
            source="keyword",
            evidence="STOP",
            now=clock(),
        )
    await queued(sqlite_db, conversation, purpose=purpose)
    clock.ahead = timedelta(days=2, seconds=1)
    async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
        await outbox.send_due()
    assert twilio.messages == []
    assert await in_state(sqlite_db, MessageState.BLOCKED)
    assert await rows(sqlite_db, Task) == []


async def test_one_that_cannot_be_judged_waits_and_the_others_go(sqlite_db, twilio, monkeypatch):
    monkeypatch.setattr("ivr.messages.outbox.POLL_SECONDS", 0.01)
    conversation = await texting(sqlite_db)
    await tenant_is(sqlite_db, timezone="Nowhere/At_All")
    await queued(sqlite_db, conversation, "follow up", purpose=Purpose.FOLLOW_UP)
    await queued(sqlite_db, conversation, "an answer")
    async with outbox_of(sqlite_db, twilio) as outbox:
        running = asyncio.create_task(outbox.run())
        await until(lambda: bool(twilio.messages))
        await until(lambda: _is_put_off(sqlite_db))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [m["body"] for m in twilio.messages] == ["an answer"]


async def _is_put_off(db):
    first = (await outgoing(db))[0]
    is_later = first.next_attempt_at > utc_now() + timedelta(minutes=4)
    return first.state == MessageState.PENDING and is_later
