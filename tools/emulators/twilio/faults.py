"""The switches that make this Twilio misbehave; read when the moment comes, never copied."""

from dataclasses import dataclass
from typing import Literal

from tools.emulators.twilio.signing import SignatureFaults


@dataclass
class Faults(SignatureFaults):
    """Everything that can go wrong on Twilio's side; all off at first, changeable at run time."""

    # webhooks
    duplicate_webhook: Literal[False, "after", "together"] = False  # same idempotency token
    status_before_close: bool = False
    status_twice: bool = False
    status_never: bool = False
    # the stream
    replay_token: bool = False  # a second stream with the token of the first, while it lives
    second_start: bool = False
    oversized_frame: bool = False  # one media message over 64 KiB
    binary_frame: bool = False
    unknown_event: bool = False
    extra_fields: bool = False  # keys nobody has documented, in every message
    stuck_reader: bool = False  # never reads what the server sends
    marks_never: bool = False
    mark_delay_ms: float = 0.0  # stream time
    stop_without_close: bool = False
    close_without_stop: bool = False
    action_never: bool = False  # after the stream the call stays open, and nobody asks for more
    frames_stop: bool = False  # the connection is dead, and nobody says so
    # a <Dial>
    callee_gone: bool = False  # who picked up is gone before they are connected
    # REST
    rest_status: int | None = None  # answered instead of doing what is asked
    rest_times: int | None = None  # how often; None: until it is switched off
    rest_retry_after_s: int | None = None  # goes with a failure

    def take_rest_status(self) -> int | None:
        """Return the status to fail the present REST request with, and count it."""
        if self.rest_status is None or self.rest_times == 0:
            return None
        if self.rest_times is not None:
            self.rest_times -= 1
        return self.rest_status
