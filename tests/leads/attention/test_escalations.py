"""A conversation goes to a person and comes back: one at a time, told to staff, with no doubles."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from ivr import conversations, tenants
from ivr.db import Database
from ivr.db.tables import (
    Axis,
    Channel,
    ConsentAction,
    Conversation,
    Escalation,
    EscalationState,
    Lead,
    Lifecycle,
    Message,
    MessageState,
    OutboxEvent,
    Purpose,
    Tenant,
    Transition,
    Trigger,
    Turn,
    WebhookEndpoint,
)
from ivr.errors import BadRequest, Conflict, NotFound
from ivr.leads import intake
from ivr.leads.attention import escalations, replies, staff
from ivr.leads.attention.staff import Staff
from ivr.leads.profile import load_profile
from ivr.messages import consent
from ivr.messages.rules import Policy
from ivr.webhooks.event_types import EventType
from tests.leads.cast import JOHN, NOW, rows, save, settings_for

DESK = "+17705550100"
PEOPLE = Staff(phone=DESK, due=timedelta(minutes=30), again=timedelta(minutes=15))
PROFILE = load_profile("powersports")
TEMPLATE = Policy(template_sid="HX1")


async def text(
    db: Database, channel: Channel = Channel.SMS, caller: str | None = JOHN
) -> Conversation:
    """Have somebody write to the business."""
    tenant = await tenants.ensure_default(db, settings_for(db.url), now=NOW)
    enquiry = intake.Enquiry(
        channel=channel,
        session_key=caller or "ACME",
        caller=caller,
        called="+18005551212",
        finish_after=NOW + timedelta(hours=24),
        now=NOW,
    )
    return await intake.begin(db, tenant, PROFILE, enquiry)


async def escalate(db: Database, conversation: Conversation, people: Staff = PEOPLE) -> Escalation:
    async with db.write() as session:
        return await escalations.open_for(
            session,
            conversation,
            Trigger.ASKED,
            "asks for a person",
            now=NOW,
            profile=PROFILE,
            staff=people,
        )


async def take(db: Database, row: Escalation, who: str = "ann") -> Escalation:
    async with db.write() as session:
        return await escalations.take(session, row.tenant_id, str(row.id), who, now=NOW)


async def give_back(db: Database, row: Escalation, who: str = "ann") -> Escalation:
    async with db.write() as session:
        return await escalations.give_back(session, row.tenant_id, str(row.id), who, now=NOW)


async def resolve(db: Database, row: Escalation, who: str = "ann") -> Escalation:
    async with db.write() as session:
        return await escalations.resolve(session, row.tenant_id, str(row.id), who, now=NOW)


async def is_paused(db: Database, conversation: Conversation) -> bool:
    async with db.read() as session:
        return (await conversations.by_id(session, conversation.id)).assistant_paused


async def lifecycle(db: Database, conversation: Conversation) -> str:
    async with db.read() as session:
        return (await session.get_one(Lead, conversation.lead_id)).lifecycle


async def test_an_escalation_is_a_row_with_reason_state_and_times(db: Database) -> None:
    conversation = await text(db)
    row = await escalate(db, conversation)
    assert (row.trigger, row.reason, row.state) == (
        Trigger.ASKED,
        "asks for a person",
        EscalationState.OPEN,
    )
    assert (row.created_at, row.due_at) == (NOW, NOW + timedelta(minutes=30))
    assert (row.lead_id, row.conversation_id) == (conversation.lead_id, conversation.id)
    assert await is_paused(db, conversation)


async def test_escalated_twice_at_once_there_is_one_and_staff_are_told_once(db: Database) -> None:
    conversation = await text(db)
    opened = await asyncio.gather(*(escalate(db, conversation) for _ in range(5)))
    assert len({row.id for row in opened}) == 1
    assert len(await rows(db, Escalation)) == len(await rows(db, Message)) == 1


async def test_staff_read_who_waits_why_and_how_to_take_it_but_no_number(
    sqlite_db: Database,
) -> None:
    conversation = await text(sqlite_db)
    await save(
        sqlite_db, conversation, {"full_name": "John Doe", "zip_code": "30093", "phone": JOHN}
    )
    row = await escalate(sqlite_db, conversation)
    (message,) = await rows(sqlite_db, Message)
    assert (message.recipient, message.purpose, message.channel) == (DESK, Purpose.STAFF, "sms")
    for words in ("John Doe", "asks for a person", f"ivr escalations take {str(row.id)[:8]}"):
        assert words in message.body
    assert "30093" not in message.body and "5550123" not in message.body


@pytest.mark.parametrize(
    ("slug", "number", "told"),
    [
        ("default", None, "+17705550111"),
        ("default", DESK, DESK),
        ("another", DESK, DESK),
        ("another", None, None),  # the installation's staff are not this client's
    ],
)
async def test_staff_are_told_by_the_profile_s_number_else_by_the_installation_s_own(
    slug: str, number: str | None, told: str | None
) -> None:
    tenant = Tenant(slug=slug, name="", profile="powersports", timezone="UTC", created_at=NOW)
    settings = settings_for("sqlite:///x", staff_phone_number="+17705550111")
    profile = replace(PROFILE, escalation=replace(PROFILE.escalation, staff_phone=number))
    assert staff.on_duty(tenant, profile, settings).phone == told


async def test_without_a_number_of_staff_nobody_is_written_to(sqlite_db: Database) -> None:
    conversation = await text(sqlite_db)
    await escalate(sqlite_db, conversation, Staff())
    assert await rows(sqlite_db, Message) == []
    assert await is_paused(sqlite_db, conversation)


async def test_others_are_told_that_it_is_opened_taken_and_given_back(
    sqlite_db: Database,
) -> None:
    conversation = await text(sqlite_db)
    async with sqlite_db.write() as session:
        session.add(
            WebhookEndpoint(
                tenant_id=conversation.tenant_id,
                url="https://hooks.example.test/",
                secret="whsec_x",
                types={"only": [kind for kind in EventType if kind.startswith("escalation.")]},
                created_at=NOW,
            )
        )
    row = await escalate(sqlite_db, conversation)
    for step in (escalations.take, escalations.take, escalations.give_back):
        async with sqlite_db.write() as session:
            await step(
                session, conversation.tenant_id, str(row.id), "sam", now=NOW + timedelta(hours=1)
            )
    told = await rows(sqlite_db, OutboxEvent)
    told.sort(key=lambda event: list(EventType).index(event.type))
    assert [(event.type, event.payload["assignee"]) for event in told] == [
        ("escalation.opened", None),
        ("escalation.acknowledged", "sam"),
        ("escalation.resolved", "sam"),
    ]
    assert {event.payload["escalation_id"] for event in told} == {str(row.id)}
    assert {event.lead_id for event in told} == {conversation.lead_id}


async def test_while_it_is_open_staff_are_reminded_but_not_with_every_message(
    db: Database,
) -> None:
    conversation = await text(db)
    await escalate(db, conversation)

    async def remind(minutes: float) -> bool:
        async with db.write() as session:
            return await escalations.remind(
                session,
                conversation,
                now=NOW + timedelta(minutes=minutes),
                profile=PROFILE,
                staff=PEOPLE,
            )

    told = [await remind(minutes) for minutes in (1, 14, 15, 16, 31)]
    assert told == [False, False, True, False, True]
    assert len(await rows(db, Message)) == 3


async def test_who_has_taken_it_reads_that_there_is_something_new(sqlite_db: Database) -> None:
    conversation = await text(sqlite_db)
    await take(sqlite_db, await escalate(sqlite_db, conversation))
    async with sqlite_db.write() as session:
        later = NOW + timedelta(hours=2)
        await escalations.remind(session, conversation, now=later, profile=PROFILE, staff=PEOPLE)
    bodies = [message.body for message in await rows(sqlite_db, Message)]
    assert "has written to ann" in bodies[1] and "ivr escalations say" in bodies[1]


async def test_who_takes_it_has_the_lead_and_nobody_else_does(db: Database) -> None:
    conversation = await text(db)
    row = await escalate(db, conversation)
    results = await asyncio.gather(
        *(take(db, row, who) for who in ("ann", "bob", "eve")), return_exceptions=True
    )
    taken = [result for result in results if isinstance(result, Escalation)]
    assert len(taken) == 1 and sum(isinstance(result, Conflict) for result in results) == 2
    assert (taken[0].state, taken[0].acknowledged_at) == (EscalationState.ACKNOWLEDGED, NOW)
    assert await lifecycle(db, conversation) == Lifecycle.HANDED_OFF
    assert await is_paused(db, conversation)
    assert (await take(db, row, str(taken[0].assignee))).id == row.id  # twice does no harm


async def test_who_has_it_is_relieved_by_one_only(db: Database) -> None:
    conversation = await text(db)
    row = await escalate(db, conversation)
    await take(db, row)

    async def relieve(who: str) -> Escalation:
        async with db.write() as session:
            return await escalations.take(
                session, row.tenant_id, str(row.id), who, instead_of="ann", now=NOW
            )

    results = await asyncio.gather(*map(relieve, ("bob", "eve")), return_exceptions=True)
    (now,) = [result for result in results if isinstance(result, Escalation)]
    assert sum(isinstance(result, Conflict) for result in results) == 1
    for end in (give_back, resolve):
        with pytest.raises(Conflict, match=f"is with {now.assignee}"):
            await end(db, row, "ann")
    assert await is_paused(db, conversation)
    await resolve(db, row, str(now.assignee))
    assert not await is_paused(db, conversation)


async def test_given_back_the_assistant_speaks_and_the_lead_is_where_it_was(db: Database) -> None:
    conversation = await text(db)
    row = await escalate(db, conversation)
    await take(db, row)
    back = await give_back(db, row)
    await give_back(db, row)
    assert (back.state, back.resolved_at, back.resolution) == (
        EscalationState.RESOLVED,
        NOW,
        "given back by ann",
    )
    assert not await is_paused(db, conversation)
    assert await lifecycle(db, conversation) == Lifecycle.QUALIFYING
    moves = [move for move in await rows(db, Transition) if move.axis == Axis.LIFECYCLE]
    assert [move.to_value for move in moves][-2:] == [Lifecycle.HANDED_OFF, Lifecycle.QUALIFYING]
    with pytest.raises(Conflict, match="given back by ann"):
        await take(db, row)
    assert (await escalate(db, conversation)).id != row.id  # it may be needed anew


async def test_a_qualified_lead_is_qualified_again_when_it_is_given_back(
    sqlite_db: Database,
) -> None:
    conversation = await text(sqlite_db)
    async with sqlite_db.write() as session:
        (await session.get_one(Lead, conversation.lead_id)).lifecycle = Lifecycle.QUALIFIED
    row = await escalate(sqlite_db, conversation)
    await take(sqlite_db, row)
    await give_back(sqlite_db, row)
    assert await lifecycle(sqlite_db, conversation) == Lifecycle.QUALIFIED


async def test_a_lead_that_is_over_is_not_moved(sqlite_db: Database) -> None:
    conversation = await text(sqlite_db)
    async with sqlite_db.write() as session:
        lead = await session.get_one(Lead, conversation.lead_id)
        lead.lifecycle, lead.closed_at = Lifecycle.SUBMITTED, NOW
    row = await escalate(sqlite_db, conversation)
    await take(sqlite_db, row)
    await give_back(sqlite_db, row)
    assert await lifecycle(sqlite_db, conversation) == Lifecycle.SUBMITTED


async def test_what_is_dealt_with_leaves_the_list_and_the_lead_with_staff(db: Database) -> None:
    conversation = await text(db)
    row = await escalate(db, conversation)
    async with db.write() as session:
        await escalations.resolve(
            session, row.tenant_id, str(row.id)[:8].upper(), "ann", note="sold", now=NOW
        )
    async with db.read() as session:
        assert await escalations.of_tenant(session, row.tenant_id) == []
        (over,) = await escalations.of_tenant(session, row.tenant_id, include_done=True)
    assert (over.assignee, over.resolution) == ("ann", "sold")
    assert await lifecycle(db, conversation) == Lifecycle.HANDED_OFF
    assert not await is_paused(db, conversation)


async def test_an_unknown_one_or_one_of_several_is_refused(sqlite_db: Database) -> None:
    first = await escalate(sqlite_db, await text(sqlite_db))
    await escalate(sqlite_db, await text(sqlite_db, caller="+17705550199"))
    async with sqlite_db.read() as session:
        with pytest.raises(NotFound):
            await escalations.find(session, first.tenant_id, "no-such-id")
        with pytest.raises(BadRequest, match="more of the id"):
            await escalations.find(session, first.tenant_id, "")


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP])
async def test_who_has_taken_it_writes_to_the_contact(
    sqlite_db: Database, channel: Channel
) -> None:
    conversation = await text(sqlite_db, channel)
    row = await escalate(sqlite_db, conversation, Staff())
    await take(sqlite_db, row)
    async with sqlite_db.write() as session:
        await replies.say(session, conversation, "Hello, Ann here", "ann", policy=TEMPLATE, now=NOW)
    (message,), (turn,) = await rows(sqlite_db, Message), await rows(sqlite_db, Turn)
    assert (message.body, message.recipient, message.channel, message.state) == (
        "Hello, Ann here",
        JOHN,
        channel,
        MessageState.PENDING,
    )
    assert (turn.text, turn.role) == ("Hello, Ann here", "assistant")
    assert turn.item_id.startswith("staff_")


async def test_nobody_else_writes_to_the_contact(sqlite_db: Database) -> None:
    conversation = await text(sqlite_db)
    row = await escalate(sqlite_db, conversation, Staff())
    for taken in (False, True):
        if taken:
            await take(sqlite_db, row)
        async with sqlite_db.write() as session:
            with pytest.raises(Conflict, match="take the escalation first"):
                await replies.say(session, conversation, "Hello", "bob", policy=TEMPLATE, now=NOW)
    assert await rows(sqlite_db, Turn) == await rows(sqlite_db, Message) == []


async def test_a_phone_call_cannot_be_written_to(sqlite_db: Database) -> None:
    conversation = await text(sqlite_db, Channel.VOICE)
    await take(sqlite_db, await escalate(sqlite_db, conversation))
    async with sqlite_db.write() as session:
        with pytest.raises(Conflict, match="voice"):
            await replies.say(session, conversation, "Hello", "ann", policy=TEMPLATE, now=NOW)


async def test_who_forbade_messages_is_not_written_to_and_staff_learn_it(db: Database) -> None:
    conversation = await text(db)
    await take(db, await escalate(db, conversation, Staff()))
    async with db.write() as session:
        await consent.record(
            session,
            conversation.tenant_id,
            address=JOHN,
            channel=Channel.SMS,
            action=ConsentAction.REVOKED,
            source="keyword",
            evidence="STOP",
            now=NOW,
        )
    async with db.write() as session:
        with pytest.raises(Conflict, match="does not want messages"):
            await replies.say(session, conversation, "Hello", "ann", policy=TEMPLATE, now=NOW)
    assert await rows(db, Turn) == await rows(db, Message) == []


async def test_who_wrote_without_a_number_cannot_be_written_to(sqlite_db: Database) -> None:
    """Some senders are names: "ACME"."""
    conversation = await text(sqlite_db, caller=None)
    await take(sqlite_db, await escalate(sqlite_db, conversation, Staff()))
    async with sqlite_db.write() as session:
        with pytest.raises(Conflict, match="there is no number"):
            await replies.say(session, conversation, "Hello", "ann", policy=TEMPLATE, now=NOW)
