"""The frames of a media stream: Twilio's are understood, ours are what Twilio allows."""

import base64
import json

import pytest

from ivr.voice import media_stream
from ivr.voice.media_stream import (
    CallerAudio,
    KeyPressed,
    MarkPlayed,
    StreamStarted,
    StreamStopped,
    Unknown,
)


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        (
            '{"event":"start","sequenceNumber":"1","streamSid":"MZ1","start":{"accountSid":"AC1",'
            '"streamSid":"MZ1","callSid":"CA1","tracks":["inbound"],"mediaFormat":{"encoding":'
            '"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"token":"t"}}}',
            StreamStarted("MZ1", "CA1", "AC1", {"token": "t"}),
        ),
        (
            '{"event":"media","sequenceNumber":"3","streamSid":"MZ1","media":'
            '{"track":"inbound","chunk":"1","timestamp":"5","payload":"f39/"}}',
            CallerAudio("f39/"),
        ),
        (
            '{"event":"mark","sequenceNumber":"4","streamSid":"MZ1","mark":{"name":"0:item:200"}}',
            MarkPlayed("0:item:200"),
        ),
        (
            '{"event":"dtmf","streamSid":"MZ1","sequenceNumber":"5",'
            '"dtmf":{"track":"inbound_track","digit":"1"}}',
            KeyPressed("1"),
        ),
        (
            '{"event":"stop","sequenceNumber":"5","streamSid":"MZ1",'
            '"stop":{"accountSid":"AC1","callSid":"CA1"}}',
            StreamStopped(),
        ),
        ('{"event":"connected","protocol":"Call","version":"1.0.0"}', None),
    ],
)
def test_twilio_s_own_frames_are_understood(frame, event):
    assert media_stream.parse(frame) == event


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "nonsense",
        "[]",
        '{"event":"poem"}',
        '{"event":"media"}',
        '{"event":7}',
        "\ud800",
        '{"event":"stop","x":' + "[" * 30_000,
    ],
)
def test_a_frame_that_makes_no_sense_is_unknown_and_no_error(frame):
    assert media_stream.parse(frame) == Unknown()


def test_frames_carry_exactly_the_keys_that_twilio_allows():
    assert json.loads(media_stream.media("MZ1", "f39/")) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": "f39/"},
    }
    assert json.loads(media_stream.mark("MZ1", "0:bye")) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": "0:bye"},
    }
    assert json.loads(media_stream.clear("MZ1")) == {"event": "clear", "streamSid": "MZ1"}


def test_a_payload_cannot_break_out_of_its_frame():
    frame = media_stream.media("MZ1", '"},"event":"clear')

    assert json.loads(frame)["event"] == "media"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 160, 1600, 3200])
def test_audio_is_measured_without_decoding_it(size):
    assert media_stream.audio_bytes(base64.b64encode(bytes(size)).decode()) == size


@pytest.mark.parametrize("size", [1, 160, 3200, 3201, 3202, 100_000])
def test_pieces_are_valid_by_themselves_and_together_the_whole(size):
    audio = bytes(i % 251 for i in range(size))

    pieces = list(media_stream.pieces(base64.b64encode(audio).decode()))

    decoded = [base64.b64decode(piece, validate=True) for piece in pieces]
    assert b"".join(decoded) == audio
    assert max(map(len, decoded)) <= 3201
