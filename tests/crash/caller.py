"""A caller who does not mind crashes: talks to the model while there is one, then to who asks."""

import asyncio
import contextlib

from tests.calls.world import talk_through
from tools.emulators.twilio.call import Call
from tools.scenarios import Scenario

# What is asked without a model, by a word in the question; the last question comes last.
_ANSWERS = {
    "right?": "yes",
    "calling from": "yes",
    "model": "MT-07",
    "make": "Yamaha",
    "year": "2020",
    "phone number": "770 555 0123",
    "ZIP": "30093",
    "name": "John Doe",
}


async def converse(call: Call, scenario: Scenario, *, turns: int | None = None) -> None:
    """Talk until the call is over; after `turns` exchanges with the model the caller rings off."""
    talking = asyncio.create_task(_talk(call, scenario, turns))
    try:
        while not call.over:
            await call.facts.wait(lambda: call.over or call.question is not None, 120)
            if call.question is not None:
                talking.cancel()
                await call.answer(speech=_answer(_asked(call)))
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)


async def _talk(call: Call, scenario: Scenario, turns: int | None) -> None:
    with contextlib.suppress(AssertionError):  # the stream is gone, or the call is
        await talk_through(call, scenario, turns=turns)
        if turns is not None:
            await call.hang_up()


def _asked(call: Call) -> str:
    assert call.question is not None, "waited for"
    return " ".join(child.text for child in call.question.verb.children)


def _answer(asked: str) -> str:
    last = asked.rpartition(". ")[2] or asked
    return next(
        (given for word, given in _ANSWERS.items() if word in last),
        next((given for word, given in _ANSWERS.items() if word in asked), "yes"),
    )
