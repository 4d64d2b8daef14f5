"""From which number a message leaves, and what follows where Twilio does not send from it."""

import pytest

from ivr.db.tables import MessageState, Task, TaskKind
from ivr.messages.failures import NO_SENDER
from tests.leads.cast import rows
from tests.messages.cast import (
    BUSINESS,
    outbox_of,
    outgoing,
    queued,
    tenant_is,
    texting,
    to_the_end,
)

OTHER = "+18005550103"


@pytest.mark.parametrize("code", sorted(NO_SENDER))
async def test_a_number_that_twilio_does_not_send_from_gives_way_to_the_first_one(
    db, twilio, john, clock, code
):
    """As one that was released, or that the setting named before; it is nobody else's."""
    await tenant_is(db, phone_number=OTHER)
    await queued(db, john)
    twilio.message_faults.error, twilio.message_faults.times = code, 1
    async with outbox_of(db, twilio, clock=clock) as outbox:
        await to_the_end(outbox)
    ((row,), (sent,)) = await outgoing(db), twilio.messages
    asked = [it.get("From") for it in twilio.rest_requests if it.method == "POST"]
    assert asked == [BUSINESS, OTHER] == [asked[0], row.sender]
    assert (row.state, row.provider_id) == (MessageState.QUEUED, sent["sid"])


@pytest.mark.parametrize("first_one", [None, BUSINESS, OTHER])
async def test_where_no_number_can_send_a_person_writes(sqlite_db, twilio, clock, first_one):
    conversation = await texting(sqlite_db)
    await tenant_is(sqlite_db, phone_number=first_one)
    await queued(sqlite_db, conversation)
    twilio.message_faults.error = 21659
    async with outbox_of(sqlite_db, twilio, clock=clock) as outbox:
        await to_the_end(outbox)
    (row,) = await outgoing(sqlite_db)
    assert (row.state, row.error_code) == (MessageState.FAILED, 21659)
    assert row.attempts == (2 if first_one == OTHER else 1)
    assert [task.kind for task in await rows(sqlite_db, Task)] == [TaskKind.WRITE_BACK]
