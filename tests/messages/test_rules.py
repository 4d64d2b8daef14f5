"""What may go out at this moment: pause, quiet hours, WhatsApp's window."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from ivr.db.tables import Channel, MessageState, Purpose, Task, TaskKind, TenantStatus, utc_now
from ivr.messages import window
from ivr.messages.rules import Policy, next_opening
from tests.leads.cast import rows
from tests.messages.cast import in_state, outbox_of, outgoing, queued, tenant_is, texting

NEW_YORK = "America/New_York"
TEMPLATE = "HX" + "0" * 32


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-11-20T13:00", "2026-11-20T13:00"),  # 8:00 there
        ("2026-11-20T12:59", "2026-11-20T13:00"),
        ("2026-11-21T01:59", "2026-11-21T01:59"),  # 20:59
        ("2026-11-21T02:00", "2026-11-21T13:00"),  # 21:00
        ("2026-11-20T05:00", "2026-11-20T13:00"),  # midnight
        ("2026-03-08T04:30", "2026-03-08T12:00"),  # the clocks go forward in that night
        ("2026-11-01T02:30", "2026-11-01T13:00"),  # and back
    ],
)
def test_follow_ups_wait_for_the_morning_where_the_contact_is(now, opening):
    def at(text):
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert next_opening(at(now), NEW_YORK, Policy()) == at(opening)


async def test_a_follow_up_waits_and_holds_up_no_answer(db, twilio, john, clock):
    night = {"policy": Policy(first_hour=8, last_hour=9), "clock": clock}
    await tenant_is(db, timezone="UTC")
    hour = clock().hour
    clock.ahead = timedelta(hours=(22 - hour) % 24)
    await queued(db, john, "Still interested?", purpose=Purpose.FOLLOW_UP, now=clock())
    await queued(db, john, "An answer", now=clock())
    async with outbox_of(db, twilio, **night) as outbox:
        while await outbox.send_due():
            pass
        assert [m["body"] for m in twilio.messages] == ["An answer"]
        waiting, _ = await outgoing(db)
        assert (waiting.state, waiting.attempts) == (MessageState.PENDING, 0)
        assert waiting.next_attempt_at.hour == 8
        clock.ahead += waiting.next_attempt_at - clock() + timedelta(seconds=1)
        await outbox.send_due()
    assert [m["body"] for m in twilio.messages] == ["An answer", "Still interested?"]


async def test_a_paused_business_writes_to_its_own_people_only(db, twilio, john):
    await tenant_is(db, status=TenantStatus.PAUSED)
    await queued(db, john, "reply")
    await queued(db, john, "follow up", purpose=Purpose.FOLLOW_UP)
    await queued(db, john, "new lead", purpose=Purpose.STAFF, recipient="+17705550100")
    async with outbox_of(db, twilio) as outbox:
        while await outbox.send_due():
            pass
    assert [m["body"] for m in twilio.messages] == ["new lead"]
    assert await in_state(db, MessageState.BLOCKED, MessageState.BLOCKED, MessageState.QUEUED)
    (task,) = await rows(db, Task)
    assert task.kind == TaskKind.WRITE_BACK, "who waits for a reply is not forgotten"


async def test_within_a_day_whatsapp_gets_the_words_themselves(db, twilio):
    conversation = await texting(db, channel=Channel.WHATSAPP)
    await queued(db, conversation, "Which year?")
    async with outbox_of(db, twilio, policy=Policy(template_sid=TEMPLATE)) as outbox:
        await outbox.send_due()
    assert twilio.rest_requests[-1].get("Body") == "Which year?"
    assert twilio.rest_requests[-1].get("ContentSid") is None


async def test_after_a_day_whatsapp_gets_the_template(db, twilio):
    a_day_ago = utc_now() - timedelta(hours=24, seconds=1)
    conversation = await texting(db, channel=Channel.WHATSAPP, wrote_at=a_day_ago)
    await queued(db, conversation, "Which\nyear?")
    async with outbox_of(db, twilio, policy=Policy(template_sid=TEMPLATE)) as outbox:
        await outbox.send_due()
    asked = twilio.rest_requests[-1]
    assert (asked.get("Body"), asked.get("ContentSid")) == (None, TEMPLATE)
    assert json.loads(asked.get("ContentVariables")) == {"1": "Which year?"}


async def test_a_message_may_bring_its_own_template(db, twilio):
    conversation = await texting(
        db, channel=Channel.WHATSAPP, wrote_at=utc_now() - timedelta(days=2)
    )
    await queued(db, conversation, template="HX" + "1" * 32)
    async with outbox_of(db, twilio, policy=Policy(template_sid=TEMPLATE)) as outbox:
        await outbox.send_due()
    assert twilio.rest_requests[-1].get("ContentSid") == "HX" + "1" * 32


async def test_without_a_template_a_person_writes_instead(db, twilio):
    conversation = await texting(
        db, channel=Channel.WHATSAPP, wrote_at=utc_now() - timedelta(days=2)
    )
    await queued(db, conversation)
    async with outbox_of(db, twilio) as outbox:
        await outbox.send_due()
    assert twilio.messages == []
    (row,) = await outgoing(db)
    assert (row.state, row.error) == (MessageState.BLOCKED, window.CLOSED)
    (task,) = await rows(db, Task)
    assert (task.kind, task.lead_id) == (TaskKind.WRITE_BACK, conversation.lead_id)


async def test_an_sms_of_the_same_person_does_not_open_whatsapps_window(db):
    sms = await texting(db, channel=Channel.SMS)
    whatsapp = await texting(db, channel=Channel.WHATSAPP, wrote_at=utc_now() - timedelta(days=2))
    async with db.read() as session:
        assert not await window.is_open(session, sms.id, now=utc_now())
        assert not await window.is_open(session, whatsapp.id, now=utc_now())
