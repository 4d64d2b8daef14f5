"""Accepts a client frame, or raises the Refusal that the service would send. Knows no state.

Authority: the installed SDK's models (types/realtime/realtime_client_event.py). They tolerate
misspelt and beta fields, so every model's `model_extra` must be empty too. What the types allow and
the service refuses is in `session_rules`.
"""

import json
from collections.abc import Iterator
from typing import Any

from openai.types.realtime import (
    ConversationItemCreateEvent,
    ConversationItemDeleteEvent,
    ConversationItemRetrieveEvent,
    ConversationItemTruncateEvent,
    InputAudioBufferAppendEvent,
    InputAudioBufferClearEvent,
    InputAudioBufferCommitEvent,
    OutputAudioBufferClearEvent,
    ResponseCancelEvent,
    ResponseCreateEvent,
    ResponseItemReference,
    SessionUpdateEvent,
)
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tools.emulators.openai import session_rules
from tools.emulators.openai.refusal import (
    Refusal,
    invalid_value,
    missing_parameter,
    unknown_parameter,
)

_MODELS: dict[str, type[BaseModel]] = {
    "conversation.item.create": ConversationItemCreateEvent,
    "conversation.item.delete": ConversationItemDeleteEvent,
    "conversation.item.retrieve": ConversationItemRetrieveEvent,
    "conversation.item.truncate": ConversationItemTruncateEvent,
    "input_audio_buffer.append": InputAudioBufferAppendEvent,
    "input_audio_buffer.clear": InputAudioBufferClearEvent,
    "input_audio_buffer.commit": InputAudioBufferCommitEvent,
    "output_audio_buffer.clear": OutputAudioBufferClearEvent,
    "response.cancel": ResponseCancelEvent,
    "response.create": ResponseCreateEvent,
    "session.update": SessionUpdateEvent,
}

# Null means something only here; elsewhere the service wants the key left out.
_NULLABLE = {
    "session.tracing",
    "session.prompt",
    "session.include",
    "session.audio.input.noise_reduction",
    "session.audio.input.transcription",
    "session.audio.input.turn_detection",
    "session.audio.input.turn_detection.idle_timeout_ms",
    "response.metadata",
    "response.prompt",
}

# A tool's JSON schema is the caller's own: anything goes inside.
_OPAQUE = "parameters"


def parse(frame: str) -> dict[str, Any]:
    """Return the client event in `frame`, known or not; raise Refusal when it is none."""
    try:
        event = json.loads(frame)
    except ValueError:
        raise Refusal("The event is not valid JSON.", code="invalid_event") from None
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise Refusal(
            "The event must be an object with a 'type'.", code="invalid_event", param="type"
        )
    return event


def check(event: dict[str, Any]) -> None:
    """Raise Refusal when `event` (from `parse`) has a key or value that the service refuses."""
    if event["type"] not in _MODELS:
        known = ", ".join(f"'{name}'" for name in sorted(_MODELS))
        raise Refusal(
            f"Invalid value: '{event['type']}'. Supported values are: {known}.", param="type"
        )
    for path in _nulls(event, ""):
        raise invalid_value(path, "null is not allowed here")
    match event:
        case {"type": "session.update", "session": {} as session}:
            _check_session_type(session)
        case {"type": "response.create", "response": {"input": [*items]}}:
            _check_references(items)
    _check_shape(event)
    session_rules.check(event)


def _check_session_type(session: dict[str, Any]) -> None:
    """Refuse before the SDK's union can hide the reason: a beta session has no type."""
    for key in session:
        if key in session_rules.BETA_KEYS:
            raise unknown_parameter(f"session.{key}")
    if "type" not in session:
        raise missing_parameter("session.type")
    if session["type"] != "realtime":
        raise invalid_value("session.type", "this emulator serves 'realtime' sessions")


def _check_references(items: list[Any]) -> None:
    for i, item in enumerate(items):
        if isinstance(item, dict) and item.get("type") == "item_reference":
            _validate(ResponseItemReference, item, f"response.input.{i}")


def _check_shape(event: dict[str, Any]) -> None:
    response = event.get("response")
    if isinstance(response, dict) and isinstance(response.get("input"), list):
        # The SDK's model knows no item references, only its TypedDict twin does; checked above.
        own = [item for item in response["input"] if not _is_reference(item)]
        event = event | {"response": response | {"input": own}}
    _validate(_MODELS[event["type"]], event, "")


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "item_reference"


def _validate(model: type[BaseModel], value: dict[str, Any], prefix: str) -> None:
    try:
        parsed = model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as exc:
        raise _from_pydantic(exc, value, prefix) from None
    for path in extras(parsed):
        raise unknown_parameter(_join(prefix, path))


def extras(value: Any) -> Iterator[str]:
    """Yield the paths of all fields that no SDK model knows."""
    if isinstance(value, BaseModel):
        yield from value.model_extra or {}
        for name in type(value).model_fields:
            if name != _OPAQUE:
                yield from (_join(name, path) for path in extras(getattr(value, name)))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from (_join(str(i), path) for path in extras(item))


def _nulls(value: Any, path: str) -> Iterator[str]:
    if value is None and path not in _NULLABLE:
        yield path
    elif isinstance(value, dict):
        for key, item in value.items():
            if key != _OPAQUE:
                yield from _nulls(item, _join(path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from _nulls(item, _join(path, str(i)))


def _from_pydantic(exc: ValidationError, value: Any, prefix: str) -> Refusal:
    """Name the deepest complaint: the member of a union that got furthest was the one meant."""
    problems = [
        (_real_path(error["loc"], value), error) for error in _meant(exc.errors(include_url=False))
    ]
    path, error = max(problems, key=lambda problem: len(problem[0]))
    param = _join(prefix, ".".join(path))
    if error["type"] == "missing":
        return missing_parameter(_join(param, str(error["loc"][-1])))
    return invalid_value(param, error["msg"])


def _meant(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return `errors` without those of union members whose `type` or `role` is another one."""
    others = [
        error["loc"][:-1]
        for error in errors
        if error["type"] == "literal_error" and error["loc"][-1] in ("type", "role")
    ]
    left = [e for e in errors if not any(e["loc"][: len(other)] == other for other in others)]
    return left or errors


def _real_path(loc: tuple[int | str, ...], value: Any) -> list[str]:
    """Return `loc` without the names of union members that pydantic puts between."""
    path: list[str] = []
    for part in loc:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            continue
        path.append(str(part))
    return path


def _join(left: str, right: str) -> str:
    return f"{left}.{right}" if left and right else left or right
