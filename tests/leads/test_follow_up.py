"""A call that breaks off goes on by SMS; the lead waits for the answer and is never lost."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ivr import conversations, tenants
from ivr.conversations import Said
from ivr.db import Database
from ivr.db.tables import (
    Channel,
    ConsentAction,
    Conversation,
    ConversationStatus,
    Message,
    MessageState,
    Purpose,
    Role,
    Submission,
    SubmissionState,
    Tenant,
    Turn,
    utc_now,
)
from ivr.leads import follow_up, intake, values
from ivr.leads.attention import escalations, tasks
from ivr.leads.delivery.waiting import WAITING
from ivr.leads.profile import load_profile
from ivr.leads.progress import stages
from ivr.messages import consent
from tests.leads.cast import (
    JOHN,
    TALK,
    call,
    finish,
    is_finished,
    reread,
    road_of,
    rows,
    save,
    settings_for,
    until,
)
from tools.emulators.npa import NpaEmulator

TOKEN = {"twilio_auth_token": "a token"}
GIVEN = {"full_name": "John Doe", "zip_code": "30093"}
CUT_OFF = TALK[:5]  # the caller has given name and ZIP and is asked for the number
MOBILE, LANDLINE = JOHN, "+442079460123"


@pytest.fixture
def profile(tmp_path: Path) -> str:
    """The path of a profile that is `powersports` but may write to who was cut off."""
    path = tmp_path / "following.toml"
    text = Path(load_profile.__code__.co_filename).parents[1] / "profiles" / "powersports.toml"
    path.write_text(f"follow_up = true\n{text.read_text()}")
    return str(path)


async def cut_off(
    db: Database,
    profile: str,
    talk: Sequence[tuple[Role, str]] = CUT_OFF,
    *,
    reason: str | None = "caller_hung_up",
    sid: str = "CA1",
    caller: str | None = MOBILE,
) -> Conversation:
    """Have a call break off after name and ZIP."""
    conversation = await call(db, talk, sid=sid, caller=caller, now=utc_now(), profile=profile)
    await save(db, conversation, GIVEN)
    async with db.write() as session:
        await conversations.call_over(session, conversation.id, now=utc_now(), reason=reason)
    return conversation


async def by_sms(db: Database) -> Conversation | None:
    """The SMS conversation, if there is one."""
    return next((it for it in await rows(db, Conversation) if it.channel == Channel.SMS), None)


async def outgoing(db: Database) -> list[str]:
    return [it.body for it in await rows(db, Message)]


async def submission_of(db: Database) -> Submission:
    (one,) = [it for it in await rows(db, Submission) if it.state != SubmissionState.RESOLVED]
    assert isinstance(one, Submission)
    return one


async def texts(db: Database, profile: str, given: dict[str, str], *, ends: bool) -> Conversation:
    """Have the contact answer the SMS, as the desk does it."""
    settings = settings_for(db.url, profile=profile)
    tenant = await tenants.ensure_default(db, settings, now=utc_now())
    async with db.write() as session:
        enquiry = intake.Enquiry(
            channel=Channel.SMS,
            session_key=MOBILE,
            caller=MOBILE,
            called="+18005551212",
            finish_after=utc_now(),
            now=utc_now(),
        )
        conversation = await intake.enter(session, tenant, load_profile(profile), enquiry)
        moment = utc_now() if ends else utc_now() + timedelta(hours=24)
        await conversations.continue_until(session, conversation.id, moment)
        for name, value in given.items():
            await values.add(
                session,
                conversation,
                name=name,
                value=value,
                raw=value,
                source="typed",  # type: ignore[arg-type]  # as the column has it
                now=utc_now(),
            )
    return await reread(db, conversation)


async def test_a_call_that_breaks_off_goes_on_by_sms_and_the_lead_waits(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        conversation = await finish(road, db, await cut_off(db, profile))
        assert npa.requests == []
        text = await by_sms(db)
        assert text is not None and text.lead_id == conversation.lead_id
        assert (text.session_key, text.from_number, text.to_number) == (
            MOBILE,
            MOBILE,
            "+18005551212",
        )
        (message,) = await rows(db, Message)
        assert (message.purpose, message.state, message.recipient) == (
            Purpose.FOLLOW_UP,
            MessageState.PENDING,
            MOBILE,
        )
        ask = "What year is the vehicle?"
        assert message.body == (
            f"Power Sport Buyers: sorry, we were cut off. {ask} Reply STOP to opt out."
        )
        (turn,) = [it for it in await rows(db, Turn) if it.conversation_id == text.id]
        assert (turn.role, turn.text) == (Role.ASSISTANT, message.body)
        waiting = await submission_of(db)
        assert (waiting.state, waiting.last_error) == (SubmissionState.PENDING, WAITING)
        assert waiting.next_attempt_at is not None
        assert timedelta(minutes=29) < waiting.next_attempt_at - utc_now() < timedelta(minutes=31)


async def test_who_answers_is_one_complete_lead(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    rest = {"vehicle_year": "2020", "vehicle_make": "Yamaha", "vehicle_model": "MT-07"}
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        await finish(road, db, await cut_off(db, profile))
        await finish(road, db, await texts(db, profile, rest, ends=True))
        (sent,) = npa.leads
        assert (sent["firstName"], sent["zip"], sent["model"]) == ("John", "30093", "MT-07")
        assert await road.submissions.due() == []
    assert [it.state for it in await rows(db, Submission)] == [
        SubmissionState.RESOLVED,
        SubmissionState.SUCCEEDED,
    ]


async def test_a_lead_that_nobody_answers_for_goes_out_as_it_is(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        await finish(road, db, await cut_off(db, profile))
        waiting = await submission_of(db)
        assert await road.submissions.due() == []
        async with db.write() as session:
            row = await session.get_one(Submission, waiting.id)
            row.next_attempt_at = utc_now()
        assert await road.submissions.due() == [(waiting.id, waiting.tenant_id)]
        await road.submissions.attempt(waiting.id)
        (sent,) = npa.leads
        assert (sent["firstName"], sent["model"]) == ("John", "")
        late = await texts(db, profile, {"vehicle_year": "2020"}, ends=True)
        await finish(road, db, late)
        assert len(npa.leads) == 1, "what comes later is a person's to send"


async def test_every_message_of_the_contact_lets_the_lead_wait_as_long_again(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN, follow_up_wait_minutes=10) as road:
        await finish(road, db, await cut_off(db, profile))
        waiting = await submission_of(db)
        async with db.write() as session:  # nine of the ten minutes have gone by
            row = await session.get_one(Submission, waiting.id)
            row.next_attempt_at = utc_now() + timedelta(minutes=1)
            row.updated_at = row.next_attempt_at - timedelta(minutes=10)
        await texts(db, profile, {"vehicle_year": "2020"}, ends=False)
    moved = (await submission_of(db)).next_attempt_at
    assert moved is not None and moved - utc_now() > timedelta(minutes=9)


async def test_a_second_call_that_is_complete_goes_out_at_once(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        await finish(road, db, await cut_off(db, profile))
        again = await call(db, TALK, sid="CA2", now=utc_now(), profile=profile)
        await finish(road, db, again)
        assert [lead["model"] for lead in npa.leads] == ["MT-07"]


async def test_a_second_call_that_breaks_off_brings_no_second_message_in_a_day(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        await finish(road, db, await cut_off(db, profile))
        again = await cut_off(db, profile, sid="CA2")
        await save(db, again, {"vehicle_year": "2020"})
        await finish(road, db, again)
        waiting = await submission_of(db)
    assert len(await outgoing(db)) == 1
    assert (waiting.conversation_id, waiting.last_error) == (again.id, WAITING)
    assert waiting.lead_data["vehicle_year"] == "2020"


@pytest.mark.parametrize("dies_after", ["conclude", "submit"])
async def test_a_process_that_dies_writes_once_and_loses_no_lead(
    db: Database, npa: NpaEmulator, profile: str, dies_after: str
) -> None:
    conversation = await cut_off(db, profile)
    async with road_of(db, npa, profile=profile, dies_after=dies_after, **TOKEN) as road:
        await road.start_finish(conversation.id, 1)

        async def is_written() -> bool:
            return bool(await outgoing(db))

        await until(is_written)
    async with road_of(db, npa, profile=profile, **TOKEN):
        await until(lambda: is_finished(db, conversation.id))
    assert len(await outgoing(db)) == 1
    assert len([turn for turn in await rows(db, Turn) if "cut off" in turn.text]) == 1
    assert (await submission_of(db)).last_error == WAITING


async def test_the_sms_conversation_of_a_lead_handed_over_long_ago_takes_up_the_new_one(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        old = await finish(road, db, await texts(db, profile, {"zip_code": "30093"}, ends=True))
        assert len(npa.leads) == 1
        conversation = await finish(road, db, await cut_off(db, profile))
    text = await by_sms(db)
    assert text is not None and text.id == old.id
    assert (text.lead_id, text.episode) == (conversation.lead_id, 2)
    assert text.lead_id != old.lead_id
    assert text.status == ConversationStatus.OPEN


async def test_it_comes_from_the_number_that_was_called_not_from_one_of_long_ago(
    db: Database, npa: NpaEmulator, profile: str
) -> None:
    async with road_of(db, npa, profile=profile, **TOKEN) as road:
        old = await finish(road, db, await texts(db, profile, {"zip_code": "30093"}, ends=True))
        async with db.write() as session:
            (await session.get_one(Conversation, old.id)).to_number = "+18005550103"
        await finish(road, db, await cut_off(db, profile))
    text = await by_sms(db)
    assert text is not None and text.to_number == "+18005551212"
    assert [it.sender for it in await rows(db, Message)] == ["+18005551212"]


async def reasons(db: Database, conversation: Conversation, case: str) -> None:
    """Bring about one of the reasons not to write."""
    now = utc_now()
    async with db.write() as session:
        row = await session.get_one(Conversation, conversation.id)
        match case:
            case "revoked":
                await consent.record(
                    session,
                    row.tenant_id,
                    address=MOBILE,
                    channel=Channel.SMS,
                    action=ConsentAction.REVOKED,
                    source="keyword",
                    evidence="STOP",
                    now=now,
                )
            case "paused tenant":
                (await session.get_one(Tenant, row.tenant_id)).status = "paused"
            case "escalated":
                trigger: Any = "asked_for_human"
                await escalations.open_for(session, row, trigger, "asked", now=now)
            case "call back promised":
                await tasks.ask_call_back(session, row, "asked", now=now)
            case "asked to be left alone":
                said = Said("late", 99, Role.CALLER, "please stop texting me", now)
                await conversations.write_turn(session, row, said)
            case "pinned":
                lead = await stages.lock(session, row.lead_id)
                lead.stage_pin = lead.stage


@pytest.mark.parametrize(
    "case",
    [
        "revoked",
        "paused tenant",
        "escalated",
        "call back promised",
        "asked to be left alone",
        "pinned",
    ],
)
async def test_nobody_is_written_to_who_is_not_to_be(
    sqlite_db: Database, npa: NpaEmulator, profile: str, case: str
) -> None:
    conversation = await cut_off(sqlite_db, profile)
    await reasons(sqlite_db, conversation, case)
    async with road_of(sqlite_db, npa, profile=profile, **TOKEN) as road:
        await finish(road, sqlite_db, conversation)
    assert await by_sms(sqlite_db) is None
    assert len(npa.leads) == 1, "the lead goes out at once"


@pytest.mark.parametrize("reason", ["caller_goodbye", "complete", "wrong_number", "transfer"])
async def test_a_call_that_came_to_an_end_is_not_gone_on_with(
    sqlite_db: Database, npa: NpaEmulator, profile: str, reason: str
) -> None:
    async with road_of(sqlite_db, npa, profile=profile, **TOKEN) as road:
        await finish(road, sqlite_db, await cut_off(sqlite_db, profile, reason=reason))
    assert await by_sms(sqlite_db) is None


@pytest.mark.parametrize(
    ("changes", "caller", "talk"),
    [
        ({**TOKEN, "follow_up_sms": False}, MOBILE, CUT_OFF),
        ({}, MOBILE, CUT_OFF),  # no account to send with
        (TOKEN, LANDLINE, CUT_OFF),
        (TOKEN, None, CUT_OFF),
        (TOKEN, MOBILE, TALK[:1]),  # they rang off before they said a word
    ],
)
async def test_nobody_is_written_to_where_that_makes_no_sense(
    sqlite_db: Database,
    npa: NpaEmulator,
    profile: str,
    changes: dict[str, Any],
    caller: str | None,
    talk: Sequence[tuple[Role, str]],
) -> None:
    async with road_of(sqlite_db, npa, profile=profile, **changes) as road:
        await finish(road, sqlite_db, await cut_off(sqlite_db, profile, talk, caller=caller))
    assert await by_sms(sqlite_db) is None


async def test_a_profile_that_does_not_say_so_writes_to_nobody(
    sqlite_db: Database, npa: NpaEmulator
) -> None:
    async with road_of(sqlite_db, npa, **TOKEN) as road:
        await finish(road, sqlite_db, await cut_off(sqlite_db, "powersports"))
    assert await outgoing(sqlite_db) == []
    assert len(npa.leads) == 1


async def test_a_number_that_is_somebody_elses_by_now_is_not_written_to(
    sqlite_db: Database, npa: NpaEmulator, profile: str
) -> None:
    first = await call(sqlite_db, profile=profile, now=utc_now())
    await save(sqlite_db, first, {"full_name": "Mary Major"})
    tenant = await tenants.ensure_default(sqlite_db, settings_for(sqlite_db.url), now=utc_now())
    assert tenant.id == first.tenant_id
    async with road_of(sqlite_db, npa, profile=profile, **TOKEN) as road:
        conversation = await cut_off(sqlite_db, profile, sid="CA2")
        await finish(road, sqlite_db, conversation)
    assert (await reread(sqlite_db, conversation)).lead_id != first.lead_id
    assert await by_sms(sqlite_db) is None


def test_only_a_number_that_may_be_a_mobile_one_gets_an_sms() -> None:
    assert [follow_up.is_mobile(it) for it in (MOBILE, "+923001234567", LANDLINE)] == [
        True,
        True,
        False,
    ]
