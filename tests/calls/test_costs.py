"""What a whole call costs, and whose it is: the rows that it leaves (S3.42, S2.36)."""

import json
import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import select

from ivr.costs import meter
from ivr.costs.prices import OWN
from ivr.costs.usage import Used
from ivr.db.tables import Conversation, Tenant, UsageLog, utc_now
from ivr.runtime import OFFLINE, VoiceModel
from ivr.voice import bill, realtime
from ivr.voice.usage import Usage
from tests.calls.transfers import ASKS, PERSON, edit, wishing
from tests.calls.world import GRACE, PUBLIC, World, short, talk_through, whole_call, words, world
from tests.leads.cast import NOW, rows, until
from tests.web.house import key_of

LOCAL = "+17705550142"


async def used_in(w: World, purpose: str) -> Any:
    """The one row of a purpose, once it is there."""

    async def is_there() -> bool:
        return any(row.purpose == purpose for row in await rows(w.db, UsageLog))

    await until(is_there)
    (found,) = [row for row in await rows(w.db, UsageLog) if row.purpose == purpose]
    return found


async def month_of(w: World) -> Any:
    """What the served interface says of the business's month."""
    (tenant,) = await rows(w.db, Tenant)
    headers = {"X-API-Key": await key_of(w.db, tenant)}
    async with httpx.AsyncClient(
        base_url=w.url, headers=headers, trust_env=False, timeout=60
    ) as http:
        answer = await http.get(f"/api/v1/clients/{tenant.id}/usage")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_call_leaves_a_row_of_all_that_somebody_charges_for(database_url: str) -> None:
    async with world(database_url, scenario=short()) as w:
        call, page = await whole_call(w)
        voice, heard = await used_in(w, "voice"), await used_in(w, "transcript")
        read, line = await used_in(w, "extract"), await used_in(w, "call")
        carried = await used_in(w, "stream")
        shown = await month_of(w)
        found = await rows(w.db, UsageLog)
    conversation = page.conversation
    assert conversation is not None
    whose = (conversation.tenant_id, conversation.id, conversation.lead_id)
    assert {(row.tenant_id, row.conversation_id, row.lead_id) for row in found} == {whose}
    counted = conversation.usage["voice"]
    assert voice.quantities["cached_text_in_tokens"] == counted["cached_text"] > 0
    assert voice.quantities["text_in_tokens"] == counted["text_in"] - counted["cached_text"]
    assert voice.quantities["audio_out_tokens"] == counted["audio_out"] > 0
    assert (voice.model, heard.model) == ("gpt-realtime-2.1", "gpt-transcribe")
    assert (read.kind, read.model, line.model) == ("text", "gpt-6-luna", "voice-in-us-toll-free")
    assert 500 <= read.tokens <= 2000, "S3.42"
    minutes = line.quantities["minutes"]  # of the emulator's clock: more where the machine is busy
    assert line.cost_micros == minutes * 22_000
    begun = carried.quantities["stream_minutes"]
    assert carried.model == "media-stream" and carried.cost_micros == begun * 4_400
    assert 0 <= begun * 60 - carried.quantities["stream_seconds"] < 60
    assert "cost_usd" not in str(conversation.usage), "money stands in one place"
    assert (shown["calls"], shown["minutes"], shown["unpriced"]) == (1, minutes, 0)
    assert shown["tokens"] == sum(row.tokens for row in found)
    assert shown["cost_micros"] == sum(row.cost_micros for row in found) > 22_000
    assert shown["budget"]["state"] == "unlimited"


async def test_what_is_being_said_when_the_caller_hangs_up_is_paid_for(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=short(), pace=2.0) as w:
        call = await w.ring()
        await call.hang_up(mid_word=True)
        voice = await used_in(w, "voice")
        (done,) = (await w.openai.session()).sent.of("response.done")
    assert done["response"]["status"] == "cancelled"
    made = done["response"]["usage"]["output_token_details"]["audio_tokens"]
    assert voice.quantities["audio_out_tokens"] == made > 0


async def test_webhooks_that_come_twice_are_paid_for_once(database_url: str) -> None:
    async with world(database_url, scenario=short()) as w:
        w.twilio.faults.duplicate_webhook = "together"
        w.twilio.faults.status_twice = True
        await whole_call(w)
        line = await used_in(w, "call")
        shown = await month_of(w)
    assert (shown["calls"], shown["minutes"]) == (1, line.quantities["minutes"])


async def test_a_length_that_twilio_did_not_tell_is_asked_for(database_url: str) -> None:
    async with world(database_url, scenario=short(), episode_grace_seconds=GRACE) as w:
        w.twilio.faults.status_never = True
        call = await w.ring()
        await call.quiet()
        await call.hang_up()
        line = await used_in(w, "call")
    assert line.quantities == {"seconds": call.seconds, "minutes": -(-call.seconds // 60)}


async def test_a_length_that_twilio_tells_later_is_believed(database_url: str) -> None:
    async with world(database_url, scenario=short()) as w:
        w.twilio.faults.status_never = True
        call = await w.ring()
        await call.quiet()
        await call.hang_up()
        over = {**call.webhooks[0].fields, "CallStatus": "completed"}
        for door, fields in [
            ("after", over),
            ("status", {**over, "CallDuration": "777"}),
            ("status", {**over, "CallDuration": "777"}),
            ("after", over),
        ]:
            await w.twilio.account.webhooks.send(f"{PUBLIC}/twilio/voice/{door}", fields)
        line = await used_in(w, "call")
        shown = await month_of(w)
    assert line.quantities == {"seconds": 777, "minutes": 13}
    assert (shown["calls"], shown["minutes"]) == (1, 13)


async def test_a_transfer_is_paid_for_by_the_minute_as_well(
    sqlite_url: str, with_person: str
) -> None:
    async with world(sqlite_url, scenario=wishing(short()), profile=with_person) as w:
        call = await w.ring()
        await talk_through(call, w.scenario)
        await call.ended()
        dialled = await used_in(w, "transfer")
    assert (dialled.kind, dialled.model) == ("telephony", "voice-out-us-toll-free")
    assert dialled.quantities["minutes"] >= 1 and PERSON.startswith("+1800")
    assert dialled.cost_micros is None, "the table has no price for it: unknown, and not 0"


async def test_a_voicemail_that_was_hung_up_on_is_paid_for_all_the_same(
    sqlite_url: str, with_person: str
) -> None:
    edit(with_person, PERSON, LOCAL)
    road = "/twilio/voice-ivr"
    async with world(sqlite_url, scenario=short(), door=road, profile=with_person) as w:
        w.twilio.account.presses = ""
        call = await w.ring()
        await call.answer(speech=ASKS)
        await call.gathering()
        dialled = await used_in(w, "transfer")
        await call.hang_up()
    minutes = dialled.quantities["minutes"]
    assert minutes == -(-dialled.quantities["seconds"] // 60) >= 1
    assert (dialled.model, dialled.cost_micros) == ("voice-out-us-local", minutes * 14_000)


async def test_each_time_twilio_listens_for_us_is_counted_and_has_no_known_price(
    database_url: str,
) -> None:
    async with world(database_url, scenario=short(), door="/twilio/voice-ivr") as w:
        call = await w.ring()
        w.twilio.faults.duplicate_webhook = "together"
        await call.answer(speech="John Doe")
        await call.answer(digits="30093")
        await call.gathering()
        w.twilio.faults.duplicate_webhook = False
        await call.hang_up()
        listened = await used_in(w, "listening")
        shown = await month_of(w)
        said = [turn.text for turn in (await w.page(call)).turns]
    assert said.count("John Doe") == 1, "the same webhook twice at one moment is one answer"
    asked = [entry for entry in call.log if entry.what == "gather"]
    assert (listened.kind, listened.quantities) == ("telephony", {"gathers": len(asked)})
    assert len(asked) >= 3 and listened.cost_micros is None and shown["unpriced"] == 1


async def test_what_calls_on_the_line_have_used_is_seen_before_they_end(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "READ_SECONDS", 0.05)
    async with world(database_url, scenario=short()) as w:
        call = await w.ring()
        await talk_through(call, w.scenario, turns=1)
        voice = await used_in(w, "voice")
        assert w.live, "the call goes on"
        first = voice.tokens
        assert first > 0 and (await month_of(w))["tokens"] >= first
        for turn in w.scenario.turns[1:]:
            if turn.caller:
                await call.quiet()
                await call.play(words(turn.caller))
        await call.ended()
        page = await w.finished(call)
        voice = await used_in(w, "voice")
    assert page.conversation is not None
    counted = page.conversation.usage["voice"]
    assert voice.quantities["audio_out_tokens"] == counted["audio_out"] and voice.tokens > first


async def test_a_transfer_that_outlasts_the_hours_has_its_price_all_the_same(
    sqlite_url: str, with_person: str
) -> None:
    async with world(sqlite_url, scenario=wishing(short()), profile=with_person) as w:
        call = await w.ring()
        await talk_through(call, w.scenario)
        await close_for_ever(w)
        await call.ended()
        dialled = await used_in(w, "transfer")
    assert dialled.model == "voice-out-us-toll-free"


async def close_for_ever(w: World) -> None:
    async with w.db.write() as session:
        (tenant,) = (await session.exec(select(Tenant))).all()
        tenant.business_hours = {"monday": {"start": "00:00", "end": "00:01"}}
        days = [utc_now().date() + timedelta(days=number) for number in range(-7, 380)]
        tenant.config = {"holidays": [{"date": str(day)} for day in days]}


def a_call(**changes: Any) -> Conversation:
    ids = {"tenant_id": uuid.uuid4(), "lead_id": uuid.uuid4()}
    given = {"channel": "voice", "session_key": "CA1", "to_number": "+17705550199", **ids}
    return Conversation(**{**given, "started_at": NOW, "streams": 1, **changes})


def test_the_voice_of_this_machine_costs_nothing_and_that_is_known() -> None:
    voice = VoiceModel("http://127.0.0.1:1", OFFLINE, OFFLINE)
    heard = Usage(transcribed_seconds=12.5)
    used = bill.of_stream(a_call(), voice, heard, transcribe_model="gpt-transcribe")
    assert {it.provider for it in used} == {OWN}
    assert {it.cost_micros(NOW) for it in used} == {0}


def test_each_stream_of_a_call_has_rows_of_its_own() -> None:
    voice = VoiceModel("https://api.openai.example", "sk", "gpt-realtime-2.1")
    call = a_call()
    keys = set()
    for stream in (1, 2):
        call.streams = stream
        used = bill.of_stream(call, voice, Usage(audio_in=5), transcribe_model="gpt-transcribe")
        keys |= {it.key for it in used}
    assert len(keys) == 6


def used_by(usage: dict[str, Any]) -> dict[str, Used]:
    """What a stream leaves of which one response told this, by the first word of its key."""
    done = {"type": "response.done", "response": {"id": "r1", "usage": usage}}
    event = realtime.parse(json.dumps(done))
    assert isinstance(event, realtime.ResponseEnded)
    heard = Usage()
    heard.receive(event)
    voice = VoiceModel("https://api.openai.example", "sk", "gpt-realtime-2.1")
    found = bill.of_stream(a_call(), voice, heard, transcribe_model="gpt-transcribe")
    return {it.key.partition(":")[0]: it for it in found}


def test_tokens_of_no_told_kind_are_counted_and_have_no_known_price() -> None:
    used = used_by({"total_tokens": 353, "input_tokens": 263, "output_tokens": 90})
    assert used["voice"].tokens == 0
    unsorted = used["unsorted"]
    assert (unsorted.tokens, unsorted.cost_micros(NOW)) == (353, None)


def test_what_is_told_keeps_its_price_beside_what_is_not() -> None:
    used = used_by(
        {
            "input_tokens": 270,
            "output_tokens": 95,
            "input_token_details": {"text_tokens": 200, "audio_tokens": 63},
            "output_token_details": {"text_tokens": 22, "audio_tokens": 68},
        }
    )
    assert used["voice"].tokens == 353
    assert used["voice"].cost_micros(NOW) == 200 * 4 + 63 * 32 + 22 * 24 + 68 * 64
    unsorted = used["unsorted"]
    assert unsorted.quantities == {"in_tokens": 7, "cached_in_tokens": 0, "out_tokens": 5}
    assert unsorted.cost_micros(NOW) is None


@pytest.mark.parametrize(
    ("text", "audio", "priced", "other"),
    [(200, 63, 71, 0), (100, 163, 71, 0), (0, 0, 0, 71)],
    ids=["of the text", "of the sound too", "of nothing that is told"],
)
def test_cached_tokens_of_no_told_kind_are_not_priced_as_fresh_ones(
    text: int, audio: int, priced: int, other: int
) -> None:
    details = {"text_tokens": text, "audio_tokens": audio, "cached_tokens": 192}
    used = used_by({"input_tokens": 263, "output_tokens": 0, "input_token_details": details})
    assert used["voice"].tokens == priced
    unsorted = used["unsorted"]
    assert unsorted.quantities == {"in_tokens": other, "cached_in_tokens": 192, "out_tokens": 0}
    assert unsorted.cost_micros(NOW) is None


def test_where_all_is_told_nothing_is_left() -> None:
    cached = {"text_tokens": 192, "audio_tokens": 0}
    given = {"text_tokens": 200, "audio_tokens": 63, "cached_tokens": 192}
    used = used_by(
        {
            "input_tokens": 263,
            "output_tokens": 90,
            "input_token_details": {**given, "cached_tokens_details": cached},
            "output_token_details": {"text_tokens": 22, "audio_tokens": 68},
        }
    )
    assert used["voice"].tokens == 353 and used["unsorted"].tokens == 0


@pytest.mark.parametrize(
    ("form", "seconds", "minutes"),
    [
        ({"CallStatus": "completed", "CallDuration": "60"}, 60, 1),
        ({"CallStatus": "completed", "CallDuration": "61"}, 61, 2),
        ({"CallStatus": "completed"}, 125, 3),
        ({"CallStatus": "no-answer"}, 0, 0),
        ({}, 125, 3),
    ],
    ids=["Twilio's word", "a begun minute", "our clock", "nobody answered", "not Twilio"],
)
def test_the_minutes_of_a_call_are_those_that_twilio_bills(
    form: dict[str, str], seconds: int, minutes: int
) -> None:
    now, longest = NOW + timedelta(seconds=125), timedelta(hours=1)
    used = bill.of_call(a_call(), form, now=now, longest=longest)
    assert used.quantities == {"seconds": seconds, "minutes": minutes}
    assert used.model == "voice-in-us-local"
