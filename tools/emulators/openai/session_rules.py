"""What the SDK's types allow in a client event and the service refuses; knows no session state.

Shapes were checked before; every check raises Refusal with the path. Sources: openai SDK
types/realtime (docstrings), the Realtime guides.
"""

import re
from collections.abc import Callable
from typing import Any

from tools.emulators.openai.refusal import Refusal, invalid_value, missing_parameter

BETA_KEYS = {
    "modalities",
    "input_audio_format",
    "output_audio_format",
    "input_audio_transcription",
    "input_audio_noise_reduction",
    "turn_detection",
    "voice",
    "speed",
    "max_response_output_tokens",
    "temperature",
}

_VOICES = {
    *("alloy", "ash", "ballad", "coral", "echo"),
    *("sage", "shimmer", "verse", "marin", "cedar"),
}
_TRANSCRIBERS = {
    *("whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-realtime-whisper"),
    *("gpt-4o-transcribe", "gpt-4o-transcribe-diarize"),
    *("gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-2025-12-15"),
}
_HINTED = {"gpt-transcribe", "gpt-live-transcribe"}
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check(event: dict[str, Any]) -> None:
    """Raise Refusal when `event`, whose shape is right, has a value the service does not take."""
    match event:
        case {"type": "session.update", "session": session}:
            _check_common(session, "session")
            _check_input(session.get("audio", {}).get("input", {}), "session.audio.input")
            _check_truncation(session.get("truncation"))
        case {"type": "response.create", "response": response}:
            _check_common(response, "response")
            _check_metadata(response.get("metadata") or {})
        case {"type": "conversation.item.create", "item": item}:
            _check_item(item)


def _check_common(config: dict[str, Any], where: str) -> None:
    modalities = config.get("output_modalities")
    if modalities is not None and modalities not in (["audio"], ["text"]):
        raise invalid_value(f"{where}.output_modalities", "exactly one of ['text'] and ['audio']")
    tokens = config.get("max_output_tokens", "inf")
    _in_range(f"{where}.max_output_tokens", None if tokens == "inf" else tokens, 1, 4096)
    _check_output(config.get("audio", {}).get("output", {}), f"{where}.audio.output")
    _check_tools(config.get("tools") or [], f"{where}.tools")
    choice = config.get("tool_choice")
    if isinstance(choice, dict) and "tools" in config and choice.get("type") == "function":
        known = {tool.get("name") for tool in config["tools"]}
        _one_of(f"{where}.tool_choice.name", choice["name"], known)


def _check_output(output: dict[str, Any], where: str) -> None:
    voice = output.get("voice")
    if isinstance(voice, str):
        _one_of(f"{where}.voice", voice, _VOICES)
    _in_range(f"{where}.speed", output.get("speed"), 0.25, 1.5)
    _check_format(output, where)


def _check_input(audio: dict[str, Any], where: str) -> None:
    _check_format(audio, where)
    turns = audio.get("turn_detection") or {}
    path = f"{where}.turn_detection"
    _in_range(f"{path}.threshold", turns.get("threshold"), 0, 1)
    for key in ("prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms"):
        _in_range(f"{path}.{key}", turns.get(key), 0, 3_600_000)
    _check_transcription(audio.get("transcription") or {}, f"{where}.transcription")


def _check_format(audio: dict[str, Any], where: str) -> None:
    if "format" in audio and "type" not in audio["format"]:
        raise missing_parameter(f"{where}.format.type")


def _check_transcription(asr: dict[str, Any], where: str) -> None:
    if not asr:
        return
    model = asr.get("model")
    _one_of(f"{where}.model", model, _TRANSCRIBERS)
    if "language" in asr and "languages" in asr:
        raise invalid_value(f"{where}.languages", "'language' or 'languages', not both")
    supported = {"keywords": _HINTED, "languages": _HINTED, "delay": {"gpt-realtime-whisper"}}
    for key, models in supported.items():
        if key in asr and model not in models:
            raise invalid_value(f"{where}.{key}", f"not supported by {model}")


def _check_truncation(truncation: Any) -> None:
    if isinstance(truncation, dict):
        _in_range("session.truncation.retention_ratio", truncation["retention_ratio"], 0, 1)


def _check_tools(tools: list[dict[str, Any]], where: str) -> None:
    seen: set[str] = set()
    for i, tool in enumerate(tools):
        for key in ("type",) if tool.get("type") == "mcp" else ("type", "name", "parameters"):
            if key not in tool:
                raise missing_parameter(f"{where}.{i}.{key}")
        if tool["type"] == "function":
            _check_function(tool, f"{where}.{i}", seen)


def _check_function(tool: dict[str, Any], where: str, seen: set[str]) -> None:
    name, schema = tool["name"], tool["parameters"]
    if not _TOOL_NAME.fullmatch(name):
        raise invalid_value(f"{where}.name", "1 to 64 of letters, digits, _ and -")
    if name in seen:
        raise invalid_value(f"{where}.name", f"{name!r} is there twice")
    seen.add(name)
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise invalid_value(f"{where}.parameters", "must be a JSON schema of type 'object'")


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > 16:
        raise invalid_value("response.metadata", "at most 16 pairs")
    for key, value in metadata.items():
        if len(key) > 64 or len(value) > 512:
            raise invalid_value(
                f"response.metadata.{key}", "key up to 64, value up to 512 characters"
            )


def _check_item(item: dict[str, Any]) -> None:
    kinds: dict[str, Callable[[dict[str, Any], str], None]] = {
        "user": _check_user_part,
        "system": lambda part, where: _text_part(part, where, "input_text"),
        "assistant": lambda part, where: _text_part(part, where, "output_text"),
    }
    if item["type"] == "message":
        for i, part in enumerate(item["content"]):
            kinds[item["role"]](part, f"item.content.{i}")


def _check_user_part(part: dict[str, Any], where: str) -> None:
    content = {"input_text": "text", "input_audio": "audio", "input_image": "image_url"}
    key = content.get(part.get("type", ""))
    if key is None:
        raise missing_parameter(f"{where}.type")
    if key not in part:
        raise missing_parameter(f"{where}.{key}")


def _text_part(part: dict[str, Any], where: str, kind: str) -> None:
    """Assistant audio cannot be put into a conversation, nor can a system message speak."""
    if part.get("type") != kind:
        raise invalid_value(f"{where}.type", f"only '{kind}' can be created here")
    if "text" not in part:
        raise missing_parameter(f"{where}.text")


def _one_of(path: str, value: Any, allowed: set[Any]) -> None:
    if value not in allowed:
        raise Refusal(
            f"Invalid value: '{value}'. Supported values are: {sorted(allowed)}.", param=path
        )


def _in_range(path: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise invalid_value(path, f"must be between {low} and {high}")
