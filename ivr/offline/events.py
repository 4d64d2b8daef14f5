"""Server events of the Realtime protocol, as dictionaries (openai SDK types/realtime). Builds only.

Names and shapes are the GA protocol's. Extras beyond the SDK's types, as the service sends them:
`id`, `object` and `expires_at` in a session.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ivr.errors import BadRequest

Event = dict[str, Any]
PCMU: Mapping[str, Any] = {"type": "audio/pcmu"}


class Refused(BadRequest):
    """A client event that is answered with `error`; `code` and `param` in its words."""

    def __init__(self, message: str, *, code: str | None, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


def error(refused: Refused, event_id: str | None) -> Event:
    return {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "code": refused.code,
            "message": str(refused),
            "param": refused.param,
            "event_id": event_id,
        },
    }


def session(identity: str, model: str, expires_at: int) -> dict[str, Any]:
    """Return the session before its first update; the offline voice knows mu-law only."""
    turns = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "idle_timeout_ms": None,
        "create_response": True,
        "interrupt_response": True,
    }
    return {
        "type": "realtime",
        "object": "realtime.session",
        "id": identity,
        "model": model,
        "expires_at": expires_at,
        "output_modalities": ["audio"],
        "instructions": "",
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "tracing": None,
        "prompt": None,
        "truncation": "auto",
        "include": None,
        "audio": {
            "input": {
                "format": dict(PCMU),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": turns,
            },
            "output": {"format": dict(PCMU), "voice": "marin", "speed": 1.0},
        },
    }


def item_added(item: Mapping[str, Any], previous: str | None) -> Event:
    return {"type": "conversation.item.added", "item": {**item}, "previous_item_id": previous}


def item_done(item: Mapping[str, Any], previous: str | None) -> Event:
    return {"type": "conversation.item.done", "item": {**item}, "previous_item_id": previous}


def user_audio(item_id: str) -> dict[str, Any]:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_audio", "transcript": None}],
    }


def assistant_message(
    item_id: str, *, status: str, transcript: str | None = None
) -> dict[str, Any]:
    content = [] if transcript is None else [{"type": "output_audio", "transcript": transcript}]
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def function_call(
    item_id: str, call_id: str, name: str, *, status: str, arguments: str
) -> dict[str, Any]:
    return {
        "id": item_id,
        "object": "realtime.item",
        "type": "function_call",
        "status": status,
        "name": name,
        "call_id": call_id,
        "arguments": arguments,
    }


def transcribed(item_id: str, text: str, seconds: float) -> list[Event]:
    """Return the transcription of a caller's item; "" is a failed one, as the service has it."""
    name = "conversation.item.input_audio_transcription"
    about: Event = {"item_id": item_id, "content_index": 0}
    if not text:
        reason = {
            "type": "transcription_error",
            "code": "audio_unintelligible",
            "message": "The audio could not be understood.",
            "param": None,
        }
        return [{"type": f"{name}.failed", **about, "error": reason}]
    usage = {"type": "duration", "seconds": seconds}
    return [
        {"type": f"{name}.delta", **about, "delta": text},
        {"type": f"{name}.completed", **about, "transcript": text, "usage": usage},
    ]


def response(
    response_id: str,
    conversation_id: str,
    *,
    status: str,
    output: Iterable[Mapping[str, Any]] = (),
    reason: str | None = None,
) -> dict[str, Any]:
    """Return a response; no tokens are counted here, so `usage` is null."""
    details = {"type": status, "reason": reason} if reason else None
    return {
        "id": response_id,
        "object": "realtime.response",
        "status": status,
        "status_details": details,
        "conversation_id": conversation_id,
        "metadata": None,
        "output_modalities": ["audio"],
        "max_output_tokens": "inf",
        "audio": {"output": {"format": dict(PCMU), "voice": "marin"}},
        "output": [{**item} for item in output],
        "usage": None,
    }
