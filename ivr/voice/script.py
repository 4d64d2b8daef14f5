"""What a call is about, and how long things may take in it: plain values from the outside."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Script:
    """`history` is what was said before a call was resumed, oldest first, as (role, text)."""

    session: Mapping[str, Any]  # as `realtime.session` makes it
    greeting: str
    closing: str
    is_goodbye: Callable[[str], bool]  # whether a finished text of the assistant ends the call
    history: tuple[tuple[str, str], ...] = ()
    apology: str = ""  # said first, instead of the greeting, by a stream that takes a call up again

    @property
    def replay(self) -> list[tuple[str, str, str]]:
        """The history with an id for each item, by which it is known when the service names it."""
        return [(f"before_{n}", role, text) for n, (role, text) in enumerate(self.history)]

    @property
    def opening(self) -> str:
        """Instructions for the first thing that the caller hears."""
        if self.apology:
            return _say(self.apology)
        return RESUME if self.history else _say(self.greeting)

    @property
    def farewell(self) -> str:
        """Instructions for the last one."""
        return _say(self.closing)


RESUME = (
    "The line was interrupted for a moment. Say sorry in a few words, then go on where you stopped."
)
GO_ON = (
    "The line broke off while you were speaking; the caller has heard your last words as they "
    "stand here. Go on where you stopped and do not repeat them."
)
NUDGE = (
    "The caller has said nothing for a while. Ask in one short sentence whether they are still "
    "there, then repeat your last question."
)
HANDOVER = "Tell the caller in one short sentence that you are connecting them to a person now."


def _say(words: str) -> str:
    return f"Say exactly this, in the same language, and nothing else:\n{words}"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, where the name does not say otherwise."""

    call_s: float = 900.0
    ready_s: float = 8.0  # from the start of the stream to a configured session
    answer_s: float = 10.0  # without a sound while a response is due
    silence_s: float = 8.0  # from the end of playback
    nudges: int = 2
    keys_s: float = 2.0
    monologue_s: float = 60.0
    mark_grace_s: float = 1.5
    final_s: float = 30.0  # for the goodbye at the length cap
    last_words_s: float = 1.5
    held_frames: int = 1_000  # caller audio kept for a model that is not ready: 20 s
    session_s: float = 3_300.0  # of the 3,600 after which the service closes a session
    rotation_grace_s: float = 240.0  # for a pause in which to replace it
    rotation_retry_s: float = 30.0
    forgiven_s: float = 60.0  # between two losses of a session; a second one before is too much
