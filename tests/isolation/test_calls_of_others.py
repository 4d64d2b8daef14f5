"""Who picks up, and who carries the sound, of one client's call learns nothing of another's."""

import uuid
from datetime import timedelta

from ivr.db.tables import Conversation, utc_now
from ivr.voice import stream_token, transfer
from tests.calls.test_refusals import POLICY_VIOLATION, STREAM, close_code, start
from tests.calls.world import SID
from tests.isolation.telephone import CALLER, call_of, signed, twilio
from tests.isolation.town import Resident, Town
from tests.leads.cast import until
from tools.emulators.twilio import frames

OURS, THEIRS = "CA1", "CA2"


async def _called(town: Town) -> tuple[Conversation, Conversation]:
    """Have somebody call us, and them."""
    for resident, sid in ((town.ours, OURS), (town.theirs, THEIRS)):
        await twilio(town, "/twilio/voice", resident, CallSid=sid, CallStatus="ringing")
        await twilio(
            town,
            "/twilio/voice-ivr/collect",
            resident,
            CallSid=sid,
            CallStatus="in-progress",
            SpeechResult=resident.things["name"],
        )
    return await call_of(town, OURS, town.ours), await call_of(town, THEIRS, town.theirs)


async def test_who_picks_up_for_us_hears_nothing_of_a_call_of_theirs_and_does_not_take_it(
    town: Town,
) -> None:
    _, theirs = await _called(town)
    async with town.world.db.write() as session:
        row = await session.get_one(Conversation, theirs.id)
        await transfer.begin(session, row, now=utc_now(), grace=timedelta(0))
    before = await town.rows_of(town.theirs)
    for answer in ({}, {"key": "1"}, {"key": "1", "Digits": "1"}):
        of_theirs = await _whisper(town, town.ours, OURS, theirs.id, answer)
        assert of_theirs == await _whisper(town, town.ours, OURS, uuid.uuid4(), answer)
    assert await town.rows_of(town.theirs) == before
    own = await _whisper(town, town.theirs, THEIRS, theirs.id, {"key": "1"})
    assert town.theirs.things["name"] in own, "whose call it is hears who it is"
    await _whisper(town, town.theirs, THEIRS, theirs.id, {"key": "1", "Digits": "1"})
    assert await town.rows_of(town.theirs) != before, "and takes it"


async def _whisper(
    town: Town, to: Resident, parent: str, conversation: uuid.UUID, answer: dict[str, str]
) -> str:
    """Pick up for a caller; return what is heard, without the name of the conversation."""
    path = f"/twilio/voice/whisper?conversation={conversation}"
    path += f"&key={answer['key']}" if "key" in answer else ""
    fields = {
        "AccountSid": SID,
        "From": CALLER,
        "To": "+18005550177",
        "Called": to.things["number"],
        "CallSid": "CA3",
        "ParentCallSid": parent,
        "CallStatus": "in-progress",
        **({"Digits": answer["Digits"]} if "Digits" in answer else {}),
    }
    heard = await signed(town, path, fields)
    assert heard.status_code == 200
    return heard.text.replace(str(conversation), "<conversation>")


async def test_a_stream_opens_no_call_of_theirs(town: Town) -> None:
    ours, theirs = await _called(town)
    key = str(town.world.settings.secret_key.get_secret_value()).encode()
    token, token_of_theirs = stream_token.issue(key, ours), stream_token.issue(key, theirs)
    proof = token.rpartition(".")[2]
    before = await town.rows_of(town.theirs)
    for message in (
        start(OURS, token_of_theirs),
        start(THEIRS, token),
        start(THEIRS, f"{theirs.id}.1.{proof}"),
        start(THEIRS, token_of_theirs, account="AC" + "f" * 32),
    ):
        async with town.world.twilio.open_stream(STREAM) as socket:
            assert await close_code(socket, frames.CONNECTED, message) == POLICY_VIOLATION
    assert await town.rows_of(town.theirs) == before
    assert (await call_of(town, OURS, town.ours)).streams == 0


async def test_a_stream_of_ours_opens_ours_where_they_have_a_call_of_the_same_name(
    town: Town,
) -> None:
    for resident in (town.ours, town.theirs):
        await twilio(town, "/twilio/voice", resident, CallSid="CA4", CallStatus="ringing")
    before = await town.rows_of(town.theirs)
    key = str(town.world.settings.secret_key.get_secret_value()).encode()
    token = stream_token.issue(key, await call_of(town, "CA4", town.ours))

    async def is_open() -> bool:
        return (await call_of(town, "CA4", town.ours)).streams == 1

    async with town.world.twilio.open_stream(STREAM) as socket:
        await close_code(socket, frames.CONNECTED, start("CA4", token))
        await until(is_open)
    assert await town.rows_of(town.theirs) == before
