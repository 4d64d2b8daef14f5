"""Adds up what a call's model costs, in tokens by kind. Knows no prices."""

from dataclasses import dataclass

from . import realtime


@dataclass(slots=True)
class Usage:
    """Tokens in and out; the cached ones are part of those that went in.

    `unsorted` are those of which the service did not say whether they are text or audio.
    """

    text_in: int = 0
    audio_in: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    text_out: int = 0
    audio_out: int = 0
    unsorted_in: int = 0
    unsorted_cached: int = 0
    unsorted_out: int = 0
    transcribed_audio: int = 0
    transcribed_text: int = 0
    transcribed_out: int = 0
    transcribed_seconds: float = 0.0

    def receive(self, event: realtime.Event) -> None:
        """Take what an event says about its cost; the service may leave it out."""
        match event:
            case realtime.ResponseEnded(
                response=realtime.Response(usage=realtime.Usage() as usage)
            ):
                self._add_response(usage)
            case realtime.CallerTranscribed(usage=realtime.Usage() as usage):
                self._add_transcription(usage)

    def _add_transcription(self, usage: realtime.Usage) -> None:
        given = usage.input_token_details or realtime.InputTokenDetails()
        self.transcribed_audio += usage.input_tokens - given.text_tokens
        self.transcribed_text += given.text_tokens
        self.transcribed_out += usage.output_tokens
        self.transcribed_seconds += usage.seconds

    def _add_response(self, usage: realtime.Usage) -> None:
        given = usage.input_token_details or realtime.InputTokenDetails()
        cached = given.cached_tokens_details or realtime.TokenDetails()
        made = usage.output_token_details or realtime.TokenDetails()
        self.text_in += given.text_tokens
        self.audio_in += given.audio_tokens
        self.cached_text += cached.text_tokens
        self.cached_audio += cached.audio_tokens
        self.text_out += made.text_tokens
        self.audio_out += made.audio_tokens
        self.unsorted_in += _rest(usage.input_tokens, given)
        self.unsorted_cached += _rest(given.cached_tokens, cached)
        self.unsorted_out += _rest(usage.output_tokens, made)


def _rest(total: int, told: realtime.TokenDetails) -> int:
    return max(total - told.text_tokens - told.audio_tokens, 0)
