"""The switches with which a test makes the emulated service misbehave. Data only; others obey."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class Faults:
    """What goes wrong, to be changed at any moment; `speed` shortens its times, given in ms."""

    sessions: int | None = None  # only the first so many sessions misbehave; None = all

    # before the session
    refuse_upgrade: int | None = None  # HTTP status of the upgrade: 401, 403, 404, 429, 500, ...
    refuse_times: int | None = None  # so many upgrades are refused; None = all

    # the socket
    silent: bool = False  # accepts, reads, never says a word
    close_after_ms: int | None = None  # an orderly close so long after accepting
    close_code: int = 1000
    abort: Literal["now", "mid_response"] | int | None = (
        None  # TCP reset; a number = after so many events
    )
    delay_ms: int = 0  # before every event
    drop: set[str] = field(default_factory=set)  # event types that are never sent

    # what is said; garbage and unknown events come right before every response.created
    garbage: Literal["text", "truncated", "binary"] | None = None
    unknown_event: bool = False
    extra_fields: bool = False  # fields of a newer API version, at every level
    session_expired: int | None = None  # so long after accepting: the error, then a close

    # responses
    huge_delta: bool = False  # at least 30 s of speech in one delta
    tiny_deltas: bool = False  # 37 bytes a delta: cuts across the 20 ms blocks
    late_delta_after_speech: bool = False  # one more delta after speech_started
    preamble: bool = False  # reasoning models: a short message item of its own before the answer
    no_usage_when_cancelled: bool = False
    response_fails: str | None = None  # every response ends "failed" with this code

    # transcription of the caller
    no_transcription: bool = False
    transcription_failed: bool = False
    transcription_late: bool = False  # only after the response that answers is done
    transcription_out_of_order: bool = False  # pairwise swapped; see transcription.py

    # REST
    rest_status: int | None = None  # answer every request with this status
    rest_hangs: bool = False  # read the request, never answer
    rest_times: int | None = None  # so many requests suffer; None = all


@dataclass
class FaultCounter:
    """Remembers how often a fault that has a `times` was used up."""

    upgrades: int = 0
    rest: int = 0

    def refuses_upgrade(self, faults: Faults) -> int | None:
        """Return the status with which to refuse this upgrade, or None."""
        if faults.refuse_upgrade is None or _spent(self.upgrades, faults.refuse_times):
            return None
        self.upgrades += 1
        return faults.refuse_upgrade

    def spoils_rest(self, faults: Faults) -> bool:
        """Return whether this REST request suffers from `rest_status` or `rest_hangs`."""
        if faults.rest_status is None and not faults.rest_hangs:
            return False
        if _spent(self.rest, faults.rest_times):
            return False
        self.rest += 1
        return True


def _spent(used: int, times: int | None) -> bool:
    return times is not None and used >= times
