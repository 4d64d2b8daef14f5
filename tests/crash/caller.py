"""A caller who does not mind crashes: talks to the model while there is one, then to who asks."""

import asyncio
import contextlib
import time

from tests.calls.world import talk_through, words
from tests.crash.world import CrashWorld
from tools.emulators.twilio.call import Call
from tools.scenarios import Scenario
from tools.scenarios.retold import in_groups

# Who has told everything waits so long (of the call's time) for a goodbye to end the call.
_SURE_MS = 10_000.0

# What `fields_saved` is told first in its next stream.
SORRY = "Sorry, we were cut off. You were giving me the phone number."

_OWN_NUMBER = "their own number"
# What is asked without a model, by a word in the question; the last question comes last.
_ANSWERS = {
    "right?": "yes",
    "calling from": "yes",
    "model": "MT-07",
    "make": "Yamaha",
    "year": "2020",
    "phone number": _OWN_NUMBER,
    "ZIP": "30093",
    "name": "John Doe",
}


async def converse(
    call: Call, scenario: Scenario, *, answered: int = 0, turns: int | None = None
) -> None:
    """Talk until the call is over; `answered` questions were answered before.

    After `turns` exchanges with the model the caller rings off.
    """
    talking = asyncio.create_task(_talk(call, scenario, answered, turns))
    try:
        while not call.over:
            await call.facts.wait(lambda: call.over or call.question is not None, 120)
            if call.question is not None:
                talking.cancel()
                await call.answer(speech=_answer(call))
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


async def fields_saved(w: CrashWorld) -> Call:
    """Return a call with two fields saved and the third question being asked."""
    session = len(w.openai.sessions)
    call = await w.ring(w.scenario.caller)
    await talk_through(call, w.scenario, turns=2)
    await (await w.openai.session(session)).sent_event(
        "response.output_audio_transcript.done", within=20, nth=2
    )
    return call


async def spoken_to_again(call: Call, stream: int = 2) -> float:
    """Return when that stream, one that takes the call up again, is first heard."""
    await call.stream(stream)
    heard = len(call.heard)
    await call.until(lambda: len(call.heard) > heard, "the new stream spoke")
    return time.monotonic()


async def _talk(call: Call, scenario: Scenario, said: int, turns: int | None) -> None:
    """Answer what is asked, in whatever stream, and once more if the answer was cut off."""
    answers = [turn.caller for turn in scenario.turns if turn.caller]
    while not call.over and (turns is None or said < turns):
        with contextlib.suppress(AssertionError):  # the stream is gone, or the call is
            if said < len(answers):
                await call.quiet()
            else:
                await call.quiet(_SURE_MS)
            await call.play(words(answers[min(said, len(answers) - 1)]))
            said += 1
    if turns is not None:
        await call.hang_up()


def _asked(call: Call) -> str:
    assert call.question is not None, "waited for"
    return " ".join(child.text for child in call.question.verb.children)


def _answer(call: Call) -> str:
    asked = _asked(call)
    last = asked.rpartition(". ")[2] or asked
    answer = next(
        (given for word, given in _ANSWERS.items() if word in last),
        next((given for word, given in _ANSWERS.items() if word in asked), "yes"),
    )
    return in_groups(call.from_) if answer == _OWN_NUMBER else answer
