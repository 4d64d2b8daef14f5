"""What a phone call took: models while its stream was open, and minutes on the line. Reads only."""

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from ivr.costs import numbers
from ivr.costs.prices import OWN, Amount
from ivr.costs.usage import Kind, Used
from ivr.db.tables import Conversation
from ivr.runtime import VoiceModel
from ivr.voice.commands import EndReason
from ivr.voice.usage import Usage

COMPLETED = "completed"
DURATION = "CallDuration"  # Twilio, voice: a call's status callback
GATHERS = "gathers"  # in a conversation's state


def of_media(conversation: Conversation, seconds: float) -> Used:
    """Return what Twilio charges for carrying one stream of a call to us: begun minutes."""
    whole = max(math.ceil(seconds), 1)
    return Used(
        kind=Kind.TELEPHONY,
        purpose="stream",
        provider="twilio",
        model="media-stream",
        quantities={"stream_seconds": whole, "stream_minutes": -(-whole // 60)},
        key=f"stream:{conversation.id}:{conversation.streams}",
    )


def of_gathers(conversation: Conversation) -> Used:
    """Return how often Twilio listened to speech for us; how long each time, it does not tell."""
    return Used(
        kind=Kind.TELEPHONY,
        purpose="listening",
        provider="twilio",
        model="speech-gather",
        quantities={"gathers": gather_count(conversation)},
        key=f"gathers:{conversation.id}",
    )


def gather_count(conversation: Conversation) -> int:
    """Return how often a caller was listened to in the dialogue without a model."""
    return int(conversation.state.get(GATHERS, 0))


def of_stream(
    conversation: Conversation, voice: VoiceModel, usage: Usage, *, transcribe_model: str
) -> list[Used]:
    """Return what the models took in one stream of a call."""
    stream = f"{conversation.id}:{conversation.streams}"
    provider = OWN if voice.is_offline else "openai"
    listener = voice.model if voice.is_offline else transcribe_model
    spoken = partial(
        Used, kind=Kind.REALTIME, purpose="voice", provider=provider, model=voice.model
    )
    return [
        spoken(quantities=_spoken(usage), key=f"voice:{stream}"),
        # A row of its own: what has a price keeps it.
        spoken(quantities=_unsorted(usage), key=f"unsorted:{stream}"),
        Used(
            kind=Kind.TRANSCRIPTION,
            purpose="transcript",
            provider=provider,
            model=listener,
            quantities=_transcribed(usage),
            key=f"transcript:{stream}",
        ),
    ]


def of_call(
    conversation: Conversation, form: Mapping[str, str], *, now: datetime, longest: timedelta
) -> Used:
    """Return the minutes of a call that is over: by Twilio's word in `form`, else by our clock.

    By ours it was no longer than `longest`: we may have been away when it ended.
    """
    lasted = min(_over_at(conversation, now) - conversation.started_at, longest)
    ours = max(lasted.total_seconds(), 0)
    if form.get("CallStatus", COMPLETED) != COMPLETED:  # nobody answered it
        ours = 0
    return Used(
        kind=Kind.TELEPHONY,
        purpose="call",
        provider="twilio",
        model=numbers.voice_model("in", conversation.to_number),
        quantities=_on_the_line(form.get(DURATION), otherwise=ours),
        key=f"call:{conversation.id}",
    )


def _over_at(conversation: Conversation, now: datetime) -> datetime:
    """Return when we know the call to be over; who is put through talks on when we have ended."""
    is_ours = conversation.end_reason != EndReason.TRANSFER
    return (conversation.ended_at or now) if is_ours else now


def is_told(form: Mapping[str, str]) -> bool:
    """Whether Twilio says how long a call took."""
    return form.get(DURATION, "").isdecimal()


def of_transfer(conversation: Conversation, form: Mapping[str, str], number: str | None) -> Used:
    """Return the minutes on the line to the person at `number` whom the caller was put through to.

    Twilio: twiml/dial, DialCallDuration.
    """
    return Used(
        kind=Kind.TELEPHONY,
        purpose="transfer",
        provider="twilio",
        model=numbers.voice_model("out", number),
        quantities=_on_the_line(form.get("DialCallDuration"), otherwise=0),
        key=f"transfer:{conversation.id}:{form.get('DialCallSid', '')}",
    )


def _on_the_line(told: str | None, *, otherwise: float) -> dict[str, Amount]:
    """Return seconds, and minutes as they are billed: a begun one is a whole one."""
    seconds = int(told) if told and told.isdecimal() else round(otherwise)
    return {"seconds": seconds, "minutes": -(-seconds // 60)}


def _spoken(usage: Usage) -> dict[str, Amount]:
    text, audio, _ = _fresh(usage)
    return {
        "text_in_tokens": text,
        "cached_text_in_tokens": usage.cached_text,
        "audio_in_tokens": audio,
        "cached_audio_in_tokens": usage.cached_audio,
        "text_out_tokens": usage.text_out,
        "audio_out_tokens": usage.audio_out,
    }


def _unsorted(usage: Usage) -> dict[str, Amount]:
    """Return what may be text or audio: under names that have no price."""
    *_, unsorted = _fresh(usage)
    return {
        "in_tokens": unsorted,
        "cached_in_tokens": usage.unsorted_cached,
        "out_tokens": usage.unsorted_out,
    }


def _fresh(usage: Usage) -> tuple[int, int, int]:
    """Return the tokens in that no cache held: of text, of audio, unsorted.

    Cached ones that are unsorted are taken from the unsorted, then from the text: a cache holds the
    beginning of a request, which is our instructions.
    """
    cached = usage.unsorted_cached
    unsorted, cached = _less(usage.unsorted_in, cached)
    text, cached = _less(usage.text_in - usage.cached_text, cached)
    audio, _ = _less(usage.audio_in - usage.cached_audio, cached)
    return text, audio, unsorted


def _less(count: int, taken: int) -> tuple[int, int]:
    """Return a count without what is taken from it, and what is still to be taken elsewhere."""
    return max(count - taken, 0), max(taken - count, 0)


def _transcribed(usage: Usage) -> dict[str, Amount]:
    return {
        "audio_in_tokens": usage.transcribed_audio,
        "text_in_tokens": usage.transcribed_text,
        "text_out_tokens": usage.transcribed_out,
        "seconds": usage.transcribed_seconds,
    }
