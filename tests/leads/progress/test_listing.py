"""Lists of leads: whatever is asked for, the pages together are exactly that, in its order."""

import asyncio
import json
import random
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr.db import Database, lead_words
from ivr.db.tables import Channel, Contact, Lead, LeadWord, Lifecycle, MergeRecord, Tenant
from ivr.errors import Unprocessable
from ivr.leads.people import merging, open_leads
from ivr.leads.profile import load_profile
from ivr.leads.progress import exchange, listing, search, stages
from ivr.leads.progress.imported import read
from ivr.leads.progress.listing import Sort, Wanted
from tests.leads.cast import JOHN, NOW, call, rows
from tests.leads.courses import COURSES, centre, chat, tell
from tests.leads.people.acquaintances import comes, says

NAMES = ("Ahmed Khan", "ahmad khalid", "José Núñez", "محمد علي", "Ahmed Ali", None)
STAGES, OWNERS, SOURCES = ("NEW", "LOST", "ENROLLED"), ("ann", "bob", None), ("voice", "sms")
LIFECYCLES = (Lifecycle.NEW, Lifecycle.QUALIFIED, Lifecycle.MERGED)
QUICKLY = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def short_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every list breaks off often, and few hits are many."""
    monkeypatch.setattr(listing, "FIRST_WALK", 2)
    monkeypatch.setattr(listing, "MOST_PROBED", 4)
    monkeypatch.setattr(listing, "MOST_WALKED", 5)
    monkeypatch.setattr(search, "FEW", 2)
    monkeypatch.setattr(search, "MOST_SPELLINGS", 2)


@pytest.fixture
async def tenant(db: Database) -> Tenant:
    return await centre(db)


async def people(db: Database, tenant: Tenant, count: int, *, seed: int = 1) -> list[Lead]:
    """Add leads that differ in everything; several came at one moment."""
    chance, made = random.Random(seed), []
    async with db.write() as session:
        for _ in range(count):
            contact = Contact(tenant_id=tenant.id, name=chance.choice(NAMES), created_at=NOW)
            session.add(contact)
            await session.flush()
            score = chance.choice((None, 10, 50, 80))
            lead = Lead(
                tenant_id=tenant.id,
                contact_id=contact.id,
                profile=chance.choice(("courses", "powersports")),
                stage=chance.choice(STAGES),
                lifecycle=chance.choice(LIFECYCLES),
                status=chance.choice(("new", "contacted")),
                score=score,
                category={None: None, 10: "cold", 50: "warm", 80: "hot"}[score],
                owner=chance.choice(OWNERS),
                source=chance.choice(SOURCES),
                created_at=NOW + timedelta(hours=chance.randrange(6)),
                updated_at=NOW,
                last_inbound_at=chance.choice((None, NOW, NOW + timedelta(days=1))),
                closed_at=chance.choice((None, NOW)),
            )
            session.add(lead)
            await session.flush()
            await search.keep(session, lead)
            made.append(lead)
    return made


async def page(
    db: Database, tenant: Tenant, wanted: Wanted, *, limit: int = 50, after: Any = None
) -> listing.Found:
    async with db.read() as session:
        return await listing.find(session, tenant.id, wanted, limit=limit, after=after)


async def pages(db: Database, tenant: Tenant, wanted: Wanted, *, limit: int) -> list[Lead]:
    """All pages, one after the other; none is longer than asked for."""
    found: list[Lead] = []
    after = None
    for _ in range(500):
        one = await page(db, tenant, wanted, limit=limit, after=after)
        assert len(one.leads) <= limit
        found += one.leads
        if (after := one.next) is None:
            return found
    raise AssertionError("a list that does not end")


def expected(
    leads: Sequence[Lead], wanted: Wanted, names: dict[uuid.UUID, str | None]
) -> list[Any]:
    """The ids of who passes, in the order wanted, found the simple way."""
    kept = [lead for lead in leads if passes(lead, wanted, names[lead.contact_id])]
    kept.sort(key=lambda lead: (lead.created_at, lead.id.hex), reverse=wanted.is_falling)
    if (by := wanted.sorted_by) is None:
        return [lead.id for lead in kept]
    valued = [lead for lead in kept if getattr(lead, by) is not None]
    valued.sort(key=lambda lead: getattr(lead, by), reverse=wanted.is_falling)
    return [lead.id for lead in [*valued, *(it for it in kept if getattr(it, by) is None)]]


def passes(lead: Lead, wanted: Wanted, name: str | None) -> bool:
    for key in ("stage", "lifecycle", "status", "profile", "source", "owner"):
        if getattr(wanted, key) not in (None, getattr(lead, key)):
            return False
    words = lead_words.of_name(name or "")
    return all(
        (
            lead.lifecycle != Lifecycle.MERGED or wanted.lifecycle == Lifecycle.MERGED,
            wanted.category in (None, lead.category or "unscored"),
            wanted.min_score is None or (lead.score or -1) >= wanted.min_score,
            wanted.max_score is None
            or (999 if lead.score is None else lead.score) <= wanted.max_score,
            wanted.is_open is None or (lead.closed_at is None) is wanted.is_open,
            wanted.created_after is None or lead.created_at >= wanted.created_after,
            wanted.created_before is None or lead.created_at < wanted.created_before,
            all(
                any(word.startswith(asked) for word in words)
                for asked in lead_words.asked(wanted.q or "")
            ),
        )
    )


maybe = st.none()
wants = st.builds(
    Wanted,
    stage=maybe | st.sampled_from(STAGES),
    lifecycle=maybe | st.sampled_from(LIFECYCLES),
    status=maybe | st.just("new"),
    category=maybe | st.sampled_from(["hot", "warm", "unscored"]),
    min_score=maybe | st.just(50),
    max_score=maybe | st.just(50),
    profile=maybe | st.just("courses"),
    source=maybe | st.just("sms"),
    owner=maybe | st.just("ann"),
    created_after=maybe | st.just(NOW + timedelta(hours=2)),
    created_before=maybe | st.just(NOW + timedelta(hours=4)),
    is_open=maybe | st.booleans(),
    q=maybe | st.sampled_from(["ahm", "ahmed", "a", "khan ahmed", "مُحمد", "nunez", "nobody"]),
    sort=st.sampled_from(Sort),
)


@QUICKLY
@given(some=st.lists(wants, min_size=8, max_size=8), limit=st.integers(1, 7))
def test_the_pages_are_exactly_who_passes_in_the_order_wanted(
    database_url: str, short_walks: None, some: list[Wanted], limit: int
) -> None:
    async def run() -> None:
        db = Database(database_url)
        try:
            tenant, other = [await centre(db, str(uuid.uuid4())) for _ in range(2)]
            leads = await people(db, tenant, 25)
            await people(db, other, 3)
            names = {row.id: row.name for row in await rows(db, Contact)}
            for wanted in some:
                found = await pages(db, tenant, wanted, limit=limit)
                assert [lead.id for lead in found] == expected(leads, wanted, names)
        finally:
            await db.close()

    asyncio.run(run())


async def ids(db: Database, tenant: Tenant, **wanted: Any) -> list[uuid.UUID]:
    return [lead.id for lead in (await page(db, tenant, Wanted(**wanted))).leads]


async def test_the_newest_is_first_and_a_merged_lead_is_not_there(
    db: Database, tenant: Tenant
) -> None:
    first = await chat(db, tenant)
    merged = await chat(db, tenant, now=NOW + timedelta(minutes=1))
    last = await chat(db, tenant, now=NOW + timedelta(minutes=2))
    async with db.write() as session:
        (await stages.lock(session, merged.lead_id)).lifecycle = Lifecycle.MERGED
    assert await ids(db, tenant) == [last.lead_id, first.lead_id]
    assert await ids(db, tenant, lifecycle="MERGED") == [merged.lead_id]


async def test_a_lead_is_listed_by_the_channel_of_any_of_its_conversations(
    db: Database, tenant: Tenant
) -> None:
    conversation = await chat(db, tenant)
    assert await ids(db, tenant, channel=Channel.CHAT) == [conversation.lead_id]
    assert await ids(db, tenant, channel=Channel.SMS) == []


async def test_who_comes_while_one_turns_the_pages_moves_nothing(
    db: Database, tenant: Tenant
) -> None:
    before = [await chat(db, tenant, now=NOW + timedelta(minutes=n)) for n in range(4)]
    first = await page(db, tenant, Wanted(), limit=2)
    await chat(db, tenant, now=NOW + timedelta(hours=1))
    second = await page(db, tenant, Wanted(), limit=2, after=first.next)
    shown = [lead.id for lead in [*first.leads, *second.leads]]
    assert shown == [one.lead_id for one in reversed(before)]
    assert second.next is None


async def test_no_page_walks_past_more_than_it_may(
    db: Database, tenant: Tenant, short_walks: None
) -> None:
    await people(db, tenant, 40)
    nobody = Wanted(status="closed_won", sort=Sort.BEST)
    one = await page(db, tenant, nobody, limit=5)
    assert (list(one.leads), one.next is None) == ([], False)
    assert await pages(db, tenant, nobody, limit=5) == []


# Search: every writer keeps the words


async def test_a_lead_is_found_by_what_was_said_a_moment_ago(db: Database, tenant: Tenant) -> None:
    conversation = await chat(db, tenant)
    await tell(db, conversation, name="Ahmed", phone="+92 300 1234567")
    mine = [conversation.lead_id]
    for q in ("ahm", "AHMED", "0300 1234567", "4567", str(mine[0]), str(conversation.id)):
        assert await ids(db, tenant, q=q) == mine, q
    await tell(db, conversation, name="Zoë")
    assert await ids(db, tenant, q="ahmed") == []
    assert await ids(db, tenant, q="zoe") == mine


async def test_a_lead_is_found_by_the_number_that_the_network_showed(db: Database) -> None:
    conversation = await call(db, profile="courses")
    tenant = await centre(db)
    assert await ids(db, tenant, q="(770) 555-0123") == [conversation.lead_id]


async def test_nobody_finds_the_leads_of_others(db: Database, tenant: Tenant) -> None:
    other = await centre(db, "other")
    theirs = await chat(db, other)
    await tell(db, theirs, name="Ahmed")
    for q in ("ahmed", str(theirs.id), str(theirs.lead_id)):
        assert await ids(db, tenant, q=q) == []


@pytest.mark.parametrize("q", ["12", "--", "🙂"], ids=["two digits", "signs", "a picture"])
async def test_what_nobody_can_be_found_by_is_refused(db: Database, tenant: Tenant, q: str) -> None:
    with pytest.raises(Unprocessable, match="q: expected"):
        await page(db, tenant, Wanted(q=q))


async def test_who_comes_again_is_found_at_once_with_the_new_lead(
    db: Database, tenant: Tenant
) -> None:
    old = await chat(db, tenant)
    await tell(db, old, name="Ahmed", phone="+92 300 1234567")
    async with db.write() as session:
        lead = await stages.lock(session, old.lead_id)
        contact = await session.get_one(Contact, lead.contact_id)
        contact.name, lead.closed_at = "Ahmed", NOW
        new = await open_leads.begin(
            session, contact, COURSES, source="chat", reason="again", now=NOW
        )
    assert set(await ids(db, tenant, q="ahmed")) == {lead.id, new.id}


async def words_of(db: Database, lead_id: uuid.UUID) -> set[str]:
    return {row.word for row in await rows(db, LeadWord) if row.lead_id == lead_id}


async def test_one_lead_made_of_two_is_found_by_both_and_each_by_its_own_after_the_split(
    db: Database,
) -> None:
    form = await comes(db, Channel.WEB_FORM, "form", name="John Doe", email="john@doe.example")
    form = await says(db, form, {"full_name": "John Doe", "phone": JOHN})
    sms = await comes(db, Channel.SMS, "sms", number="+17705550177", now=NOW + timedelta(hours=1))
    await says(db, sms, {"full_name": "John", "phone": JOHN}, now=NOW + timedelta(hours=1))
    (record,) = await rows(db, MergeRecord)
    (entry,) = record.moved["absorbed"]
    into, gone = uuid.UUID(entry["into"]), uuid.UUID(entry["lead"])
    theirs = lead_words.of_phone("+17705550177")[0]
    assert theirs in await words_of(db, into)
    tenant = (await rows(db, Tenant))[0]
    assert await ids(db, tenant, q="555 0177") == [into]
    async with db.write() as session:
        await merging.split(session, tenant.id, record.id, load_profile, now=NOW)
    assert theirs not in await words_of(db, into)
    assert await ids(db, tenant, q="555 0177") == [gone]


async def test_all_leads_of_one_person_are_found_by_all_that_is_known_of_them(db: Database) -> None:
    first = await comes(db, Channel.WEB_FORM, "form", name="John Doe", email="john@doe.example")
    await says(db, first, {"full_name": "John Doe"})
    async with db.write() as session:
        lost = await stages.lock(session, first.lead_id)
        lost.closed_at, lost.lifecycle = NOW, Lifecycle.DISQUALIFIED
    later = NOW + timedelta(hours=1)
    call_ = await comes(db, Channel.SMS, "sms", number=JOHN, now=later)
    await says(db, call_, {"full_name": "John Doe"}, now=later)
    both = {first.lead_id, call_.lead_id}
    leads = await rows(db, Lead)
    async with db.write() as session:
        one, other = await merging.lock_contacts(session, [lead.contact_id for lead in leads])
        await merging.merge(session, one, other, reason="staff say so", now=later)
    tenant = (await rows(db, Tenant))[0]
    for q in ("john@doe.example", "555 0123"):
        assert set(await ids(db, tenant, q=q)) == both, q


async def test_many_words_with_one_beginning_hide_nobody(
    db: Database, tenant: Tenant, short_walks: None
) -> None:
    conversation = [await chat(db, tenant, now=NOW + timedelta(minutes=n)) for n in range(4)]
    for one in conversation:
        await tell(db, one, name="Annabel Anne")
    found = await pages(db, tenant, Wanted(q="ann"), limit=2)
    assert [lead.id for lead in found] == [one.lead_id for one in reversed(conversation)]


async def test_an_imported_lead_is_found(db: Database, tenant: Tenant) -> None:
    entry = {
        "stage": "NAME_COLLECTED",
        "created_at": "2026-01-01T00:00:00",
        "lead_data": {"name": "Ahmed", "phone": "+923001234567"},
    }
    (record,) = read(json.dumps({"old": entry}), COURSES, ZoneInfo("UTC"), now=NOW)
    await exchange.bring_in(db, tenant, COURSES, [record], now=NOW)
    assert len(await ids(db, tenant, q="ahmed")) == len(await ids(db, tenant, q="4567")) == 1


async def test_who_is_forgotten_is_not_found(db: Database, tenant: Tenant) -> None:
    conversation = await chat(db, tenant)
    await tell(db, conversation, name="Ahmed")
    async with db.write() as session:
        await search.forget(session, conversation.lead_id)
    assert await ids(db, tenant, q="ahmed") == []
