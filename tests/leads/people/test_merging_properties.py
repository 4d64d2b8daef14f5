"""Invariants 7 and 8: one open lead per contact and profile; a merge moves all, and back again."""

import asyncio
import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr.db import Database
from ivr.db.tables import Channel, Conversation, Lead, MergeRecord, Task
from ivr.leads.people import identity, merging
from ivr.leads.profile import load_profile
from tests.conftest import HASH_KEY
from tests.leads.cast import NOW, rows
from tests.leads.people.acquaintances import COURSES, comes, contact_of, picture, says

NUMBERS = ("+17705550101", "+17705550102")
NAMES = ("John Doe", "Mary Major", "Ahmed Ali")
visits = st.fixed_dictionaries(
    {
        "channel": st.sampled_from([Channel.VOICE, Channel.SMS, Channel.CHAT]),
        "key": st.integers(0, 2),
        "profile": st.sampled_from(["powersports", "courses"]),
        "name": st.none() | st.sampled_from(NAMES),
        "phone": st.none() | st.sampled_from(NUMBERS),
    }
)
QUICKLY = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def visit(db: Database, number: int, one: dict[str, Any]) -> Conversation:
    """Have somebody come, and say what they say."""
    now = NOW + timedelta(minutes=number)
    shown = None if one["channel"] == Channel.CHAT else NUMBERS[one["key"] % len(NUMBERS)]
    key = f"{one['channel']}-{one['key']}-{one['profile']}"
    conversation = await comes(
        db, one["channel"], key, number=shown, profile=one["profile"], now=now
    )
    name = "name" if one["profile"] == COURSES.key else "full_name"
    given = {name: one["name"], "phone": one["phone"]}
    said = {field: value for field, value in given.items() if value}
    return await says(db, conversation, said, profile=one["profile"], now=now)


def in_a_town(template: Path, play: Any) -> None:
    """Run a story on a database of its own."""

    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "town.db"
            shutil.copyfile(template, path)
            db = Database(f"sqlite+aiosqlite:///{path}", hash_key=lambda: HASH_KEY)
            try:
                await play(db)
            finally:
                await db.close()

    asyncio.run(run())


@QUICKLY
@given(story=st.lists(visits, min_size=2, max_size=8))
def test_whoever_comes_a_contact_has_one_open_lead_per_profile(
    sqlite_template: Path, story: list[dict[str, Any]]
) -> None:
    async def play(db: Database) -> None:
        for number, one in enumerate(story):
            await visit(db, number, one)
        leads = {lead.id: lead for lead in await rows(db, Lead)}
        open_ones = [(it.contact_id, it.profile) for it in leads.values() if it.closed_at is None]
        assert max(Counter(open_ones).values()) == 1
        for conversation in await rows(db, Conversation):
            assert leads[conversation.lead_id].closed_at is None, "nobody is left behind"

    in_a_town(sqlite_template, play)


@QUICKLY
@given(story=st.lists(visits, min_size=2, max_size=6))
def test_a_merge_that_is_undone_leaves_everything_where_it_was(
    sqlite_template: Path, story: list[dict[str, Any]]
) -> None:
    async def play(db: Database) -> None:
        last = [await visit(db, number, one) for number, one in enumerate(story)]
        async with db.write() as session:
            for conversation in {it.lead_id: it for it in last}.values():
                session.add(
                    Task(
                        tenant_id=conversation.tenant_id,
                        lead_id=conversation.lead_id,
                        conversation_id=conversation.id,
                        kind="call_back",
                        reason="asked",
                        created_at=NOW,
                    )
                )
        ids = {await contact_of(db, it) for it in last}
        if len(ids) < 2:
            return
        before, (one, other) = await full_picture(db), sorted(ids)[:2]
        async with db.write() as session:
            first, second = await merging.lock_contacts(session, [one, other])
            record = await merging.merge(session, first, second, reason="a test", now=NOW)
            assert record is not None
        assert {lead.contact_id for lead in await rows(db, Lead)} & {one, other} == {record.kept_id}
        async with db.write() as session:
            await identity.split(session, record.tenant_id, record.id, load_profile, now=NOW)
        assert await full_picture(db) == before

    in_a_town(sqlite_template, play)


async def full_picture(db: Database) -> dict[str, Any]:
    """Who has what, without what follows from it."""
    tasks = {(it.id, it.lead_id, it.done_at) for it in await rows(db, Task)}
    seen = await picture(db)
    undone = [it for it in await rows(db, MergeRecord) if it.reason == "a test"]
    assert all(it.split_at is not None for it in undone)
    return {**seen, "leads": {lead[:5] for lead in seen["leads"]}, "tasks": tasks}
