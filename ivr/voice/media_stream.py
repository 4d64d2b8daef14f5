"""Twilio Media Streams: frames become events, intentions become frames. Stateless, no I/O.

Audio stays the base64 text that Twilio and OpenAI both speak (mu-law, 8 kHz): it is cut and
measured by arithmetic on its length, never decoded.
Field names: Twilio, media-streams/websocket-messages.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

BYTES_PER_MS = 8  # mu-law, 8 kHz, one byte per sample
# 3,201 bytes = 400 ms: what OpenAI mostly sends at once goes in one frame with one mark behind it,
# and comes back as one echo. A multiple of 4, so that every piece is base64 by itself.
PIECE_CHARS = 4268


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """Twilio opened the stream; `parameters` are the <Parameter>s of our own TwiML."""

    stream_sid: str
    call_sid: str
    account_sid: str
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CallerAudio:
    payload: str


@dataclass(frozen=True, slots=True)
class MarkPlayed:
    """Playback reached the mark, or a `clear` threw it out: the frames look the same."""

    name: str


@dataclass(frozen=True, slots=True)
class KeyPressed:
    digit: str


@dataclass(frozen=True, slots=True)
class StreamStopped:
    pass


@dataclass(frozen=True, slots=True)
class Unknown:
    """A frame that is not in Twilio's list, or is no frame at all."""


Event = StreamStarted | CallerAudio | MarkPlayed | KeyPressed | StreamStopped | Unknown


class _Media(msgspec.Struct):
    payload: str


class _Mark(msgspec.Struct):
    name: str


class _Dtmf(msgspec.Struct):
    digit: str


class _Start(msgspec.Struct, rename="camel"):
    call_sid: str
    account_sid: str = ""
    custom_parameters: dict[str, str] = {}


class _Frame(msgspec.Struct):
    event: str
    stream_sid: str = msgspec.field(default="", name="streamSid")
    media: _Media | None = None
    mark: _Mark | None = None
    dtmf: _Dtmf | None = None
    start: _Start | None = None


class _MediaOut(msgspec.Struct, tag_field="event", tag="media", rename="camel"):
    stream_sid: str
    media: _Media


class _MarkOut(msgspec.Struct, tag_field="event", tag="mark", rename="camel"):
    stream_sid: str
    mark: _Mark


class _ClearOut(msgspec.Struct, tag_field="event", tag="clear", rename="camel"):
    stream_sid: str


_decoder = msgspec.json.Decoder(_Frame)
_encoder = msgspec.json.Encoder()


def parse(text: str) -> Event | None:
    """Return the event in a frame; None when it says nothing that we need."""
    try:
        frame = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return Unknown()
    if frame.event == "media" and frame.media is not None:  # nearly always
        return CallerAudio(frame.media.payload)
    match frame:
        case _Frame(event="mark", mark=_Mark(name=name)):
            return MarkPlayed(name)
        case _Frame(event="dtmf", dtmf=_Dtmf(digit=digit)):
            return KeyPressed(digit)
        case _Frame(event="start", start=_Start() as start):
            return StreamStarted(
                frame.stream_sid, start.call_sid, start.account_sid, start.custom_parameters
            )
        case _Frame(event="stop"):
            return StreamStopped()
        case _Frame(event="connected"):
            return None
    return Unknown()


def media(stream_sid: str, payload: str) -> str:
    """Audio to be queued behind what Twilio already holds."""
    return _encoder.encode(_MediaOut(stream_sid, _Media(payload))).decode()


def mark(stream_sid: str, name: str) -> str:
    """A bookmark that Twilio sends back when playback gets there."""
    return _encoder.encode(_MarkOut(stream_sid, _Mark(name))).decode()


def clear(stream_sid: str) -> str:
    """Throw away what is queued; Twilio then echoes every outstanding mark at once."""
    return _encoder.encode(_ClearOut(stream_sid)).decode()


def audio_bytes(payload: str) -> int:
    """Return how many bytes of audio a base64 text holds."""
    return len(payload) * 3 // 4 - payload.count("=", -2)


def pieces(payload: str) -> Iterator[str]:
    """Cut audio into texts of at most 400 ms, each valid by itself."""
    for start in range(0, len(payload), PIECE_CHARS):
        yield payload[start : start + PIECE_CHARS]
