"""One session's configuration: the service's defaults, and how an update changes them. No I/O."""

from typing import Any

from tools.emulators.openai import audio
from tools.emulators.openai.refusal import Refusal, invalid_value

_REASONING_MODELS = ("gpt-realtime-2",)


class SessionConfig:
    """The configuration in force; `view` is its wire object (shape: OpenAI's API description)."""

    def __init__(self, *, session_id: str, model: str, expires_at: int) -> None:
        pcm = {"type": "audio/pcm", "rate": 24000}
        self.view: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model,
            "output_modalities": ["audio"],
            "instructions": "You are a helpful, witty and friendly AI.",
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "tracing": None,
            "prompt": None,
            "truncation": "auto",
            "expires_at": expires_at,
            "include": None,
            "audio": {
                "input": {
                    "format": pcm,
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": _turn_detection({"type": "server_vad"}),
                },
                "output": {"format": dict(pcm), "voice": "marin", "speed": 1.0},
            },
        }

    def update(self, changes: dict[str, Any], *, has_spoken: bool) -> None:
        """Apply the `session` of a session.update; for what is frozen raise Refusal, unchanged."""
        self._refuse_frozen(changes, has_spoken=has_spoken)
        audio_in = changes.get("audio", {}).get("input", {})
        audio_out = changes.get("audio", {}).get("output", {})
        self.view.update({key: value for key, value in changes.items() if key != "audio"})
        self.view["audio"]["output"].update(audio_out)
        self.view["audio"]["input"].update(audio_in)
        if turns := audio_in.get("turn_detection"):
            self.view["audio"]["input"]["turn_detection"] = _turn_detection(turns)

    def _refuse_frozen(self, changes: dict[str, Any], *, has_spoken: bool) -> None:
        model = self.view["model"]
        if changes.get("model", model) != model:
            raise Refusal(
                "The model of a session cannot be changed.",
                code="cannot_update_model",
                param="session.model",
            )
        for key in ("reasoning", "parallel_tool_calls"):
            if key in changes and not model.startswith(_REASONING_MODELS):
                raise invalid_value(f"session.{key}", f"not supported by {model}")
        if self.view["tracing"] is not None and changes.get("tracing") not in (
            None,
            self.view["tracing"],
        ):
            raise invalid_value("session.tracing", "cannot be changed once tracing is on")
        voice = changes.get("audio", {}).get("output", {}).get("voice", self.voice)
        if has_spoken and voice != self.voice:
            raise Refusal(
                "Cannot update a conversation's voice if assistant audio is present.",
                code="cannot_update_voice",
                param="session.audio.output.voice",
            )

    @property
    def voice(self) -> Any:
        return self.view["audio"]["output"]["voice"]

    @property
    def input_format(self) -> audio.Format:
        return audio.FORMATS[self.view["audio"]["input"]["format"]["type"]]

    @property
    def output_format(self) -> audio.Format:
        return audio.FORMATS[self.view["audio"]["output"]["format"]["type"]]

    @property
    def turn_detection(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self.view["audio"]["input"]["turn_detection"]
        return found

    @property
    def transcribes(self) -> bool:
        return self.view["audio"]["input"]["transcription"] is not None


def _turn_detection(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return `wanted` with its kind's defaults (200 ms: as the service's session.created shows)."""
    shared = {"create_response": True, "interrupt_response": True}
    if wanted["type"] == "semantic_vad":
        return {**shared, "eagerness": "auto", **wanted}
    return {
        **shared,
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 200,
        "idle_timeout_ms": None,
        **wanted,
    }
