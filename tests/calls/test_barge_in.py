"""The caller speaks over the assistant; and what each side hears, byte for byte (S3.3)."""

from dataclasses import replace

import pytest

from tests.calls.world import World, brisk, read_books, short, talk_through, words, world
from tools.emulators.openai import Session, blocks
from tools.emulators.openai.audio import FORMATS, speech
from tools.emulators.twilio import Call
from tools.scenarios import Scenario

PRECISION_MS = 200  # of what the model is told, though marks are 400 ms apart
SLOW = 2.0  # here the clocks of the emulators and of the server must not be far apart
LAG_MS = 300  # of the call: what a busy machine loses between the two
ULAW = FORMATS["audio/pcmu"]
BYTES_PER_MS = 8
STORY = " ".join(f"This is sentence number {n} of a very long answer." for n in range(10))


def long_winded() -> Scenario:
    """Return the short conversation with a greeting of half a minute."""
    told = short()
    return replace(told, turns=(replace(told.turns[0], assistant=STORY), *told.turns[1:]))


async def interrupt(w: World, call: Call, *, after_ms: int) -> int:
    """Speak up when so much was heard; return the position in `heard` at which it was cleared."""
    await call.hears(after_ms)
    await call.start_playing(words("John Doe"))
    await call.clears(1)
    session = await w.openai.session()
    await session.received_event("conversation.item.truncate")
    cleared_at = len(call.heard)
    await call.hears(100, since=cleared_at)
    return cleared_at


def assert_in_order(audio: bytes) -> None:
    """Every whole block of `audio` follows the one before."""
    whole = audio[: len(audio) - len(audio) % ULAW.block_bytes]
    numbers = [block.number for block in blocks(whole)]
    assert numbers and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def said_by(session: Session, role: str) -> list[str]:
    return [item.id for item in session.items if item.view.get("role") == role]


async def test_a_barge_in_cuts_a_long_answer_where_it_was_heard(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=long_winded(), speed=SLOW, pace=5) as w:
        call = await w.ring()
        cleared_at = await interrupt(w, call, after_ms=1000)
        session = await w.openai.session()
        truncate = session.received.of("conversation.item.truncate")
        first = said_by(session, "assistant")[0]
        page = await w.until_page(call, lambda page: len(page.turns) >= 2)
        await call.hang_up()

    assert [event["item_id"] for event in truncate] == [first]
    heard_ms = cleared_at / BYTES_PER_MS
    told_ms = truncate[0]["audio_end_ms"]
    assert heard_ms - PRECISION_MS - LAG_MS <= told_ms <= heard_ms
    assert call.clear_count == 1
    assert bytes(call.heard[:cleared_at]) == session.audio_sent(first)[:cleared_at]

    turn = page.turns[0]
    assert turn.cut and turn.heard_ms == told_ms
    assert turn.text and STORY.startswith(turn.text) and len(turn.text) < len(STORY) / 3


@pytest.mark.parametrize("late", [False, True])
async def test_after_a_barge_in_the_conversation_goes_on_to_its_end(
    database_url: str, late: bool
) -> None:
    async with world(database_url, scenario=long_winded(), pace=5) as w:
        w.openai.faults.late_delta_after_speech = late
        call = await w.ring()
        cleared_at = await interrupt(w, call, after_ms=2000)
        await call.quiet()
        await call.play(words("30093"))
        assert await call.ended() == "completed"
        page = await w.finished(call)
        session = await w.openai.session()

    assert page.succeeded is not None
    assert page.succeeded.lead_data["zip_code"] == "30093"
    assert page.conversation is not None
    assert page.conversation.usage["voice"]["interruptions"] == 1
    assert [turn.cut for turn in page.turns] == [True, False, False, False, False]
    first, *rest = said_by(session, "assistant")
    before, after = bytes(call.heard[:cleared_at]), bytes(call.heard[cleared_at:])
    assert session.audio_sent(first).startswith(before)
    assert after == b"".join(map(session.audio_sent, rest))
    assert len(w.npa.requests) == 1


async def test_what_twilio_echoes_after_a_clear_is_not_taken_for_heard(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=long_winded(), pace=5) as w:
        call = await w.ring()
        cleared_at = await interrupt(w, call, after_ms=2000)
        flushed = [mark for mark, at in call.mark_positions.items() if at == cleared_at]
        await call.quiet()
        await call.hang_up()
        page = await w.finished(call)

    assert len(flushed) > 1, "Twilio echoed marks of words that nobody heard"
    turn = page.turns[0]
    assert turn.cut and turn.heard_ms is not None
    assert turn.heard_ms <= cleared_at / BYTES_PER_MS


async def test_both_sides_hear_each_other_byte_for_byte(database_url: str) -> None:
    voice = speech(ULAW, session=77, first=0, count=40)
    scenario = brisk()
    async with world(database_url, scenario=scenario) as w:
        call = await w.ring()
        await call.quiet()
        await call.play(voice)
        await call.quiet()
        await call.play(voice)
        await call.quiet()
        session = await w.openai.session()
        await call.hang_up()

    assert session.audio_received.count(voice) == 2
    assert len(session.audio_received) % ULAW.block_bytes == 0
    assert bytes(call.heard) == session.audio_sent()
    assert_in_order(bytes(call.heard))


@pytest.mark.parametrize("fault", ["tiny_deltas", "huge_delta", "preamble", "extra_fields"])
async def test_speech_arrives_whole_however_it_is_cut_up(sqlite_url: str, fault: str) -> None:
    async with world(sqlite_url, scenario=short()) as w:
        setattr(w.openai.faults, fault, True)
        call = await w.ring()
        await talk_through(call, w.scenario)
        assert await call.ended() == "completed"
        await w.finished(call)
        session = await w.openai.session()

    assert bytes(call.heard) == session.audio_sent()
    assert_in_order(bytes(call.heard))
    (success,) = (await read_books(sqlite_url)).succeeded
    assert success.lead_data["zip_code"] == "30093"
