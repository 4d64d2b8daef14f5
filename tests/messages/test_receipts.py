"""What became of our messages: status callbacks in any order, doubled, early, unknown, unsigned."""

import itertools
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ivr.app import create_app
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
from ivr.leads.attention import tasks
from ivr.messages import receipts
from tests.calls.world import PUBLIC, SID, TOKEN
from tests.leads.cast import rows, settings_for, until
from tests.messages.cast import BUSINESS, JOHN, in_state, outgoing, queued, texting
from tools.emulators.serving import listen, serve
from tools.emulators.twilio import TwilioEmulator

SENT_SID = "SM" + "1" * 32
NOBODYS = uuid.UUID(int=1)


@asynccontextmanager
async def served(database_url: str) -> AsyncIterator[TwilioEmulator]:
    """The real server with its outbox, and Twilio around it."""
    with listen() as listener:
        origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
        webhook = f"{origin}/twilio/voice"
        async with TwilioEmulator(SID, TOKEN, webhook=webhook, public_base_url=PUBLIC) as twilio:
            settings = settings_for(
                database_url,
                secret_key="a-secret-key-of-more-than-32-characters",
                openai_api_key="sk-unused",
                twilio_sid=SID,
                twilio_auth_token=TOKEN,
                twilio_phone_number=BUSINESS,
                twilio_api_base_url=twilio.api_base_url,
                public_base_url=PUBLIC,
                max_loop_lag_ms=60_000,
            )
            async with serve(create_app(settings), listener=listener.dup()):
                yield twilio


async def test_a_message_is_followed_to_the_phone(database_url, db):
    async with served(database_url) as twilio:
        await queued(db, await texting(db))
        await until(lambda: in_state(db, MessageState.DELIVERED))
        assert [answer.status for answer in twilio.receipts] == [204, 204]
        (asked,) = [r for r in twilio.rest_requests if r.method == "POST"]
        (row,) = await outgoing(db)
        assert asked.get("StatusCallback") == f"{PUBLIC}/twilio/message-status?message={row.id}"


async def test_a_status_that_overtakes_the_answer_counts(sqlite_url, sqlite_db):
    async with served(sqlite_url) as twilio:
        twilio.message_faults.receipts_first = True
        await queued(sqlite_db, await texting(sqlite_db))
        await until(lambda: in_state(sqlite_db, MessageState.DELIVERED))
        (row,) = await outgoing(sqlite_db)
        assert row.provider_id == twilio.messages[0]["sid"]


async def test_a_status_in_place_of_the_answer_is_answer_enough(sqlite_url, sqlite_db):
    async with served(sqlite_url) as twilio:
        twilio.message_faults.drop = "after"
        conversation = await texting(sqlite_db)
        await queued(sqlite_db, conversation, "one")
        await queued(sqlite_db, conversation, "two")
        await until(
            lambda: in_state(sqlite_db, MessageState.DELIVERED, MessageState.DELIVERED), seconds=8
        )
        assert [m["body"] for m in twilio.messages] == ["one", "two"]
        assert {r.method for r in twilio.rest_requests} == {"POST"}  # nobody had to ask


async def test_a_lost_message_is_kept_with_its_code_and_a_person_learns_of_it(
    sqlite_url, sqlite_db
):
    async with served(sqlite_url) as twilio:
        twilio.message_faults.receipts = ("sent", "undelivered", "undelivered")
        twilio.message_faults.receipt_error = 30003
        conversation = await texting(sqlite_db)
        await queued(sqlite_db, conversation)
        await until(lambda: in_state(sqlite_db, MessageState.UNDELIVERED))
        (row,) = await outgoing(sqlite_db)
        assert (row.error_code, row.error) == (30003, "the phone is off or out of reach")
        (task,) = await rows(sqlite_db, Task)
        assert (task.kind, task.lead_id) == (TaskKind.WRITE_BACK, conversation.lead_id)


@pytest.mark.parametrize(("code", "channel"), [(21610, Channel.SMS), (63014, Channel.WHATSAPP)])
async def test_a_refusal_that_comes_as_a_status_is_in_the_ledger(
    sqlite_url, sqlite_db, code, channel
):
    async with served(sqlite_url) as twilio:
        twilio.message_faults.receipts = ("failed",)
        twilio.message_faults.receipt_error = code
        await queued(sqlite_db, await texting(sqlite_db, channel=channel))
        await until(lambda: in_state(sqlite_db, MessageState.FAILED))
        (event,) = await rows(sqlite_db, ConsentEvent)
        assert (event.source, event.address, event.channel) == (str(code), JOHN, channel)
        assert event.action == ConsentAction.REVOKED
        assert await rows(sqlite_db, Task) == []


async def test_whatsapps_closed_window_makes_a_task(sqlite_url, sqlite_db):
    async with served(sqlite_url) as twilio:
        twilio.message_faults.window_closed = True
        await queued(sqlite_db, await texting(sqlite_db, channel=Channel.WHATSAPP))
        await until(lambda: in_state(sqlite_db, MessageState.FAILED))
        (task,) = await rows(sqlite_db, Task)
        assert "window" in task.reason


async def test_who_has_not_signed_tells_us_nothing(sqlite_url, sqlite_db):
    async with served(sqlite_url) as twilio:
        twilio.message_faults.receipts = ()
        await queued(sqlite_db, await texting(sqlite_db))
        await until(lambda: in_state(sqlite_db, MessageState.QUEUED))
        twilio.faults.wrong_signature = True
        answer = await twilio.send_receipt(twilio.messages[0], "delivered")
        assert answer.status == 403
        assert await in_state(sqlite_db, MessageState.QUEUED)


@pytest.mark.parametrize(
    "query", ["", "?message=none", f"?message={NOBODYS}", "?message=%00", "?other=1"]
)
async def test_a_status_of_a_message_that_is_not_ours_is_no_error(sqlite_url, sqlite_db, query):
    async with served(sqlite_url) as twilio:
        message = {"sid": SENT_SID, "from": BUSINESS, "to": JOHN}
        url = f"{PUBLIC}/twilio/message-status{query}"
        answer = await twilio.send_receipt(message, "delivered", url=url)
        assert answer.status == 204
        assert await outgoing(sqlite_db) == []


# Without a server: any order


async def hear(db, row, status, *, sid=SENT_SID, code="", by_id=True):
    form = {"MessageSid": sid, "MessageStatus": status, "ErrorCode": code}
    async with db.write() as session:
        return await receipts.note(
            session,
            row.tenant_id,
            form,
            now=utc_now(),
            message_id=row.id if by_id else None,
            on_undeliverable=tasks.write_back,
        )


@pytest.mark.parametrize("order", [*itertools.permutations(["queued", "sent", "delivered"])])
async def test_in_any_order_the_farthest_state_remains(sqlite_db, order):
    await queued(sqlite_db, await texting(sqlite_db))
    (row,) = await outgoing(sqlite_db)
    for status in (*order, *order):
        await hear(sqlite_db, row, status)
    assert await in_state(sqlite_db, MessageState.DELIVERED)


@pytest.mark.parametrize(
    ("heard", "state"),
    [
        (("sent", "failed", "delivered"), MessageState.FAILED),
        (("delivered", "undelivered"), MessageState.DELIVERED),
        (("undelivered", "sent", "failed"), MessageState.UNDELIVERED),
        (("sent", "partially_delivered"), MessageState.SENT),
        (("accepted", "sending", "queued"), MessageState.SENDING),
        (("canceled",), MessageState.FAILED),
        (("read", "delivered"), MessageState.READ),
        (("sent", "no such word", "receiving", ""), MessageState.SENT),
    ],
)
async def test_an_end_is_an_end(sqlite_db, heard, state):
    await queued(sqlite_db, await texting(sqlite_db))
    (row,) = await outgoing(sqlite_db)
    for status in heard:
        await hear(sqlite_db, row, status)
    assert await in_state(sqlite_db, state)


async def test_a_row_is_found_by_twilios_name_as_well_once_that_is_known(db):
    await queued(db, await texting(db))
    (row,) = await outgoing(db)
    assert not await hear(db, row, "sent", by_id=False)
    assert await hear(db, row, "sent")
    assert await hear(db, row, "delivered", by_id=False)


async def test_the_status_of_a_second_message_for_one_row_changes_nothing(sqlite_db):
    await queued(sqlite_db, await texting(sqlite_db))
    (row,) = await outgoing(sqlite_db)
    await hear(sqlite_db, row, "sent")
    assert not await hear(sqlite_db, row, "failed", sid="SM" + "2" * 32)
    assert await in_state(sqlite_db, MessageState.SENT)


async def test_a_status_for_what_we_had_given_up_tells_that_it_went_out(sqlite_db):
    await queued(sqlite_db, await texting(sqlite_db))
    async with sqlite_db.write() as session:
        (row,) = await outgoing(sqlite_db)
        (await session.get_one(type(row), row.id)).state = MessageState.FAILED
    assert await hear(sqlite_db, row, "delivered")
    assert await in_state(sqlite_db, MessageState.DELIVERED)


@pytest.mark.parametrize("purpose", [Purpose.STAFF, Purpose.NOTICE])
async def test_nobody_is_asked_to_write_what_was_not_meant_as_conversation(sqlite_db, purpose):
    await queued(sqlite_db, await texting(sqlite_db), purpose=purpose)
    (row,) = await outgoing(sqlite_db)
    await hear(sqlite_db, row, "failed", code="30006")
    assert await rows(sqlite_db, Task) == []
