"""What tests of transfers share: who may be rung, and what was written down of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from ivr.db.tables import Conversation, Escalation, Message, Purpose, utc_now
from ivr.voice.reception import Reception
from tests.calls.test_resumed_call import SCENARIO
from tests.calls.world import PUBLIC, World
from tests.leads.cast import rows
from tools.emulators.twilio import Call
from tools.scenarios import Call as Function
from tools.scenarios import Scenario

PERSON, DESK = "+18005550100", "+18005550111"
WISH = Function("transfer_to_person", {"reason": "wants to talk to a person"})
ASKS = "I want to speak to a real person"
NOBODY_FREE = "Sorry, nobody is free right now. Someone will call you back."
NOBODY_THERE = "Sorry, nobody can take your call right now. We will call you back. Goodbye."
KEYED = (
    ("first and last name", "John Doe"),
    ("ZIP code", "30093#"),
    ("number you are calling from", "yes"),
    ("year", "2020"),
    ("make", "Yamaha"),
    ("model", "MT-07"),
)


def edit(profile_path: str, before: str, after: str) -> None:
    path = Path(profile_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(before, after, 1), encoding="utf-8")


def wishing(scenario: Scenario, *, times: int = 1) -> Scenario:
    """Return the scenario with a wish for a person after its second answer."""
    told = list(scenario.turns)
    told[2] = replace(
        told[2], assistant="I will put you through.", caller="", then_calls=(WISH,) * times
    )
    return replace(scenario, turns=tuple(told))


def coming_back() -> Scenario:
    """Return a conversation that goes on, with the next answer, after the wish for a person."""
    told = SCENARIO.turns
    wish = replace(told[2], assistant="I will put you through.", then_calls=(WISH,))
    return replace(SCENARIO, turns=(*told[:2], wish, *told[3:]))


async def escalations(w: World) -> Sequence[Escalation]:
    async with w.db.read() as session:
        query = select(Escalation).order_by(col(Escalation.created_at))
        return (await session.exec(query)).all()


async def texts_to_staff(w: World) -> list[str]:
    messages: list[Message] = await rows(w.db, Message)
    return [message.body for message in messages if message.purpose == Purpose.STAFF]


async def rings(call: Call) -> None:
    await call.until(lambda: "dial" in [entry.what for entry in call.log], "the person rang")


def broken_once(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return what fails the first time, as if the database had been away, and then does `work`."""
    failures = [True]

    async def first_fails(*args: Any, **facts: Any) -> Any:
        if failures:
            failures.pop()
            raise ZeroDivisionError
        return await work(*args, **facts)

    return first_fails


def noting_the_wait(
    step: Callable[..., Awaitable[str]], waits: dict[str, bool]
) -> Callable[..., Awaitable[str]]:
    """Return a step that notes, before it is done, whether nobody may finish the conversation."""

    async def noted(self: Reception, *args: Any) -> str:
        (conversation,) = await rows(self.state["db"], Conversation)
        assert conversation.finish_after is not None
        waits[step.__name__] = conversation.finish_after > utc_now()
        return await step(self, *args)

    return noted


async def press_key(w: World, call: Call) -> None:
    """Have Twilio say that whoever picked up for the caller has pressed the key."""
    (conversation,) = await rows(w.db, Conversation)
    url = f"{PUBLIC}/twilio/voice/whisper?conversation={conversation.id}&key=1"
    fields = {"CallSid": "CA" + "1" * 32, "ParentCallSid": call.sid, "Digits": "1"}
    await w.twilio.account.webhooks.send(url, fields)


def dialled(call: Call) -> list[str]:
    return [entry.detail for entry in call.log if entry.what == "dial"]


async def is_over(w: World) -> bool:
    return all(row.resolved_at is not None for row in await escalations(w))
