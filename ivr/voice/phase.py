"""The phases of a call and the legal moves between them. A hang-up is legal in every one."""

from collections.abc import Mapping
from enum import StrEnum


class Phase(StrEnum):
    RINGING = "ringing"  # the model is not ready
    GREETING = "greeting"
    LISTENING = "listening"  # nothing of ours is left to be heard
    SPEAKING = "speaking"
    CLOSING = "closing"  # goodbye is decided; the call ends when it was heard
    ENDED = "ended"


MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.RINGING: frozenset({Phase.GREETING, Phase.ENDED}),
    Phase.GREETING: frozenset({Phase.LISTENING, Phase.CLOSING, Phase.ENDED}),
    Phase.LISTENING: frozenset({Phase.SPEAKING, Phase.CLOSING, Phase.ENDED}),
    Phase.SPEAKING: frozenset({Phase.LISTENING, Phase.CLOSING, Phase.ENDED}),
    Phase.CLOSING: frozenset({Phase.LISTENING, Phase.ENDED}),
    Phase.ENDED: frozenset(),
}
