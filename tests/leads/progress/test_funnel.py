"""Where the leads stand: lists with their whole count, statistics that equal a recount."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import select

from ivr.db import Database
from ivr.db.tables import Axis, Conversation, Lead, Lifecycle, Tenant, utc_now
from ivr.errors import NotFound, Unprocessable
from ivr.leads import values
from ivr.leads.profile import load_profile
from ivr.leads.progress import funnel, profile_stages, stages
from tests.leads.cast import NOW, call, rows
from tests.leads.courses import (
    AHMED,
    COURSES,
    KEYS,
    STAGES,
    centre,
    chat,
    lead_of,
    moves_of,
    pin,
    stages_of,
    tell,
)


@pytest.fixture
async def tenant(db: Database) -> Tenant:
    return await centre(db)


async def stats(db: Database, tenant: Tenant) -> funnel.Stats:
    async with db.read() as session:
        return await funnel.stats(session, tenant.id, COURSES)


async def data(db: Database, conversation: Conversation) -> dict[str, object]:
    async with db.read() as session:
        held = await values.current(session, conversation.lead_id)
        return funnel.lead_data(COURSES, held)


async def test_a_new_lead_knows_nothing(db: Database, tenant: Tenant) -> None:
    conversation = await chat(db, tenant)
    known = await data(db, conversation)
    assert tuple(known) == KEYS
    assert list(known.values()) == [None] * 5 + [False] * 2
    assert (await lead_of(db, conversation)).stage == "NEW"


async def test_what_is_known_is_shown_as_the_guide_spells_it(db: Database, tenant: Tenant) -> None:
    conversation = await chat(db, tenant)
    await tell(db, conversation, **AHMED)
    assert await data(db, conversation) == {**AHMED, "demo_shared": False, "enrolled": False}


@pytest.mark.parametrize(
    ("number", "shown"),
    [("+923001234567", "+92 300 1234567"), ("+966501234567", "+966 50 123 4567"), ("12", "12")],
)
def test_a_number_is_shown_as_it_is_dialled_from_abroad(number: str, shown: str) -> None:
    assert funnel.international(number) == shown


async def test_a_jump_is_one_entry_and_what_changes_nothing_is_none(
    db: Database, tenant: Tenant
) -> None:
    conversation = await chat(db, tenant)
    await tell(db, conversation, name="Ahmed", selected_course="CTA")
    await tell(db, conversation, education_level="Graduate", goal="More", demo_shared=True)
    await tell(db, conversation, demo_shared=True)
    assert await stages_of(db, conversation) == ["NEW", "COURSE_SELECTED", "DEMO_SHARED"]


async def test_the_count_is_of_all_and_not_of_the_page(db: Database, tenant: Tenant) -> None:
    chats = [await chat(db, tenant, now=NOW + timedelta(minutes=n)) for n in range(3)]
    for one in chats:
        await tell(db, one, name="Ahmed", now=NOW + timedelta(hours=1))
    async with db.read() as session:
        page = await funnel.by_stage(
            session, tenant.id, COURSES, "NAME_COLLECTED", limit=1, offset=1
        )
        none = await funnel.by_stage(session, tenant.id, COURSES, "LOST")
    assert (page.count, [line.conversation_id for line in page.leads]) == (3, [chats[1].id])
    (line,) = page.leads
    assert (line.stage, line.lead_id) == ("NAME_COLLECTED", chats[1].lead_id)
    assert line.created_at == NOW + timedelta(minutes=1)
    assert line.stage_updated_at == NOW + timedelta(hours=1)
    assert line.lead_data["name"] == "Ahmed"
    assert (none.count, list(none.leads)) == (0, [])


async def test_a_lead_is_shown_with_its_latest_conversation(db: Database) -> None:
    tenant = await centre(db)
    await call(db, sid="CA1", profile="courses")
    later = await call(db, sid="CA2", now=NOW + timedelta(days=1), profile="courses")
    async with db.read() as session:
        page = await funnel.by_stage(session, tenant.id, COURSES, "NEW")
    assert [line.conversation_id for line in page.leads] == [later.id]


async def test_more_leads_than_a_statement_takes_are_all_listed(
    db: Database, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(funnel, "_BATCH", 2)
    for _ in range(5):
        await chat(db, tenant)
    async with db.read() as session:
        page = await funnel.by_stage(session, tenant.id, COURSES, "NEW")
    assert len({line.conversation_id for line in page.leads}) == 5


async def test_a_merged_lead_is_counted_nowhere(db: Database, tenant: Tenant) -> None:
    conversation = await chat(db, tenant)
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        lead.lifecycle = Lifecycle.MERGED
    assert (await stats(db, tenant)).total_leads == 0


async def test_the_leads_of_others_are_not_counted(db: Database, tenant: Tenant) -> None:
    other = await centre(db, "other")
    theirs = await chat(db, other)
    assert (await stats(db, tenant)).total_leads == 0
    async with db.read() as session:
        with pytest.raises(NotFound):
            await funnel.conversation_of(session, tenant.id, str(theirs.id))


async def test_without_leads_the_rate_is_zero(db: Database, tenant: Tenant) -> None:
    assert await stats(db, tenant) == funnel.Stats(0, dict.fromkeys(STAGES, 0), 0.0)


SAMPLE = (20, 15, 25, 18, 22, 30, 18, 2)


async def test_the_sample_of_the_guide_gives_its_rate(db: Database, tenant: Tenant) -> None:
    conversation = await chat(db, tenant)
    contact = (await lead_of(db, conversation)).contact_id
    wanted = [name for name, count in zip(STAGES, SAMPLE, strict=True) for _ in range(count)]
    async with db.write() as session:
        (await session.get_one(Lead, conversation.lead_id)).closed_at = NOW
        for stage in wanted[1:]:
            lead = Lead(tenant_id=tenant.id, contact_id=contact, profile="courses", stage=stage)
            lead.created_at = lead.updated_at = lead.closed_at = NOW
            session.add(lead)
    found = await stats(db, tenant)
    assert found == funnel.Stats(150, dict(zip(STAGES, SAMPLE, strict=True)), 12.0)


async def test_a_stage_that_the_profile_has_no_more_is_counted_all_the_same(
    db: Database, tenant: Tenant
) -> None:
    conversation = await chat(db, tenant)
    async with db.write() as session:
        (await session.get_one(Lead, conversation.lead_id)).stage = "TASTER_LESSON"
    found = await stats(db, tenant)
    assert (found.total_leads, found.by_stage["TASTER_LESSON"]) == (1, 1)


async def test_a_profile_of_ones_own_has_its_own_stages(db: Database) -> None:
    tenant = await centre(db)
    await call(db, sid="CA1", profile="powersports")
    powersports = load_profile("powersports")
    async with db.read() as session:
        found = await funnel.stats(session, tenant.id, powersports)
    assert tuple(found.by_stage) == (*powersports.stages, "LOST")
    assert found.by_stage["CONTACT_COLLECTED"] + found.by_stage["NEW"] == found.total_leads == 1


def test_a_pipeline_is_named_by_its_key_and_never_by_a_path(sqlite_url: str) -> None:
    tenant = Tenant(slug="x", name="x", profile="courses", timezone="UTC", created_at=NOW)
    assert funnel.pipeline(load_profile, tenant, None).key == "courses"
    assert funnel.pipeline(load_profile, tenant, "powersports").key == "powersports"
    with pytest.raises(Unprocessable, match="valid are courses, powersports|valid are courses, "):
        funnel.pipeline(load_profile, tenant, "./secret.toml")


# Properties

FIELDS = {
    "name": ["Ahmed", "Sara", None],
    "phone": ["+923001234567", None],
    "selected_course": ["CTA", "ACCA", None],
    "education_level": ["Graduate", None],
    "goal": ["Career switch", None],
    "demo_shared": [True, False],
    "enrolled": [True, False],
}
UPDATES = st.sampled_from([(name, value) for name, them in FIELDS.items() for value in them])
PINS = st.sampled_from(STAGES)
ACTIONS = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(UPDATES, PINS, st.just(None))), max_size=12
)


async def act(db: Database, one: Conversation, what: tuple[str, object] | str | None) -> None:
    """A field is set, a stage is set by hand, or the person writes."""
    if isinstance(what, str):
        await pin(db, one, what)
    elif what is not None:
        await tell(db, one, **{what[0]: what[1]})
    else:
        async with db.write() as session:
            lead = await stages.lock(session, one.lead_id)
            await stages.inbound(session, lead, COURSES, now=utc_now())


async def assert_in_order(db: Database, lead: Lead) -> None:
    """The invariants of one lead (domain 4, 1 to 5)."""
    async with db.read() as session:
        held = await values.current(session, lead.id)
    derived = profile_stages.stage_of(COURSES, profile_stages.reaching(COURSES, held))
    assert lead.stage == (lead.stage_pin or derived)
    is_won, is_lost = lead.stage == "ENROLLED", lead.stage == "LOST"
    assert funnel.lead_data(COURSES, held)["enrolled"] is is_won
    assert (lead.status == "closed_won", lead.status == "closed_lost") == (is_won, is_lost)
    assert (lead.closed_at is not None) is (is_won or is_lost)
    assert bool(lead.lost_reason) is is_lost
    columns = ((Axis.STAGE, lead.stage), (Axis.STATUS, lead.status))
    for axis, column in columns:
        moves = await moves_of(db, lead.id, axis)
        assert [move.seq for move in moves] == list(range(1, len(moves) + 1))
        assert all(a.at <= b.at for a, b in zip(moves, moves[1:], strict=False))
        assert all(a.to_value == b.from_value for a, b in zip(moves, moves[1:], strict=False))
        assert all(move.from_value != move.to_value for move in moves)
        assert (moves[-1].to_value if moves else "new") == column
    assert (await moves_of(db, lead.id))[0].to_value == "NEW"


async def assert_counts(db: Database, tenant: Tenant) -> None:
    """Statistics equal a recount (domain 4, 19)."""
    leads = [lead for lead in await rows(db, Lead) if lead.tenant_id == tenant.id]
    counted = Counter(lead.stage for lead in leads)
    found = await stats(db, tenant)
    assert found.by_stage == {name: counted[name] for name in STAGES}
    assert found.total_leads == len(leads)
    assert found.conversion_rate == counted["ENROLLED"] * 100 / len(leads)
    for lead in leads:
        await assert_in_order(db, lead)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(actions=ACTIONS)
def test_whatever_happens_the_books_are_in_order(
    database_url: str, actions: list[tuple[int, tuple[str, object] | str | None]]
) -> None:
    async def run() -> None:
        db = Database(database_url)
        try:
            tenant = await centre(db)
            chats = [await chat(db, tenant) for _ in range(3)]
            for which, what in actions:
                await act(db, chats[which], what)
            await assert_counts(db, tenant)
        finally:
            await db.close()

    asyncio.run(run())


async def test_fifty_at_once_leave_the_books_in_order(db: Database, tenant: Tenant) -> None:
    chats = [await chat(db, tenant) for _ in range(4)]
    choice = random.Random(7)
    offers: list[tuple[str, object] | str | None] = [None, *STAGES]
    offers += [(name, value) for name, them in FIELDS.items() for value in them]

    async def worker() -> None:
        for _ in range(3):
            await act(db, choice.choice(chats), choice.choice(offers))

    await asyncio.gather(*(worker() for _ in range(50)))
    await assert_counts(db, tenant)
    async with db.read() as session:
        assert len((await session.exec(select(Lead))).all()) == 4
