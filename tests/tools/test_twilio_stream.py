"""Twilio's emulator and one media stream: frames, play-out, marks, clear, strictness."""

import asyncio
import base64
import time
from typing import Any

import pytest
from starlette.websockets import WebSocket
from twilio.request_validator import RequestValidator

from tests.tools.twilio_server import (
    ACCOUNT,
    CALLED,
    CALLER,
    SECOND,
    STREAM_URL,
    TOKEN,
    TONE,
    Server,
    greet,
    listen,
    mark,
    outbound,
    say,
    stream,
    twilio_for,
)
from tools.emulators.twilio import TwilioViolation


async def echo(socket: WebSocket, start: dict[str, Any]) -> None:
    """Say back each frame that is not silence."""
    while True:
        (frame,) = await listen(socket, count=1)
        if frame["event"] == "media":
            audio = base64.b64decode(frame["media"]["payload"])
            if set(audio) != {0xFF}:
                await socket.send_text(say(start, audio))


async def test_a_stream_starts_as_twilio_starts_it(server: Server) -> None:
    server.documents["/voice"] = stream(parameters='<Parameter name="token" value="t&amp;1"/>')
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.stream()
        await call.play(TONE)
        await call.press("1#")
        await call.hang_up()

    headers = server.upgrades[0]
    assert headers["host"] == "ivr.example.test"
    assert RequestValidator(TOKEN).validate(STREAM_URL, {}, headers["x-twilio-signature"])
    assert server.frames[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start, media = server.events("start")[0], server.events("media")
    assert start["start"] == {
        "accountSid": ACCOUNT,
        "streamSid": start["streamSid"],
        "callSid": call.sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": {"token": "t&1"},
    }
    assert [frame["media"]["chunk"] for frame in media] == [str(n + 1) for n in range(len(media))]
    assert [frame["media"]["timestamp"] for frame in media[:3]] == ["0", "20", "40"]
    numbered = [frame["sequenceNumber"] for frame in server.frames[1:]]
    assert numbered == [str(n + 1) for n in range(len(numbered))]
    assert [frame["dtmf"]["digit"] for frame in server.events("dtmf")] == ["1", "#"]
    assert server.frames[-1]["stop"] == {"accountSid": ACCOUNT, "callSid": call.sid}


async def test_the_caller_hears_what_was_said_and_nothing_else(server: Server) -> None:
    server.documents["/voice"] = stream()
    server.talk = echo
    words = TONE * 25
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.stream()
        await call.play(words)
        assert await call.quiet(200) == words
        await call.hang_up()

    assert call.heard == words
    assert call.heard_since(SECOND // 4) == words[SECOND // 4 :]


async def test_frames_catch_up_after_a_stall_and_never_run_ahead(server: Server) -> None:
    server.documents["/voice"] = stream()
    async with twilio_for(server, speed=5.0) as twilio:
        call = await twilio.call(CALLER, CALLED)
        live = await call.stream()

        def late_ms() -> float:
            return live.clock.now_ms() - 20 * (len(server.events("media")) - 1)

        asyncio.get_running_loop().call_soon(time.sleep, 0.3)  # 1500 ms of the call's time
        await asyncio.sleep(0)
        await call.until(lambda: late_ms() < 500, "the frames were on time again")
        assert late_ms() >= 0
        await call.hang_up()


async def test_marks_come_back_when_their_audio_was_heard(server: Server) -> None:
    server.documents["/voice"] = stream()
    server.talk = greet
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.echoed("half")
        assert "whole" not in call.marks_echoed
        await call.echoed("whole")
        await call.hang_up()

    assert call.heard == b"\x01" * (SECOND // 2) + b"\x02" * (SECOND // 2)
    assert SECOND // 2 <= call.mark_positions["half"] < SECOND
    assert [frame["mark"]["name"] for frame in server.events("mark")] == ["half", "whole"]


async def test_clear_silences_and_echoes_every_mark_at_once(server: Server) -> None:
    async def interrupted(socket: WebSocket, start: dict[str, Any]) -> None:
        for name in ("one", "two"):
            await socket.send_text(say(start, b"\x01" * 60 * SECOND))
            await socket.send_text(mark(start, name))
        await listen(socket, until="dtmf")
        await socket.send_text(outbound(start, "clear"))
        await listen(socket)

    server.documents["/voice"] = stream()
    server.talk = interrupted
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.hears(100)
        await call.press("1")
        await call.clears(1)
        await call.echoed("two")
        await call.hang_up()

    assert call.marks_echoed == ["one", "two"]
    assert 100 * 8 <= len(call.heard) < 60 * SECOND


async def test_a_mark_without_audio_comes_back_at_once(server: Server) -> None:
    async def only_mark(socket: WebSocket, start: dict[str, Any]) -> None:
        await socket.send_text(mark(start, "now"))
        await listen(socket)

    server.documents["/voice"] = stream()
    server.talk = only_mark
    async with twilio_for(server) as twilio:
        call = await twilio.call(CALLER, CALLED)
        await call.echoed("now")

    assert call.heard == b""


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (lambda start: outbound(start, "mark", mark={"name": "x"}, track="y"), "31951.*extra"),
        (lambda start: outbound({"streamSid": "MZ0"}, "clear"), "31951.*wrong streamSid"),
        (lambda start: outbound(start, "hangup"), "31951.*unknown event"),
        (lambda start: b"\xff" * 160, "31950"),
        (lambda start: say(start, b"\xff" * (601 * SECOND)), "31931"),
    ],
)
async def test_a_bad_stream_message_fails_the_test(server: Server, frame: Any, reason: str) -> None:
    async def blunder(socket: WebSocket, start: dict[str, Any]) -> None:
        blunder = frame(start)
        send = socket.send_bytes if isinstance(blunder, bytes) else socket.send_text
        await send(blunder)
        await listen(socket)

    server.documents["/voice"] = stream()
    server.talk = blunder
    with pytest.raises(TwilioViolation, match=reason):
        async with twilio_for(server) as twilio:
            call = await twilio.call(CALLER, CALLED)
            await call.until(lambda: bool(twilio.violations.found), "the violation was noticed")


async def test_speaking_before_start_fails_the_test(server: Server) -> None:
    async def hasty(socket: WebSocket) -> None:
        await socket.send_text(outbound({"streamSid": "MZ0"}, "clear"))

    server.documents["/voice"] = stream()
    server.on_accept = hasty
    with pytest.raises(TwilioViolation, match="before start"):
        async with twilio_for(server, speed=1.0) as twilio:
            call = await twilio.call(CALLER, CALLED)
            await call.stream()


async def test_ten_calls_at_once_stay_apart(server: Server) -> None:
    server.documents["/voice"] = stream()
    server.talk = echo
    async with twilio_for(server, speed=5.0) as twilio:

        async def one(number: int) -> bool:
            call = await twilio.call(CALLER, CALLED)
            words = bytes([number]) * SECOND
            await call.play(words)
            heard = await call.quiet(200)
            await call.hang_up()
            return heard == words

        assert await asyncio.gather(*(one(number) for number in range(10))) == [True] * 10
