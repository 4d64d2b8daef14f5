"""Media Streams messages: Twilio's own are built here, those it gets are checked. No I/O.

Twilio: media-streams websocket-messages; counters are strings, sample rate and channels numbers.
"""

import base64
import binascii
import json
from typing import Any

FRAME_MS = 20
FRAME_BYTES = 160
SILENCE = 0xFF
SILENT_FRAME = bytes([SILENCE]) * FRAME_BYTES

CONNECTED: dict[str, Any] = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
UNKNOWN: dict[str, Any] = {"event": "weather", "weather": {"outlook": "mild"}}

_SHAPES: dict[str, dict[str, Any]] = {
    "media": {"event": str, "streamSid": str, "media": {"payload": str}},
    "mark": {"event": str, "streamSid": str, "mark": {"name": str}},
    "clear": {"event": str, "streamSid": str},
}


class InvalidMessage(Exception):
    """What Twilio would report as 31950 (binary) or 31951 (invalid message) and drop."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code


def start(
    account_sid: str, call_sid: str, stream_sid: str, parameters: dict[str, str]
) -> dict[str, Any]:
    """Build `start`; `parameters` are those of the TwiML."""
    body = {
        "accountSid": account_sid,
        "streamSid": stream_sid,
        "callSid": call_sid,
        "tracks": ["inbound"],
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        "customParameters": parameters,
    }
    return {"event": "start", "start": body}


def media(chunk: int, timestamp_ms: int, ulaw: bytes) -> dict[str, Any]:
    """Build one frame of the caller's voice."""
    body = {
        "track": "inbound",
        "chunk": str(chunk),
        "timestamp": str(timestamp_ms),
        "payload": base64.b64encode(ulaw).decode(),
    }
    return {"event": "media", "media": body}


def dtmf(digit: str) -> dict[str, Any]:
    """Build one key press; its track is called `inbound_track` here, unlike in `media`."""
    return {"event": "dtmf", "dtmf": {"track": "inbound_track", "digit": digit}}


def mark(name: str) -> dict[str, Any]:
    """Build the echo of a mark."""
    return {"event": "mark", "mark": {"name": name}}


def stop(account_sid: str, call_sid: str) -> dict[str, Any]:
    """Build `stop`."""
    return {"event": "stop", "stop": {"accountSid": account_sid, "callSid": call_sid}}


def with_extra_fields(message: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `message` with keys that no documentation names, on both levels."""
    body = message.get(message["event"])
    extra = {**message, "region": "us1", "trace": {"hop": 3}}
    return extra if body is None else {**extra, message["event"]: {**body, "novelty": "1"}}


def check_outbound(frame: str | bytes, stream_sid: str | None) -> dict[str, Any]:
    """Return the message in `frame`, or raise InvalidMessage; `stream_sid` None: before `start`."""
    if isinstance(frame, bytes):
        raise InvalidMessage("31950", "binary frame")
    try:
        message = json.loads(frame)
    except ValueError as error:
        raise InvalidMessage("31951", f"not JSON: {frame[:80]!r}") from error
    if not isinstance(message, dict):
        raise InvalidMessage("31951", "not a JSON object")
    if stream_sid is None:
        raise InvalidMessage("31951", f"{message.get('event')!r} sent before start")
    _check_event(message, stream_sid)
    return message


def payload_of(message: dict[str, Any]) -> bytes:
    """Return the mu-law bytes of a checked `media` message."""
    return base64.b64decode(message["media"]["payload"])


def _check_event(message: dict[str, Any], stream_sid: str) -> None:
    event = message.get("event")
    shape = _SHAPES.get(event) if isinstance(event, str) else None
    if shape is None:
        raise InvalidMessage("31951", f"unknown event {event!r}")
    _check_shape(message, shape, str(event))
    if message["streamSid"] != stream_sid:
        raise InvalidMessage("31951", f"{event}: wrong streamSid {message['streamSid']!r}")
    if event == "media":
        _check_payload(message["media"]["payload"])


def _check_shape(value: Any, shape: Any, where: str) -> None:
    if isinstance(shape, type):
        if not isinstance(value, shape):
            raise InvalidMessage("31951", f"{where}: {shape.__name__} expected")
        return
    if not isinstance(value, dict):
        raise InvalidMessage("31951", f"{where}: object expected")
    if value.keys() != shape.keys():
        missing, extra = sorted(shape.keys() - value.keys()), sorted(value.keys() - shape.keys())
        raise InvalidMessage("31951", f"{where}: missing keys {missing}, extra keys {extra}")
    for key, inner in shape.items():
        _check_shape(value[key], inner, f"{where}.{key}")


def _check_payload(payload: str) -> None:
    try:
        audio = base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise InvalidMessage("31951", "media.payload is not base64") from error
    if not audio:
        raise InvalidMessage("31951", "media.payload is empty")
    if audio.startswith(b"RIFF"):
        raise InvalidMessage("31951", "media.payload has a WAV header")
