"""A synthetic caller with real audio: waits for the assistant to finish, then plays a clip.

It cannot understand speech, so it reads the assistant's words where the server writes them down;
the server hears nothing but the clips.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ivr.db.tables import Role, Turn
from tools.emulators.twilio.call import Call

_POLL_SECONDS = 0.05
_REACTION_MS = 400  # people take a moment; and the end of a sentence must not be taken for a pause


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller says (`ulaw`: mu-law, 8 kHz) to a question that `when` is found in."""

    when: re.Pattern[str]
    say: str
    ulaw: bytes


async def talk(
    call: Call, answers: Sequence[Answer], turns: Callable[[], Awaitable[Sequence[Turn]]]
) -> None:
    """Answer every question until the call is over."""
    heard = 0
    while not call.over:
        if not await _listen(call):
            return
        said = await _new_words(call, turns, heard)
        heard += len(said)
        answer = _answer_to(" ".join(said), answers)
        if answer is not None and not call.over:
            await _say(call, answer)


async def _listen(call: Call) -> bool:
    """Wait for the end of what the assistant says; False when the call is over."""
    try:
        await call.quiet(_REACTION_MS)
    except AssertionError:
        if call.over:
            return False
        raise
    return True


async def _new_words(
    call: Call, turns: Callable[[], Awaitable[Sequence[Turn]]], heard: int
) -> list[str]:
    while True:
        said = [turn.text for turn in await turns() if turn.role == Role.ASSISTANT]
        if len(said) > heard or call.over:
            return said[heard:]
        await asyncio.sleep(_POLL_SECONDS)


async def _say(call: Call, answer: Answer) -> None:
    try:
        await call.play(answer.ulaw)
    except AssertionError:
        if not call.over:
            raise


def _answer_to(said: str, answers: Sequence[Answer]) -> Answer | None:
    """Return the answer to the question asked last."""
    matches = [(match.end(), answer) for answer in answers for match in answer.when.finditer(said)]
    return max(matches, key=lambda found: found[0])[1] if matches else None
