"""How conversations stand: whose turn it is, in which order they are shown, in few queries."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from ivr import conversations, tenants
from ivr.conversations import Said
from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Role, Tenant, Trigger
from ivr.errors import NotFound
from ivr.leads import intake
from ivr.leads.attention import escalations, talks
from ivr.leads.attention.talks import Talk, TalkStatus
from ivr.leads.profile import load_profile
from tests.leads.cast import NOW, settings_for

PROFILE = load_profile("powersports")
LEAD, US = Role.CALLER, Role.ASSISTANT


async def business(db: Database) -> Tenant:
    return await tenants.ensure_default(db, settings_for(db.url), now=NOW)


async def talk(
    db: Database,
    key: str,
    *roles: Role,
    channel: Channel = Channel.CHAT,
    at: datetime = NOW,
    finished: bool = False,
) -> Conversation:
    """A conversation that began at `at`, with a turn each second after."""
    enquiry = intake.Enquiry(
        channel=channel,
        session_key=key,
        caller=None,
        called=None,
        finish_after=at + timedelta(hours=24),
        now=at,
        chat_id=key,
    )
    row = await intake.begin(db, await business(db), PROFILE, enquiry)
    said = [
        Said(f"turn_{place}", place, role, f"{role} {place}", at + timedelta(seconds=1 + place))
        for place, role in enumerate(roles)
    ]
    async with db.write() as session:
        if said:
            await conversations.write_turns(session, [(row, one) for one in said])
        if finished:
            found = await conversations.lock(session, row.id)
            found.status, found.finished_at = "finished", at
            session.add(found)
    return row


async def escalate(db: Database, row: Conversation) -> None:
    async with db.write() as session:
        await escalations.open_for(session, row, Trigger.STAFF, "staff ask for it", now=NOW)


async def looked_at(db: Database, *rows: Conversation) -> list[Talk]:
    async with db.read() as session:
        fresh = [await conversations.by_id(session, row.id) for row in rows]
        return await talks.overview(session, fresh)


async def test_it_waits_from_the_first_word_that_has_no_answer(db: Database) -> None:
    asked = await talk(db, "asked", LEAD, US, LEAD, LEAD)
    answered = await talk(db, "answered", LEAD, US)
    silent = await talk(db, "silent")
    waiting, open_, new = await looked_at(db, asked, answered, silent)
    assert (waiting.status, waiting.waiting_since) == (
        TalkStatus.WAITING,
        NOW + timedelta(seconds=3),
    )
    assert (waiting.turn_count, waiting.last and waiting.last.text) == (3, "user 3")
    assert (open_.status, open_.waiting_since, open_.turn_count) == (TalkStatus.OPEN, None, 1)
    assert (new.status, new.last, new.last_activity_at) == (TalkStatus.OPEN, None, NOW)


async def test_whom_a_person_is_to_take_is_escalated_also_when_it_was_closed(db: Database) -> None:
    for finished in (False, True):
        row = await talk(db, f"escalated {finished}", LEAD, finished=finished)
        await escalate(db, row)
        (found,) = await looked_at(db, row)
        assert found.status is TalkStatus.ESCALATED
        assert found.escalation is not None
    closed = await talk(db, "closed", LEAD, finished=True)
    (over,) = await looked_at(db, closed)
    assert (over.status, over.waiting_since) == (TalkStatus.CLOSED, None)


async def pages(db: Database, tenant_id: uuid.UUID, size: int) -> list[uuid.UUID]:
    """Every active conversation, page by page."""
    shown: list[uuid.UUID] = []
    behind: tuple[datetime, uuid.UUID] | None = None
    while True:
        async with db.read() as session:
            page = await talks.active(session, tenant_id, behind=behind, count=size)
        shown += [row.id for row, _ in page]
        if len(page) < size:
            return shown
        behind = (page[-1][1], page[-1][0].id)


async def test_the_active_ones_come_with_the_newest_activity_first_whatever_the_page(
    db: Database,
) -> None:
    old = NOW - timedelta(days=3)
    began_long_ago = await talk(db, "woken", *[LEAD, US] * 3, at=old)
    quiet = await talk(db, "quiet", at=NOW - timedelta(hours=1))
    same = [await talk(db, f"same {one}", LEAD, at=NOW) for one in range(3)]
    late = await talk(db, "late", LEAD, US, LEAD, at=NOW)
    await talk(db, "closed", LEAD, finished=True)
    with_person = await talk(db, "with a person", LEAD, at=old, finished=True)
    await escalate(db, with_person)

    middle = sorted((row.id for row in same), reverse=True)
    expected = [late.id, *middle, quiet.id, began_long_ago.id, with_person.id]
    tenant = await business(db)
    assert [await pages(db, tenant.id, size) for size in (1, 2, 3, 50)] == [expected] * 4
    assert await pages(db, uuid.uuid4(), 50) == []


async def test_the_list_is_by_start_and_narrowed_by_channel_and_lead(db: Database) -> None:
    tenant = await business(db)
    rows = [
        await talk(db, f"{at}", channel=channel, at=NOW + timedelta(minutes=at))
        for at, channel in enumerate([Channel.CHAT, Channel.LIVE_CHAT, Channel.CHAT])
    ]

    async def found(**wanted: Any) -> Sequence[Conversation]:
        given = {"channel": None, "lead_id": None, "behind": None, "count": 50, **wanted}
        async with db.read() as session:
            return await talks.by_start(session, tenant.id, **given)

    newest, middle, oldest = rows[2], rows[1], rows[0]
    assert [row.id for row in await found()] == [newest.id, middle.id, oldest.id]
    assert [row.id for row in await found(channel=Channel.CHAT)] == [newest.id, oldest.id]
    assert [row.id for row in await found(lead_id=middle.lead_id)] == [middle.id]
    behind = (newest.started_at, newest.id)
    assert [row.id for row in await found(behind=behind, count=1)] == [middle.id]


async def test_many_conversations_take_as_many_queries_as_one(db: Database) -> None:
    rows = [await talk(db, f"{number}", LEAD, US, LEAD) for number in range(12)]
    asked: list[str] = []
    event.listen(
        db.engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2])
    )
    counts = []
    for some in (rows[:1], rows):
        async with db.read() as session:
            asked.clear()
            assert len(await talks.overview(session, some)) == len(some)
            counts.append(len([one for one in asked if one.lstrip().startswith("SELECT")]))
    assert counts[0] == counts[1] <= 5


async def test_turns_at_one_position_are_told_apart_by_their_order(db: Database) -> None:
    row = await talk(db, "two at once")
    said = [Said(f"t{n}", place, LEAD, f"{n}", NOW) for n, place in enumerate([0, 1, 1, 1, 2])]
    async with db.write() as session:
        for one in said:
            await conversations.write_turn(session, row, one)
    shown: list[str] = []
    behind: tuple[int, int] | None = None
    for _ in range(3):
        async with db.read() as session:
            page = await talks.turns(session, row.id, after=-1, behind=behind, count=2)
        shown += [turn.text for turn in page]
        assert page[-1].id is not None
        behind = (page[-1].position, page[-1].id)
    assert shown == ["0", "1", "2", "3", "4"]
    async with db.read() as session:
        later = await talks.turns(session, row.id, after=1, behind=None, count=9)
    assert [turn.text for turn in later] == ["4"]


async def test_another_business_s_conversation_is_not_found(db: Database) -> None:
    row = await talk(db, "ours", LEAD)
    async with db.read() as session:
        with pytest.raises(NotFound):
            await talks.find(session, uuid.uuid4(), row.id)
        assert (await talks.find(session, row.tenant_id, row.id)).id == row.id
