"""Twilio's emulator: how streams and calls end, and what can go wrong in between."""

from typing import Any

import pytest
from starlette.websockets import WebSocket
from twilio.request_validator import RequestValidator
from websockets.exceptions import InvalidStatus

from tests.tools.twilio_server import (
    CALLED,
    CALLER,
    PUBLIC,
    SECOND,
    STREAM_URL,
    TOKEN,
    TONE,
    Server,
    greet,
    response,
    stream,
    twilio_for,
)

# endings


async def leave(socket: WebSocket, start: dict[str, Any]) -> None:
    await socket.close()


async def test_the_servers_close_leads_to_the_action(server: Server) -> None:
    server.documents |= {"/voice": stream(action="/after"), "/after": response("<Hangup/>")}
    server.documents["/status"] = response("")
    server.talk = leave
    async with twilio_for(server, status_callback="/status") as twilio:
        call = await twilio.call(CALLER, CALLED)
        assert await call.ended() == "completed"

    paths = [url.rpartition("/")[2] for url, _, _ in server.requests]
    assert paths == ["voice", "after", "status"]
    assert server.fields("/after")[0]["CallStatus"] == "in-progress"
    assert server.fields("/status")[0]["CallStatus"] == "completed"
    assert not call.errors and not server.events("stop")


async def test_without_an_action_the_next_verb_runs(server: Server) -> None:
    server.documents["/voice"] = stream().replace("</Response>", "<Say>bye</Say></Response>")
    server.talk = leave
    async with twilio_for(server) as twilio:
        await (await twilio.call(CALLER, CALLED)).said("bye")


async def test_a_refused_handshake_is_31920_and_leads_to_the_action(server: Server) -> None:
    server.documents |= {"/voice": stream(action="/after"), "/after": response("<Hangup/>")}
    server.refuses = True
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.ended()

    assert call.errors == ["31920"]
    assert server.fields("/after")


async def test_a_lost_stream_leads_to_the_action_and_may_resume(server: Server) -> None:
    server.documents |= {"/voice": stream(action="/after"), "/after": stream(action="/after")}
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        first = await call.stream()
        await call.lose_stream()
        second = await call.stream(2)
        await call.hang_up()

    assert first.sid != second.sid
    assert call.errors == ["31921"]
    assert {frame["start"]["callSid"] for frame in server.events("start")} == {call.sid}


async def test_hanging_up_is_stop_then_close_then_status(server: Server) -> None:
    server.documents |= {"/voice": stream(action="/after"), "/status": response("")}
    server.talk = greet
    async with twilio_for(server, status_callback="/status") as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.hang_up(mid_word=True)

    happened = [entry.what for entry in call.log]
    assert happened[-4:] == ["hung up", "closed", "status", "ended"]
    assert server.frames[-1]["event"] == "stop"
    assert len(call.heard) < SECOND
    status = server.fields("/status")[0]
    assert status["CallStatus"] == "completed" and status["SequenceNumber"] == "0"
    assert not server.fields("/after")


async def test_a_lost_network_tells_nobody(server: Server) -> None:
    server.documents |= {"/voice": stream(action="/after")}
    async with twilio_for(server, status_callback="/status") as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.stream()
        await call.hang_up(network_only=True)
        await server.gone.wait()

    assert not server.events("stop")
    assert not server.fields("/status") and not server.fields("/after")


async def test_the_caller_can_hang_up_in_the_middle_of_a_word(server: Server) -> None:
    server.documents["/voice"] = stream()
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        live = await call.stream()
        await call.start_playing(b"\x01" * 60 * SECOND)
        await call.until(lambda: live.voice_sent > 0, "the caller was speaking")
        await call.hang_up()

    spoken = [f for f in server.events("media") if f["media"]["payload"].startswith("AQEB")]
    assert 0 < len(spoken) < 60 * 50
    assert server.frames[-1]["event"] == "stop"


@pytest.mark.parametrize(
    ("fault", "statuses"), [("status_twice", 2), ("status_never", 0), ("status_before_close", 1)]
)
async def test_status_callbacks_can_misbehave(server: Server, fault: str, statuses: int) -> None:
    server.documents["/voice"] = stream()
    async with twilio_for(server, status_callback="/status") as twilio:
        setattr(twilio.faults, fault, True)
        call = await twilio.call(CALLER, CALLED)
        await call.stream()
        await call.hang_up()

    happened = [entry.what for entry in call.log]
    assert len(server.fields("/status")) == statuses
    if fault == "status_before_close":
        assert happened.index("status") < happened.index("closed")


async def test_close_can_come_without_stop_and_stop_without_close(server: Server) -> None:
    server.documents["/voice"] = stream()
    async with twilio_for(server) as twilio:
        twilio.faults.close_without_stop = True
        call = await twilio.call(CALLER, CALLED)
        await call.stream()
        await call.hang_up()
        await server.gone.wait()
        assert not server.events("stop")

        twilio.faults.close_without_stop, twilio.faults.stop_without_close = False, True
        server.gone.clear()
        call = await twilio.call(CALLER, CALLED)
        await call.stream()
        await call.hang_up()
        await server.stopped.wait()
        assert not server.gone.is_set()


# faults of the stream


@pytest.mark.parametrize(
    ("fault", "is_seen"),
    [
        ("unknown_event", lambda server: server.events("weather")),
        ("binary_frame", lambda server: server.events("binary")),
        ("second_start", lambda server: len(server.events("start")) == 2),
        ("extra_fields", lambda server: "novelty" in server.events("start")[0]["start"]),
    ],
)
async def test_odd_frames_are_sent_on_demand(server: Server, fault: str, is_seen: Any) -> None:
    server.documents["/voice"] = stream()
    async with twilio_for(server) as twilio:
        setattr(twilio.faults, fault, True)
        call = await twilio.call(CALLER, CALLED)
        await call.play(TONE * 5)
        await call.hang_up()
        await server.stopped.wait()

    assert is_seen(server)


async def test_an_oversized_frame_is_bigger_than_64_kib(server: Server) -> None:
    server.documents["/voice"] = stream()
    async with twilio_for(server) as twilio:
        twilio.faults.oversized_frame = True
        call = await twilio.call(CALLER, CALLED)
        await call.ended()

    assert server.closed == [1009] and call.errors == ["31921"]


async def test_a_token_can_be_replayed_while_the_first_stream_lives(server: Server) -> None:
    async def once(socket: WebSocket, start: dict[str, Any]) -> None:
        if len(server.events("start")) > 1:
            await socket.close(code=1008)
            return
        await greet(socket, start)

    server.documents["/voice"] = stream(parameters='<Parameter name="token" value="t1"/>')
    server.talk = once
    async with twilio_for(server) as twilio:
        twilio.faults.replay_token = True
        call = await twilio.call(CALLER, CALLED)
        assert await call.replayed() == 1008
        await call.hang_up()

    first, second = [frame["start"] for frame in server.events("start")]
    assert first["customParameters"] == second["customParameters"] == {"token": "t1"}
    assert first["streamSid"] != second["streamSid"] and first["callSid"] == second["callSid"]


async def test_marks_can_be_late_or_missing(server: Server) -> None:
    server.documents["/voice"] = stream()
    server.talk = greet
    async with twilio_for(server) as twilio:
        twilio.faults.mark_delay_ms = 500
        call = await twilio.call(CALLER, CALLED)
        await call.echoed("half")
        assert call.mark_positions["half"] == SECOND  # all was heard by then
        await call.hang_up()

        twilio.faults.marks_never = True
        call = await twilio.call(CALLER, CALLED)
        await call.quiet(200)
        await call.hang_up()

    assert call.marks_echoed == []


async def test_a_stuck_reader_takes_nothing(server: Server) -> None:
    server.documents["/voice"] = stream()
    server.talk = greet
    async with twilio_for(server) as twilio:
        twilio.faults.stuck_reader = True
        call = await twilio.call(CALLER, CALLED)
        await call.play(TONE * 20)
        await call.hang_up()

    assert call.received == [] and call.heard == b""


@pytest.mark.parametrize(
    ("fault", "signed"),
    [
        ("missing_signature", None),
        ("wrong_signature", None),
        ("wrong_scheme_signature", "https://ivr.example.test/stream"),
        ("trailing_slash_signature", f"{STREAM_URL}/"),
    ],
)
async def test_stream_signatures_can_be_bad(server: Server, fault: str, signed: str | None) -> None:
    server.documents["/voice"] = stream()
    async with twilio_for(server) as twilio:
        setattr(twilio.faults, fault, "stream")
        await (await twilio.call(CALLER, CALLED)).stream()

    signature = server.upgrades[0].get("x-twilio-signature", "")
    check = RequestValidator(TOKEN).validate
    assert not check(STREAM_URL, {}, signature)
    assert signed is None or check(signed, {}, signature)
    _, fields, headers = server.requests[0]
    assert check(f"{PUBLIC}/voice", dict(fields), headers["x-twilio-signature"])


async def test_a_raw_stream_is_signed_unless_told_otherwise(server: Server) -> None:
    async with twilio_for(server) as twilio:
        async with twilio.open_stream("/stream", headers={"X-Odd": "1"}):
            pass
        async with twilio.open_stream(STREAM_URL, sign=False):
            pass
        server.refuses = True
        with pytest.raises(InvalidStatus):
            await twilio.open_stream("/stream")

    signed, unsigned, _ = server.upgrades
    assert RequestValidator(TOKEN).validate(STREAM_URL, {}, signed["x-twilio-signature"])
    assert signed["x-odd"] == "1" and "x-twilio-signature" not in unsigned
