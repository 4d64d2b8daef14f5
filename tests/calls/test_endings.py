"""However a call ends, nothing of it stays open: no model session, no stream, no phone call."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from ivr.db.tables import Conversation
from ivr.leads import profile
from ivr.turns import TurnWriter
from ivr.voice import bridge, stream_net, sweeper, transfer
from ivr.voice.reception import Reception
from tests.calls.conftest import Limit
from tests.calls.world import GRACE, PUBLIC, World, short, talk_through, world
from tests.leads.cast import until
from tools.call_page import Page
from tools.emulators.twilio import Call
from tools.scenarios import Call as Function
from tools.scenarios import Scenario

SCENARIO = short()
PERSON = "+18005559999"
SOON = timedelta(seconds=0.5)
WITHIN_SECONDS = 30.0


@pytest.fixture(autouse=True)
def eager_sweeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look after calls often: what is waited for is Twilio's part, and that is fast here."""
    monkeypatch.setattr(sweeper, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(sweeper, "FIRST_RETRY", SOON / 5)
    monkeypatch.setattr(sweeper, "ASK_AGAIN_AFTER", SOON)


async def all_closed(w: World, call: Call, *, calls: int = 1) -> Page:
    """Wait until nothing is open any more, here and at both vendors; return what is known."""
    assert await call.ended() in {"completed", "canceled"}
    for session in w.openai.sessions:
        await session.wait_closed(within=WITHIN_SECONDS)
    page = await w.until_page(call, _is_closed)
    assert page.conversation is not None and not page.conversation.streaming
    assert len(w.live) == 0
    books = await w.books()
    assert len(books.conversations) == len(books.leads) == calls
    assert len(w.npa.requests) == calls
    return page


def _is_closed(page: Page) -> bool:
    row = page.conversation
    return row is not None and row.finished_at is not None and row.line_closed_at is not None


def told(w: World) -> list[str]:
    """What was asked of Twilio over REST, without the questions."""
    return [request.fields[0][0] for request in w.twilio.rest_requests if request.method == "POST"]


async def answered(w: World) -> Call:
    """Return a call in which the first question was answered and the second one was heard."""
    call = await w.ring()
    await talk_through(call, w.scenario, turns=1)
    await call.quiet()
    return call


def reason(page: Page) -> str | None:
    assert page.conversation is not None
    return page.conversation.end_reason


# endings that Twilio tells of


async def test_a_goodbye_leaves_nothing_open_and_nobody_is_asked(sqlite_url: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await talk_through(call, SCENARIO)
        await all_closed(w, call)

    assert w.twilio.rest_requests == []


@pytest.mark.parametrize("way", ["normally", "close_without_stop", "status_twice"])
async def test_a_hang_up_mid_word_leaves_nothing_open(sqlite_url: str, way: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        if way != "normally":
            setattr(w.twilio.faults, way, True)
        call = await w.ring()
        await call.hang_up(mid_word=True)
        page = await all_closed(w, call)

    assert reason(page) == "caller_hung_up"
    assert w.twilio.rest_requests == []


async def test_a_goodbye_that_is_noted_while_twilio_asks_what_follows_is_one(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asked, close, look = asyncio.Event(), TurnWriter.close, Reception._is_carrier_gone

    async def close_late(writer: TurnWriter) -> None:
        await close(writer)
        await is_asked.wait()

    async def look_later(asked: Reception, row: Conversation, *, is_late: bool) -> bool:
        is_asked.set()
        await until(lambda: len(w.live) == 0)
        return await look(asked, row, is_late=is_late)

    monkeypatch.setattr(TurnWriter, "close", close_late)
    monkeypatch.setattr(Reception, "_is_carrier_gone", look_later)
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await w.ring()
        await talk_through(call, SCENARIO)
        page = await all_closed(w, call)

    assert reason(page) == "complete"
    assert len(call.streams) == 1


# endings that it does not tell of


@pytest.mark.parametrize("network_only", [True, False])
async def test_an_end_that_nobody_tells_is_asked_for(database_url: str, network_only: bool) -> None:
    async with world(database_url, scenario=SCENARIO, episode_grace_seconds=GRACE) as w:
        w.twilio.faults.status_never = True
        call = await answered(w)
        await call.hang_up(network_only=network_only)
        page = await all_closed(w, call)

    assert reason(page) == "caller_hung_up"
    assert told(w) == []


async def test_a_stream_that_is_open_when_its_call_is_over_is_closed(database_url: str) -> None:
    async with world(database_url, scenario=SCENARIO, episode_grace_seconds=GRACE) as w:
        call = await answered(w)
        w.twilio.faults.stop_without_close = w.twilio.faults.close_without_stop = True
        async with asyncio.timeout(bridge.LOST_S - 1):
            await call.hang_up()
            page = await all_closed(w, call)

    assert reason(page) == "caller_hung_up"
    assert w.twilio.rest_requests == []


async def test_a_dead_connection_is_noticed_and_the_caller_gets_a_new_one(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await answered(w)
        w.twilio.faults.frames_stop = True
        with monkeypatch.context() as soon:  # around the silence only: a busy machine pauses too
            soon.setattr(bridge, "LOST_S", 0.5)
            page = await w.until_page(call, lambda page: not _is_streaming(page))
        w.twilio.faults.frames_stop = False
        assert reason(page) == "phone_lost"
        await call.stream(2)
        await call.hang_up()
        await all_closed(w, call)

    assert told(w) == []


def _is_streaming(page: Page) -> bool:
    return page.conversation is None or page.conversation.streaming


async def test_a_dead_connection_of_a_call_that_is_over_ends_it(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(sqlite_url, scenario=SCENARIO, episode_grace_seconds=GRACE) as w:
        call = await answered(w)
        faults = w.twilio.faults
        faults.stop_without_close = faults.close_without_stop = faults.status_never = True
        await call.hang_up()
        monkeypatch.setattr(bridge, "LOST_S", 0.5)
        page = await all_closed(w, call)

    assert reason(page) == "phone_lost"
    assert told(w) == []


# calls that stay open at Twilio


async def test_a_call_that_stays_open_after_goodbye_is_hung_up(database_url: str) -> None:
    async with world(database_url, scenario=SCENARIO, episode_grace_seconds=GRACE) as w:
        w.twilio.faults.action_never = True
        call = await w.ring()
        await talk_through(call, SCENARIO)
        page = await all_closed(w, call)

    assert reason(page) == "complete"
    assert told(w) == ["Status"]


@pytest.mark.parametrize("status", [429, 503])
async def test_a_call_is_hung_up_when_the_rest_interface_is_back(
    sqlite_url: str, status: int
) -> None:
    async with world(sqlite_url, scenario=SCENARIO, episode_grace_seconds=GRACE) as w:
        w.twilio.faults.action_never = w.twilio.faults.status_never = True
        w.twilio.faults.rest_status, w.twilio.faults.rest_times = status, 3
        call = await w.ring()
        await talk_through(call, SCENARIO)
        await all_closed(w, call)

    assert told(w) == ["Status"]
    assert [request.method for request in w.twilio.rest_requests][:4] == ["GET"] * 4


async def test_a_call_that_a_stopped_server_left_open_is_hung_up_by_the_next(
    sqlite_url: str,
) -> None:
    async with world(sqlite_url, scenario=SCENARIO, episode_grace_seconds=GRACE) as w:
        w.twilio.faults.action_never, w.twilio.faults.rest_status = True, 503
        call = await w.ring()
        await talk_through(call, SCENARIO)
        await w.until_page(call, lambda page: not _is_streaming(page))
        await w.stop()
        w.twilio.faults.rest_status = None
        await w.start()
        await all_closed(w, call)

    assert told(w) == ["Status"]


async def test_a_caller_whom_nobody_asks_for_is_brought_back(database_url: str) -> None:
    async with world(database_url, scenario=SCENARIO, episode_grace_seconds=GRACE * 2) as w:
        call = await answered(w)
        w.twilio.faults.action_never = True
        await call.lose_stream()
        await call.stream(2)
        await call.hang_up()
        page = await all_closed(w, call)

    assert told(w) == ["Url"]
    assert page.conversation is not None and page.conversation.episode == 1


async def test_a_caller_who_is_asked_by_gather_is_not_hung_up_on(sqlite_url: str) -> None:
    async with world(sqlite_url, episode_grace_seconds=GRACE) as w:
        w.openai.faults.refuse_upgrade = 500
        call = await w.ring()
        await call.gathering()
        row = (await w.page(call)).conversation
        await call.hang_up()
        await all_closed(w, call)

    assert row is not None and row.line_due_at is not None
    assert row.line_due_at - row.started_at > timedelta(seconds=60), "an answer takes that long"
    assert w.twilio.rest_requests == []


# a model that dies, or does not let go


@pytest.mark.parametrize("abort", ["now", "mid_response"])
async def test_a_dead_model_leaves_nothing_open(sqlite_url: str, abort: str) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        w.openai.faults.abort = abort
        call = await w.ring()
        await call.gathering()
        await call.hang_up()
        await all_closed(w, call)

    assert w.twilio.rest_requests == []


# wall-clock


async def test_whatever_the_call_thinks_it_ends_at_its_longest_time(
    sqlite_url: str, limit: Limit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_net, "MARGIN", timedelta(seconds=2))
    limit(call_s=3600, silence_s=3600)
    with structlog.testing.capture_logs() as logs:
        async with world(sqlite_url, scenario=SCENARIO, max_call_seconds=1) as w:
            call = await w.ring()
            await call.quiet()
            page = await all_closed(w, call)

    assert reason(page) == "overdue"
    assert any("longest time" in entry["event"] for entry in logs if entry["log_level"] == "error")
    assert w.twilio.rest_requests == []


# a person


async def test_a_long_talk_with_a_person_is_not_cut(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "NEXT_STEP", timedelta(seconds=0.2))
    text = (Path(profile.__file__).parents[1] / "profiles" / "powersports.toml").read_text()
    path = tmp_path / "powersports.toml"
    path.write_text(text.replace("[target]", f'transfer_number = "{PERSON}"\n\n[target]', 1))
    async with world(sqlite_url, scenario=_transfer(), profile=str(path)) as w:
        w.twilio.account.dial_ms = 3 * 1000 * w.twilio.account.speed
        call = await w.ring()
        await talk_through(call, w.scenario)
        await call.until(lambda: "dial" in [entry.what for entry in call.log], "the person rang")
        page = await w.finished(call)
        assert page.conversation is not None and page.conversation.line_closed_at is None
        await all_closed(w, call)

    assert [entry.detail for entry in call.log if entry.what == "dialled"] == ["completed"]
    assert w.twilio.rest_requests == []


def _transfer() -> Scenario:
    calls = (Function("transfer_to_person", {"reason": "wants to talk to a person"}),)
    *turns, last = SCENARIO.turns
    return short(
        turns=(*turns, replace(last, assistant="I will put you through.", then_calls=calls))
    )


# status callbacks, in any order


async def test_a_status_of_a_call_that_is_not_known_writes_its_lead_down(database_url: str) -> None:
    async with world(database_url, scenario=SCENARIO) as w:
        form = {"CallSid": "CA" + "9" * 32, "From": SCENARIO.caller, "To": SCENARIO.called}
        over = {**form, "CallStatus": "completed", "CallDuration": "1", "SequenceNumber": "3"}
        assert await post(w, "/twilio/voice/status", over) == 204
        books = await w.books()
        assert await post(w, "/twilio/voice", {**form, "CallStatus": "ringing"}) == 200
        late = await w.books()
        assert len(w.live) == w.live.taken == 0
        assert told(w) == []

    (row,), (lead,) = books.conversations, books.leads
    assert (row.session_key, row.from_number) == (form["CallSid"], SCENARIO.caller)
    assert row.line_closed_at is not None and row.lead_id == lead.id
    assert len(late.conversations) == len(late.leads) == 1


@pytest.mark.parametrize(
    "late",
    [
        ("/twilio/voice/status", {"CallStatus": "in-progress", "SequenceNumber": "1"}),
        ("/twilio/voice/status", {"CallStatus": "ringing", "SequenceNumber": "0"}),
        ("/twilio/voice/status", {"CallStatus": "completed", "SequenceNumber": "2"}),
        ("/twilio/voice/status", {"CallStatus": "failed", "SequenceNumber": "3"}),
        ("/twilio/voice/after", {"CallStatus": "in-progress"}),
        ("/twilio/voice-ivr/collect", {"CallStatus": "in-progress", "SpeechResult": "hello"}),
    ],
)
async def test_what_comes_after_the_end_moves_nothing(
    sqlite_url: str, late: tuple[str, dict[str, str]]
) -> None:
    async with world(sqlite_url, scenario=SCENARIO) as w:
        call = await answered(w)
        await call.hang_up()
        before = (await all_closed(w, call)).conversation
        path, fields = late
        fields = {**call.status_callbacks[0].fields, **fields}
        assert await post(w, path, fields) in {200, 204}
        after = (await w.page(call)).conversation

    assert before is not None and after is not None
    untouched = {"status", "episode", "ended_at", "end_reason", "finished_at", "line_closed_at"}
    assert after.model_dump(include=untouched) == before.model_dump(include=untouched)
    assert len(w.npa.requests) == 1


async def post(w: World, path: str, fields: dict[str, str]) -> int | None:
    exchange = await w.twilio.account.webhooks.send(f"{PUBLIC}{path}", fields)
    return exchange.status


async def test_without_an_account_nobody_is_asked(sqlite_url: str) -> None:
    with structlog.testing.capture_logs() as logs:
        async with world(sqlite_url, scenario=SCENARIO, twilio_sid=None) as w:
            call = await answered(w)
            await call.hang_up()
            await all_closed(w, call)

    said = [entry["event"] for entry in logs if "no Twilio account" in entry["event"]]
    assert len(said) == 1
