"""Checks and merges `session.update`; refuses what the service refuses, and what only it can do."""

from collections.abc import Mapping
from typing import Any

from ivr.offline.events import Refused

_SESSION = frozenset(
    "type model output_modalities instructions audio include max_output_tokens parallel_tool_calls"
    " reasoning tools tool_choice truncation tracing prompt".split()
)
_AUDIO = frozenset({"input", "output"})
_INPUT = frozenset({"format", "noise_reduction", "transcription", "turn_detection"})
_OUTPUT = frozenset({"format", "voice", "speed"})
_VAD = frozenset(
    "type threshold prefix_padding_ms silence_duration_ms create_response interrupt_response"
    " idle_timeout_ms".split()
)


def merged(current: Mapping[str, Any], update: Any) -> dict[str, Any]:
    """Return the session after an update; raises Refused."""
    changes = _table(update, _SESSION, "session")
    if changes.get("type") != "realtime":
        if "type" in changes:
            raise Refused(
                "Only 'realtime' sessions are spoken here.",
                code="invalid_value",
                param="session.type",
            )
        raise Refused(
            "Missing required parameter: 'session.type'.",
            code="missing_required_parameter",
            param="session.type",
        )
    if changes.get("model", current["model"]) != current["model"]:
        raise Refused("The model cannot change.", code="invalid_value", param="session.model")
    if changes.get("output_modalities", ["audio"]) != ["audio"]:
        raise Refused(
            "The offline voice answers in audio only.",
            code="invalid_value",
            param="session.output_modalities",
        )
    audio = _audio(current["audio"], changes.get("audio", {}))
    return {**current, **changes, "audio": audio}


def _audio(current: Mapping[str, Any], update: Any) -> dict[str, Any]:
    changes = _table(update, _AUDIO, "session.audio")
    heard = _table(changes.get("input", {}), _INPUT, "session.audio.input")
    said = _table(changes.get("output", {}), _OUTPUT, "session.audio.output")
    for name, part in (("input", heard), ("output", said)):
        if "format" in part:
            _check_format(part["format"], f"session.audio.{name}.format")
    if "turn_detection" in heard:
        old = current["input"]["turn_detection"] or {}
        heard["turn_detection"] = _turn_detection(old, heard["turn_detection"])
    return {
        "input": {**current["input"], **heard},
        "output": {**current["output"], **said},
    }


def _check_format(value: Any, param: str) -> None:
    given = _table(value, frozenset({"type"}), param)
    if given.get("type") != "audio/pcmu":
        raise Refused(
            "The offline voice knows audio/pcmu only.", code="invalid_value", param=f"{param}.type"
        )


def _turn_detection(old: Mapping[str, Any], value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    param = "session.audio.input.turn_detection"
    given = _table(value, _VAD, param)
    if given.get("type", "server_vad") != "server_vad":
        raise Refused(
            "The offline voice has server_vad only.", code="invalid_value", param=f"{param}.type"
        )
    if given.get("idle_timeout_ms") is not None:
        raise Refused(
            "The offline voice has no idle timeout.",
            code="invalid_value",
            param=f"{param}.idle_timeout_ms",
        )
    for name in ("prefix_padding_ms", "silence_duration_ms"):
        number = given.get(name, 0)
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 10_000:
            raise Refused(
                f"'{name}' must be 0 to 10000.", code="invalid_value", param=f"{param}.{name}"
            )
    return {**old, **given}


def _table(value: Any, known: frozenset[str], param: str) -> dict[str, Any]:
    """Return a copy of a table that has known keys only; raises Refused."""
    if not isinstance(value, dict):
        raise Refused(f"'{param}' must be an object.", code="invalid_type", param=param)
    for key in value:
        if key not in known:
            raise Refused(
                f"Unknown parameter: '{param}.{key}'.",
                code="unknown_parameter",
                param=f"{param}.{key}",
            )
    return dict(value)
