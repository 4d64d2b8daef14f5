"""Usage as the service bills it (OpenAI realtime-costs guide): estimates that add up. No I/O."""

from collections.abc import Iterable
from typing import Any

from tools.emulators.openai.conversation import Item

_MS_PER_CALLER_TOKEN = 100
_MS_PER_ASSISTANT_TOKEN = 50
_CHARACTERS_PER_TOKEN = 4


def text_tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def response_usage(
    instructions: str, context: Iterable[Item], output: Iterable[Item], cached: int
) -> dict[str, Any]:
    """Return a response's `usage`; `cached` text tokens were input of the previous one already."""
    text_in, audio_in = text_tokens(instructions), 0
    for item in context:
        text_in += _item_text(item)
        audio_in += round(item.audio_ms / _rate(item))
    text_out = audio_out = 0
    for item in output:
        text_out += _item_text(item)
        audio_out += round(item.audio_ms / _MS_PER_ASSISTANT_TOKEN)
    cached = min(cached, text_in)
    return {
        "total_tokens": text_in + audio_in + text_out + audio_out,
        "input_tokens": text_in + audio_in,
        "output_tokens": text_out + audio_out,
        "input_token_details": {
            "text_tokens": text_in,
            "audio_tokens": audio_in,
            "image_tokens": 0,
            "cached_tokens": cached,
            "cached_tokens_details": {"text_tokens": cached, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out},
    }


def transcription_usage(text: str, audio_ms: float) -> dict[str, Any]:
    """Return the `usage` of a completed transcription."""
    audio, out = round(audio_ms / _MS_PER_CALLER_TOKEN), text_tokens(text)
    return {
        "type": "tokens",
        "total_tokens": audio + out,
        "input_tokens": audio,
        "output_tokens": out,
        "input_token_details": {"audio_tokens": audio, "text_tokens": 0},
    }


def _rate(item: Item) -> int:
    return _MS_PER_CALLER_TOKEN if item.view.get("role") == "user" else _MS_PER_ASSISTANT_TOKEN


def _item_text(item: Item) -> int:
    parts = item.view.get("content", [])
    words = [part.get("text") or part.get("transcript") or "" for part in parts]
    extra = (item.view.get("arguments", ""), item.view.get("output", ""))
    return sum(text_tokens(text) for text in (*words, *extra))
