"""Leads that nobody is to get by themselves: not fit, lost, not ready, or never one at all."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ivr import conversations
from ivr.conversations import Said
from ivr.db import Database
from ivr.db.tables import (
    Axis,
    Channel,
    ConsentAction,
    Conversation,
    FailedLead,
    Lead,
    Lifecycle,
    Role,
    Submission,
    SubmissionState,
    utc_now,
)
from ivr.errors import Conflict
from ivr.leads.delivery.waiting import WAITING
from ivr.leads.profile import load_profile
from ivr.leads.progress import qualification_rules, stages
from ivr.leads.progress.lifecycle import Mover
from ivr.leads.progress.qualification_rules import Draft
from ivr.leads.progress.silence import ACTOR, Silence
from ivr.messages import consent
from tests.leads.cast import (
    JOHN,
    LEAD,
    TALK,
    call,
    finish,
    is_finished,
    road_of,
    rows,
    save,
    settings_for,
    until,
)
from tests.leads.test_follow_up import TOKEN, cut_off, submission_of, texts
from tools.emulators.npa import NpaEmulator

POWERSPORTS = load_profile("powersports")
SARAH: dict[str, Any] = {"actor": "Sarah", "reason": "a dealer"}
Act = Callable[[Database, Conversation], Awaitable[None]]


def asking(folder: Path) -> str:
    """The path of a profile that may write to who was cut off, and asks whether a buyer may."""
    text = (Path(load_profile.__code__.co_filename).parents[1]) / "profiles" / "powersports.toml"
    body = text.read_text().replace("[target.fields]", '[target.fields]\nokToText = "may_text"')
    field = 'key = "may_text"\ntype = "yes_no"\nlabel = "texts"\nask = "May a buyer text you?"\n'
    path = folder / "asking.toml"
    path.write_text(f"follow_up = true\n{body}\n[[fields]]\n{field}asked = false\n")
    return str(path)


@pytest.fixture
def profile(tmp_path: Path) -> str:
    return asking(tmp_path)


async def due(db: Database) -> Submission:
    """Let the time of the one that waits come."""
    waiting = await submission_of(db)
    async with db.write() as session:
        row = await session.get_one(Submission, waiting.id)
        row.next_attempt_at = utc_now()
    return waiting


async def lost_by_staff(db: Database, conversation: Conversation) -> None:
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        await stages.pin(session, lead, POWERSPORTS, "LOST", **SARAH, now=utc_now())


async def not_fit(db: Database, conversation: Conversation) -> None:
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        await stages.disqualify(session, lead, POWERSPORTS, by=Mover.STAFF, **SARAH, now=utc_now())


async def not_ready(db: Database, conversation: Conversation) -> None:
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        to = Lifecycle.NURTURING
        await stages.move(session, lead, Axis.LIFECYCLE, to, **SARAH, now=utc_now())


async def stop(db: Database, conversation: Conversation, channel: str = Channel.SMS) -> None:
    async with db.write() as session:
        await consent.record(
            session,
            conversation.tenant_id,
            address=JOHN,
            channel=channel,
            action=ConsentAction.REVOKED,
            source="keyword",
            evidence="STOP",
            now=utc_now(),
        )


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lost_by_staff, "the lead is lost: a dealer"),
        (not_fit, "the lead does not fit: a dealer"),
        (not_ready, "not ready yet, says Sarah"),
    ],
)
async def test_what_waits_is_held_when_its_lead_must_not_go_and_a_person_may_send_it(
    db: Database, npa: NpaEmulator, profile: str, act: Act, words: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        conversation = await finish(road, db, await cut_off(db, profile))
        waiting = await due(db)
        await act(db, conversation)
        assert await road.submissions.attempt(waiting.id) is None
        held = await submission_of(db)
        assert (held.state, npa.requests) == (SubmissionState.HELD, [])
        (failed,) = await rows(db, FailedLead)
        assert words in failed.error_message and not failed.resolved, "somebody sees it"
        assert await road.submissions.due() == []
        with pytest.raises(Conflict, match="--force"):
            await road.submissions.retry(conversation.tenant_id, failed.id)
        await road.submissions.retry(conversation.tenant_id, failed.id, force=True)
    assert len(npa.leads) == 1


async def test_what_was_about_to_leave_is_held_too(db: Database, npa: NpaEmulator) -> None:
    conversation = await call(db, TALK)
    await save(db, conversation, LEAD)
    async with road_of(db, npa, dies_after="conclude") as road:
        await road.start_finish(conversation.id, conversation.episode)

        async def is_written() -> bool:
            return bool(await rows(db, Submission))

        await until(is_written)
    await lost_by_staff(db, conversation)
    async with road_of(db, npa):
        await until(lambda: is_finished(db, conversation.id))
    assert npa.requests == [] and (await submission_of(db)).state == SubmissionState.HELD


async def test_who_is_only_silent_is_handed_over_and_not_given_up_before(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        conversation = await finish(road, db, await cut_off(db, profile))
        late = utc_now() + timedelta(days=30)
        settings = settings_for(db.url, profile=profile)
        await Silence(db, load_profile, settings, clock=lambda: late).sweep()
        (lead,) = await rows(db, Lead)
        assert (lead.lifecycle, lead.status) == ("NURTURING", "contacted"), "by the timer"
        waiting = await due(db)
        assert waiting.last_error == WAITING
        await road.submissions.attempt(waiting.id)
        assert [one["firstName"] for one in npa.leads] == ["John"]
        assert conversation.lead_id == lead.id


async def test_who_was_given_up_for_silence_is_sent_no_more(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        conversation = await finish(road, db, await cut_off(db, profile))
        async with db.write() as session:
            lead = await stages.lock(session, conversation.lead_id)
            words: dict[str, Any] = {
                "actor": ACTOR,
                "reason": "no answer for 7 days",
                "now": utc_now(),
            }
            await stages.pin(session, lead, POWERSPORTS, "LOST", **words)
        waiting = await due(db)
        assert await road.submissions.attempt(waiting.id) is None
    assert npa.requests == [] and "no answer" in str((await submission_of(db)).last_error)


@pytest.mark.parametrize("channel", [Channel.SMS, Channel.WHATSAPP, consent.ALL])
async def test_a_stop_goes_along_and_counts_more_than_an_earlier_yes(
    db: Database, npa: NpaEmulator, profile: str, channel: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        cut = await cut_off(db, profile)
        await save(db, cut, {"may_text": "yes"})
        conversation = await finish(road, db, cut)
        waiting = await due(db)
        assert waiting.lead_data["may_text"] == "yes"
        await stop(db, conversation, channel)
        await road.submissions.attempt(waiting.id)
        (sent,) = npa.leads
    assert sent["okToText"] == "false"
    assert "Do not text: they refused messages" in sent["additionalNotes"]


async def test_without_a_stop_a_yes_is_a_yes(db: Database, npa: NpaEmulator, profile: str) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        cut = await cut_off(db, profile)
        await save(db, cut, {"may_text": "yes"})
        await finish(road, db, cut)
        await road.submissions.attempt((await due(db)).id)
        (sent,) = npa.leads
    assert sent["okToText"] == "true" and "Do not text" not in sent["additionalNotes"]


async def test_a_stop_counts_on_a_later_attempt(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    npa.faults.status = 429
    conversation = await call(db, TALK, profile=profile)
    await save(db, conversation, {**LEAD, "may_text": "yes"})
    async with road_of(db, npa, profile=profile) as road:
        await finish(road, db, conversation)
        npa.faults.status = None
        await stop(db, conversation)
        await road.submissions.attempt((await due(db)).id)
        assert npa.leads[-1]["okToText"] == "false"


@pytest.mark.parametrize(
    "said",
    ["Please delete all my data", "Just forget me.", "Can you erase my personal information", None],
)
async def test_a_wrong_number_and_who_is_to_be_forgotten_are_nobodys_lead(
    db: Database, npa: NpaEmulator, said: str | None
) -> None:
    talk = (*TALK[:4], (Role.CALLER, said)) if said else TALK[:4]
    conversation = await call(db, talk)
    await save(db, conversation, {"full_name": "John Doe"})
    async with db.write() as session:
        reason = None if said else "wrong_number"
        await conversations.call_over(session, conversation.id, now=utc_now(), reason=reason)
    async with road_of(db, npa) as road:
        await finish(road, db, conversation)
    assert npa.requests == []
    (held,) = await rows(db, FailedLead)
    assert ("forget them" if said else "wrong number") in held.error_message


async def test_who_calls_again_after_a_wrong_number_is_a_lead(
    db: Database, npa: NpaEmulator
) -> None:
    first = await call(db, TALK[:2])
    async with db.write() as session:
        await conversations.call_over(session, first.id, now=utc_now(), reason="wrong_number")
    async with road_of(db, npa) as road:
        await finish(road, db, first)
        second = await call(db, TALK, sid="CA2")
        await save(db, second, LEAD)
        await finish(road, db, second)
    assert [one["model"] for one in npa.leads] == ["MT-07"]


async def test_a_written_wrong_number_is_held_at_the_end(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        await finish(road, db, await cut_off(db, profile))
        text = await texts(db, profile, {}, ends=True)
        async with db.write() as session:
            said = Said("in_1", 9, Role.CALLER, "Sorry, wrong number!", utc_now())
            await conversations.write_turn(session, text, said)
        await finish(road, db, text)
    held = await submission_of(db)
    assert (held.state, npa.requests) == (SubmissionState.HELD, [])
    assert "wrong number" in str(held.last_error)


async def ruled(db: Database, conversation: Conversation, outcome: str = "NURTURING") -> None:
    conditions = {"all": [{"field": "vehicle_year", "op": "at_most", "value": 2020}]}
    draft = Draft(name="an old one", outcome=outcome, conditions=conditions)
    async with db.write() as session:
        await qualification_rules.add(
            session, conversation.tenant_id, POWERSPORTS, draft, now=utc_now()
        )


async def test_who_a_rule_finds_not_ready_is_held_until_qualified(
    db: Database, npa: NpaEmulator
) -> None:
    conversation = await call(db, TALK)
    await ruled(db, conversation)
    await save(db, conversation, LEAD)
    async with road_of(db, npa) as road:
        await finish(road, db, conversation)
        (lead,) = await rows(db, Lead)
        assert (lead.lifecycle, lead.closed_at, npa.requests) == ("NURTURING", None, [])
        (held,) = await rows(db, FailedLead)
        assert held.error_message == "not submitted: not ready yet, says the rule an old one"
        again = await call(db, TALK, sid="CA2")
        await save(db, again, {"vehicle_year": "2024"})
        await finish(road, db, again)
    (lead,) = await rows(db, Lead)
    assert (lead.lifecycle, [one["year"] for one in npa.leads]) == ("SUBMITTED", [2024])


async def test_a_rule_counts_also_where_a_timer_was_first(db: Database, npa: NpaEmulator) -> None:
    conversation = await call(db, TALK)
    await ruled(db, conversation)
    async with db.write() as session:
        lead = await stages.lock(session, conversation.lead_id)
        words: dict[str, Any] = {"actor": ACTOR, "reason": "no answer", "now": utc_now()}
        by = Mover.SYSTEM
        await stages.move(session, lead, Axis.LIFECYCLE, Lifecycle.NURTURING, **words, by=by)
    await save(db, conversation, LEAD)
    async with road_of(db, npa) as road:
        await finish(road, db, conversation)
    assert npa.requests == [] and (await submission_of(db)).state == SubmissionState.HELD


async def test_who_is_not_nurtured_costs_no_question_to_the_database() -> None:
    nobody: Any = None
    whose: dict[str, Any] = {"tenant_id": uuid.uuid4(), "contact_id": uuid.uuid4()}
    lead = Lead(**whose, profile="powersports", stage="NEW", lifecycle=Lifecycle.QUALIFIED)
    assert await stages.who_nurtures(nobody, lead) is None
