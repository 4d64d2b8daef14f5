"""What a call costs, by voice model. What we do not know is None, never a guess."""

from dataclasses import dataclass

from ivr.voice.usage import Usage

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    text_in: float
    text_out: float
    audio_in: float
    audio_out: float
    cached_text: float
    cached_audio: float


# OpenAI's model pages, read 2026-11-20
PRICES = {
    "gpt-realtime-2.1": Price(4.00, 24.00, 32.00, 64.00, 0.40, 0.40),
    "gpt-realtime-2": Price(4.00, 24.00, 32.00, 64.00, 0.40, 0.40),
    "gpt-realtime-1.5": Price(4.00, 16.00, 32.00, 64.00, 0.40, 0.40),
    "gpt-realtime-2.1-mini": Price(0.60, 2.40, 10.00, 20.00, 0.06, 0.30),
}


def cost_usd(model: str, usage: Usage) -> float | None:
    """Return what the model's responses cost, the transcription of the caller not included."""
    price = PRICES.get(model)
    if price is None:
        return None
    dollars = (
        (usage.text_in - usage.cached_text) * price.text_in
        + usage.cached_text * price.cached_text
        + (usage.audio_in - usage.cached_audio) * price.audio_in
        + usage.cached_audio * price.cached_audio
        + usage.text_out * price.text_out
        + usage.audio_out * price.audio_out
    )
    return round(dollars / _MILLION, 6)
