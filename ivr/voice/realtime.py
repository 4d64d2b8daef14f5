"""OpenAI Realtime (GA): messages become events, intentions become messages. Stateless, no I/O.

An event *is* the decoded message: a struct names the fields that we need, msgspec skips the rest.
Names and shapes: openai SDK types/realtime/realtime_server_event.py and realtime_client_event.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec


class TokenDetails(msgspec.Struct, frozen=True):
    text_tokens: int = 0
    audio_tokens: int = 0


class InputTokenDetails(TokenDetails, frozen=True):
    cached_tokens: int = 0
    cached_tokens_details: TokenDetails | None = None


class Usage(msgspec.Struct, frozen=True):
    """What a response or a transcription cost; the latter may be billed by `seconds` instead."""

    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    input_token_details: InputTokenDetails | None = None
    output_token_details: TokenDetails | None = None


class Part(msgspec.Struct, frozen=True):
    type: str = ""
    text: str | None = None


class Item(msgspec.Struct, frozen=True):
    id: str = ""
    type: str = ""
    role: str | None = None
    status: str | None = None
    content: list[Part] | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None


class Complaint(msgspec.Struct, frozen=True):
    type: str | None = None
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class StatusDetails(msgspec.Struct, frozen=True):
    reason: str | None = None
    error: Complaint | None = None


class Response(msgspec.Struct, frozen=True):
    id: str = ""
    status: str | None = None
    status_details: StatusDetails | None = None
    usage: Usage | None = None

    @property
    def error_code(self) -> str | None:
        """Why it failed, in the service's word."""
        error = self.status_details and self.status_details.error
        return error.code if error else None


class SessionReady(msgspec.Struct, frozen=True):
    """The session has taken our configuration."""


class ErrorReported(msgspec.Struct, frozen=True):
    error: Complaint


class CallerStarted(msgspec.Struct, frozen=True):
    """The caller began to speak; `item_id` is the item that will hold the words."""

    item_id: str = ""


class CallerStopped(msgspec.Struct, frozen=True):
    item_id: str = ""


class ItemPlaced(msgspec.Struct, frozen=True):
    item: Item
    previous_item_id: str | None = None


class CallerTranscribed(msgspec.Struct, frozen=True):
    item_id: str
    transcript: str
    usage: Usage | None = None


class CallerUnintelligible(msgspec.Struct, frozen=True):
    item_id: str


class ResponseStarted(msgspec.Struct, frozen=True):
    response: Response


class ResponseEnded(msgspec.Struct, frozen=True):
    response: Response


class OutputItemEnded(msgspec.Struct, frozen=True):
    item: Item
    response_id: str = ""


class AssistantAudio(msgspec.Struct, frozen=True):
    item_id: str
    delta: str
    response_id: str = ""


class AssistantTextDelta(msgspec.Struct, frozen=True):
    item_id: str
    delta: str


class AssistantText(msgspec.Struct, frozen=True):
    """All that was generated for this item, which may be more than was heard."""

    item_id: str
    transcript: str
    response_id: str = ""


class Unknown(msgspec.Struct, frozen=True):
    """A message that is not in OpenAI's list, or is no message at all."""


Event = (
    SessionReady
    | ErrorReported
    | CallerStarted
    | CallerStopped
    | ItemPlaced
    | CallerTranscribed
    | CallerUnintelligible
    | ResponseStarted
    | ResponseEnded
    | OutputItemEnded
    | AssistantAudio
    | AssistantTextDelta
    | AssistantText
    | Unknown
)

_TRANSCRIPTION = "conversation.item.input_audio_transcription"

# OpenAI's word -> our event. openai SDK types/realtime/realtime_server_event.py
EVENTS: dict[str, type[Event]] = {
    "response.output_audio.delta": AssistantAudio,
    "response.output_audio_transcript.delta": AssistantTextDelta,
    "response.output_audio_transcript.done": AssistantText,
    "response.created": ResponseStarted,
    "response.done": ResponseEnded,
    "response.output_item.done": OutputItemEnded,
    "input_audio_buffer.speech_started": CallerStarted,
    "input_audio_buffer.speech_stopped": CallerStopped,
    "conversation.item.added": ItemPlaced,
    "conversation.item.done": ItemPlaced,
    f"{_TRANSCRIPTION}.completed": CallerTranscribed,
    f"{_TRANSCRIPTION}.failed": CallerUnintelligible,
    "session.updated": SessionReady,
    "error": ErrorReported,
}

# Real events with nothing for us in them, by the beginning of their names.
NOT_FOR_US = (
    "session.created",
    "conversation.created",
    "conversation.item.created",
    "conversation.item.deleted",
    "conversation.item.retrieved",
    "conversation.item.truncated",
    f"{_TRANSCRIPTION}.delta",
    f"{_TRANSCRIPTION}.segment",
    "input_audio_buffer.committed",
    "input_audio_buffer.cleared",
    "input_audio_buffer.timeout_triggered",
    "input_audio_buffer.dtmf_event_received",
    "output_audio_buffer.",
    "response.output_item.added",
    "response.content_part.",
    "response.output_text.",
    "response.output_audio.done",
    "response.function_call_arguments.",
    "response.mcp_call",
    "mcp_list_tools.",
    "rate_limits.updated",
)


class _Envelope(msgspec.Struct, frozen=True):
    type: str


_envelope = msgspec.json.Decoder(_Envelope)
_decoders = {name: msgspec.json.Decoder(event) for name, event in EVENTS.items()}
_encoder = msgspec.json.Encoder()


def parse(text: str | bytes) -> Event | None:
    """Return the event in a message; None when it says nothing that we need."""
    try:
        name = _envelope.decode(text).type
        if decoder := _decoders.get(name):
            return _decode(decoder, text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Unknown()
    return None if name.startswith(NOT_FOR_US) else Unknown()


def _decode(decoder: msgspec.json.Decoder[Event], text: str | bytes) -> Event:
    """Decode; a null where the SDK allows one, or a strange cost, is as if it were absent."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError:
        whole = _without(msgspec.json.decode(text))
    try:
        return msgspec.convert(whole, decoder.type)
    except msgspec.ValidationError:
        return msgspec.convert(_without(whole, "usage"), decoder.type)


def _without(value: Any, name: str = "") -> Any:
    """Return a message without its nulls, and without the fields of this name."""
    match value:
        case dict():
            kept = {key: _without(part, name) for key, part in value.items() if key != name}
            return {key: part for key, part in kept.items() if part is not None}
        case list():
            return [_without(part, name) for part in value]
    return value


def session(
    *,
    instructions: str,
    tools: Sequence[dict[str, Any]] = (),
    voice: str = "marin",
    transcribe_model: str = "gpt-transcribe",
    language: str = "en",
    reasoning_effort: str | None = None,
) -> dict[str, Any]:
    """Return a session for the telephone: mu-law both ways, the server decides on turns.

    `reasoning_effort` is for reasoning models only (gpt-realtime-2 and later). What matters to us
    is said aloud even where it is the default: the SDK's text and the service differ in those.
    """
    pcmu = {"type": "audio/pcmu"}
    turns = {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
    }
    hears = {
        "format": pcmu,
        "noise_reduction": {"type": "near_field"},
        "transcription": {"model": transcribe_model, "language": language},
        "turn_detection": turns,
    }
    config: dict[str, Any] = {
        "type": "realtime",
        "output_modalities": ["audio"],
        "instructions": instructions,
        "tools": list(tools),
        "tool_choice": "auto",
        "audio": {"input": hears, "output": {"format": pcmu, "voice": voice}},
    }
    if reasoning_effort:
        config["reasoning"] = {"effort": reasoning_effort}
    return config


SESSION_EVENT_ID = "session"  # comes back in the error when the service refuses the configuration


def session_update(config: Mapping[str, Any]) -> str:
    """Configure the session; answered by `session.updated`."""
    return _message("session.update", event_id=SESSION_EVENT_ID, session=config)


def response_create(instructions: str | None = None, *, may_use_tools: bool = True) -> str:
    """Ask the assistant to speak; `instructions` replace the session's for this one response."""
    response: dict[str, Any] = {}
    if instructions:
        response["instructions"] = instructions
    if not may_use_tools:
        response["tool_choice"] = "none"
    return _message("response.create", response=response) if response else _RESPONSE_CREATE


def response_cancel(response_id: str) -> str:
    """Stop one response; answered by `response.done`, or by a harmless error if it is over."""
    return _message("response.cancel", response_id=response_id)


class _Append(msgspec.Struct, frozen=True, tag_field="type", tag="input_audio_buffer.append"):
    audio: str


def append(audio: str) -> str:
    """Pass on what the caller says; never acknowledged."""
    return _encoder.encode(_Append(audio)).decode()


def commit() -> str:
    """Close the caller's turn by hand: it is transcribed, and creates no response by itself."""
    return _message("input_audio_buffer.commit")


def truncate(item_id: str, audio_end_ms: int) -> str:
    """Make the model forget what the caller did not hear of an assistant's audio item."""
    return _message(
        "conversation.item.truncate",
        item_id=item_id,
        content_index=0,
        audio_end_ms=audio_end_ms,
    )


def function_call(call_id: str, name: str, arguments: str) -> str:
    """Tell of a call that another session made, with its id for the item too."""
    item = {"type": "function_call", "id": call_id, "call_id": call_id, "name": name}
    return _message("conversation.item.create", item={**item, "arguments": arguments})


def function_call_output(call_id: str, output: str) -> str:
    """Give a tool's result to the model; creates no response by itself."""
    item = {"type": "function_call_output", "call_id": call_id, "output": output}
    return _message("conversation.item.create", item=item)


def message(role: str, text: str, *, item_id: str | None = None) -> str:
    """Put words of the `user` or the `assistant` into the conversation; creates no response."""
    part = {"type": "output_text" if role == "assistant" else "input_text", "text": text}
    item: dict[str, Any] = {"type": "message", "role": role, "content": [part]}
    if item_id:
        item["id"] = item_id
    return _message("conversation.item.create", item=item)


def _message(kind: str, **fields: Any) -> str:
    return _encoder.encode({"type": kind, **fields}).decode()


_RESPONSE_CREATE = _message("response.create")
