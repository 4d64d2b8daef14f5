"""A stage set by hand: it holds, it is written down, and it agrees with status and `enrolled`."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from zoneinfo import ZoneInfo

import pytest

from ivr.agent.toolbox import ToolBox
from ivr.db import Database
from ivr.db.tables import Axis, Conversation, Lead, Lifecycle, Source
from ivr.errors import Conflict, Unprocessable
from ivr.leads import values
from ivr.leads.profile import load_profile
from ivr.leads.progress import profile_stages, stages
from tests.leads.cast import NOW, call
from tests.leads.courses import (
    AHMED,
    COURSES,
    STAGES,
    centre,
    chat,
    lead_of,
    moves_of,
    pin,
    stages_of,
    tell,
)

POWERSPORTS = load_profile("powersports")
LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def conversation(db: Database) -> Conversation:
    return await chat(db, await centre(db))


async def writes(db: Database, conversation: Conversation, *, reopen_lost: bool = True) -> Lead:
    """The person writes again."""
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        profile = replace(COURSES, reopen_lost=reopen_lost)
        await stages.inbound(session, lead, profile, now=LATER)
        return lead


def is_enrolled(held: dict[str, object]) -> bool:
    return getattr(held.get("enrolled"), "value", None) == "true"


async def known(db: Database, conversation: Conversation) -> dict[str, object]:
    async with db.read() as session:
        return dict(await values.current(session, conversation.lead_id))


def test_the_eight_stages_stand_in_their_order() -> None:
    assert profile_stages.stage_names(COURSES) == STAGES


FIRST_MATCH = (
    ("enrolled", "ENROLLED"),
    ("demo_shared", "DEMO_SHARED"),
    ("goal", "GOAL_COLLECTED"),
    ("education_level", "EDUCATION_COLLECTED"),
    ("selected_course", "COURSE_SELECTED"),
    ("name", "NAME_COLLECTED"),
)


@pytest.mark.parametrize("has_phone", [False, True])
@pytest.mark.parametrize("mask", list(product([False, True], repeat=6)))
def test_the_stage_is_the_first_match_of_the_guide(mask: tuple[bool, ...], has_phone: bool) -> None:
    filled = {name for (name, _), is_there in zip(FIRST_MATCH, mask, strict=True) if is_there}
    wanted = next((stage for name, stage in FIRST_MATCH if name in filled), "NEW")
    assert profile_stages.stage_of(COURSES, filled | ({"phone"} if has_phone else set())) == wanted


@pytest.mark.parametrize("stage", STAGES)
async def test_every_stage_can_be_set_by_hand_and_says_who_did(
    db: Database, conversation: Conversation, stage: str
) -> None:
    moved = await pin(db, conversation, stage, reason="paid in cash")
    lead = await lead_of(db, conversation)
    assert (lead.stage, lead.stage_pin, moved) == (stage, stage, stage != "NEW")
    last = (await moves_of(db, lead.id))[-1]
    if moved:
        assert (last.actor, last.reason, last.from_value) == ("operator", "paid in cash", "NEW")


async def test_enrolled_by_hand_means_enrolled_and_won(
    db: Database, conversation: Conversation
) -> None:
    await pin(db, conversation, "ENROLLED")
    lead, held = await lead_of(db, conversation), await known(db, conversation)
    assert is_enrolled(held) and getattr(held["enrolled"], "source", "") == Source.STAFF
    assert (lead.status, lead.closed_at) == ("closed_won", NOW)
    statuses = [move.to_value for move in await moves_of(db, lead.id, Axis.STATUS)]
    assert statuses == ["closed_won"]


async def test_a_step_back_from_enrolled_takes_it_back(
    db: Database, conversation: Conversation
) -> None:
    await tell(db, conversation, name="Ahmed", enrolled=True)
    assert (await lead_of(db, conversation)).status == "closed_won"
    await pin(db, conversation, "DEMO_SHARED")
    lead = await lead_of(db, conversation)
    assert (lead.stage, lead.status, lead.closed_at) == ("DEMO_SHARED", "negotiating", None)
    assert not is_enrolled(await known(db, conversation))


async def test_lost_keeps_its_reason_and_closes_the_lead(
    db: Database, conversation: Conversation
) -> None:
    await pin(db, conversation, "LOST", reason="too expensive")
    lead = await lead_of(db, conversation)
    assert (lead.lost_reason, lead.status, lead.closed_at) == ("too expensive", "closed_lost", NOW)


async def test_an_enrolled_lead_that_is_lost_is_not_enrolled(
    db: Database, conversation: Conversation
) -> None:
    await pin(db, conversation, "ENROLLED")
    await pin(db, conversation, "LOST")
    assert not is_enrolled(await known(db, conversation))
    assert (await lead_of(db, conversation)).status == "closed_lost"


@pytest.mark.parametrize("stage", ["LOST", "NAME_COLLECTED", "DEMO_SHARED"])
async def test_what_is_said_next_does_not_undo_a_stage_set_by_hand(
    db: Database, conversation: Conversation, stage: str
) -> None:
    await pin(db, conversation, stage)
    lead = await tell(db, conversation, **AHMED)
    assert lead.stage == stage
    assert await stages_of(db, conversation) == ["NEW", stage]


async def test_who_enrols_after_all_is_enrolled_whatever_was_set_by_hand(
    db: Database, conversation: Conversation
) -> None:
    await pin(db, conversation, "GOAL_COLLECTED")
    lead = await tell(db, conversation, enrolled=True)
    assert (lead.stage, lead.stage_pin, lead.status) == ("ENROLLED", None, "closed_won")
    lead = await tell(db, conversation, enrolled=False)
    assert (lead.stage, lead.status) == ("NEW", "negotiating")


async def test_enrolment_taken_back_as_a_value_lets_go_of_the_stage(
    db: Database, conversation: Conversation
) -> None:
    await tell(db, conversation, name="Ahmed")
    await pin(db, conversation, "ENROLLED")
    lead = await tell(db, conversation, enrolled=False)
    assert (lead.stage, lead.status, lead.stage_pin) == ("NAME_COLLECTED", "negotiating", None)


async def test_a_lost_lead_that_writes_again_is_open_again(
    db: Database, conversation: Conversation
) -> None:
    await tell(db, conversation, name="Ahmed")
    await pin(db, conversation, "LOST")
    lead = await writes(db, conversation)
    assert (lead.stage, lead.status) == ("NAME_COLLECTED", "contacted")
    assert (lead.stage_pin, lead.lost_reason, lead.closed_at) == (None, None, None)
    assert lead.last_inbound_at == LATER
    last = (await moves_of(db, lead.id))[-1]
    assert (last.actor, last.reason) == ("system", "the person wrote again")


async def test_a_business_may_leave_lost_leads_lost(
    db: Database, conversation: Conversation
) -> None:
    await pin(db, conversation, "LOST")
    lead = await writes(db, conversation, reopen_lost=False)
    assert (lead.stage, lead.status, lead.last_inbound_at) == ("LOST", "closed_lost", LATER)


async def test_writing_moves_a_pin_that_is_not_lost_nowhere(
    db: Database, conversation: Conversation
) -> None:
    await pin(db, conversation, "DEMO_SHARED")
    assert (await writes(db, conversation)).stage_pin == "DEMO_SHARED"


async def test_who_was_left_alone_is_talked_to_again(
    db: Database, conversation: Conversation
) -> None:
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        words = {"actor": "timer", "reason": "silent"}
        assert await stages.move(
            session, lead, Axis.LIFECYCLE, Lifecycle.NURTURING, **words, now=NOW
        )
        assert not await stages.move(
            session, lead, Axis.LIFECYCLE, Lifecycle.NURTURING, **words, now=NOW
        )
    assert (await writes(db, conversation)).lifecycle == Lifecycle.QUALIFYING


async def test_who_was_left_alone_and_calls_is_talked_to_again(db: Database) -> None:
    conversation = await call(db, sid="CA1")
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        words = {"actor": "timer", "reason": "silent"}
        await stages.move(session, lead, Axis.LIFECYCLE, Lifecycle.NURTURING, **words, now=NOW)
    await call(db, sid="CA2", now=LATER)
    assert (await lead_of(db, conversation)).lifecycle == Lifecycle.QUALIFYING


async def test_who_is_left_alone_stays_so_until_more_is_known(
    db: Database, conversation: Conversation
) -> None:
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        words = {"actor": "timer", "reason": "silent"}
        await stages.move(session, lead, Axis.LIFECYCLE, Lifecycle.NURTURING, **words, now=NOW)
        await stages.assess(session, lead, COURSES, {"name"}, met=True, now=NOW)
        assert lead.lifecycle == Lifecycle.NURTURING
    assert (await tell(db, conversation, **AHMED)).lifecycle == Lifecycle.QUALIFIED


async def test_a_denied_value_takes_its_stage_with_it(
    db: Database, conversation: Conversation
) -> None:
    tools = ToolBox(db, COURSES, conversation, zone=ZoneInfo("UTC"), now=lambda: NOW)
    await tools.save_field("name", "Ahmed")
    await tools.save_field("goal", "Career switch")
    await tools.confirm_field("goal", confirmed=False)
    assert await stages_of(db, conversation) == [
        "NEW",
        "NAME_COLLECTED",
        "GOAL_COLLECTED",
        "NAME_COLLECTED",
    ]


async def test_a_lost_lead_stays_closed_beside_a_newer_open_one(db: Database) -> None:
    first = await call(db)
    async with db.write() as session:
        lead = await stages.lock(session, first.lead_id)
        await stages.pin(
            session, lead, POWERSPORTS, "LOST", actor="operator", reason="sold it", now=NOW
        )
        session.add(
            Lead(
                tenant_id=lead.tenant_id,
                contact_id=lead.contact_id,
                profile=lead.profile,
                stage="NEW",
                created_at=NOW,
                updated_at=NOW,
            )
        )
    async with db.write() as session:
        lead = await stages.lock(session, first.lead_id)
        await stages.inbound(session, lead, POWERSPORTS, now=LATER)
        assert (lead.stage, lead.closed_at) == ("CONTACT_COLLECTED", NOW)


async def test_a_profile_without_a_lost_stage_has_one_all_the_same(db: Database) -> None:
    conversation = await call(db)
    assert profile_stages.stage_names(POWERSPORTS)[-1] == "LOST"
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        await stages.pin(
            session, lead, POWERSPORTS, "LOST", actor="operator", reason="sold it", now=NOW
        )
        assert (lead.stage, lead.status) == ("LOST", "closed_lost")


async def test_letting_go_lets_the_values_speak(db: Database, conversation: Conversation) -> None:
    await tell(db, conversation, **AHMED)
    await pin(db, conversation, "NAME_COLLECTED")
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        words = {"actor": "operator", "reason": "a mistake"}
        assert await stages.unpin(session, lead, COURSES, **words, now=NOW)
        assert lead.stage == "GOAL_COLLECTED"


async def test_a_stage_that_is_none_is_refused_with_those_there_are(
    db: Database, conversation: Conversation
) -> None:
    with pytest.raises(Unprocessable, match="valid are NEW, NAME_COLLECTED, .*, LOST"):
        await pin(db, conversation, "WARM")
    assert (await lead_of(db, conversation)).stage_pin is None


async def test_a_merged_lead_goes_nowhere(db: Database, conversation: Conversation) -> None:
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        lead.lifecycle = Lifecycle.MERGED
    with pytest.raises(Conflict, match="merged"):
        await pin(db, conversation, "ENROLLED")


async def test_a_value_taken_back_takes_its_stage_with_it(
    db: Database, conversation: Conversation
) -> None:
    await tell(db, conversation, name="Ahmed", goal="Career switch")
    lead = await tell(db, conversation, goal=None)
    assert lead.stage == "NAME_COLLECTED"
    assert await stages_of(db, conversation) == ["NEW", "GOAL_COLLECTED", "NAME_COLLECTED"]


async def test_what_staff_entered_is_changed_by_staff_alone(
    db: Database, conversation: Conversation
) -> None:
    async with db.write() as session:
        for source, value in ((Source.STAFF, "Ahmed"), (Source.CONFIRMED, "Ahmad")):
            words = {"name": "name", "value": value, "raw": value}
            await values.add(session, conversation, **words, source=source, now=NOW)
        taken = {"name": "name", "value": None, "raw": ""}
        await values.add(session, conversation, **taken, source=Source.CONFIRMED, now=NOW)
    assert getattr((await known(db, conversation))["name"], "value", "") == "Ahmed"
    assert (await tell(db, conversation, name="Ahmad")).stage == "NAME_COLLECTED"
    assert getattr((await known(db, conversation))["name"], "value", "") == "Ahmad"
