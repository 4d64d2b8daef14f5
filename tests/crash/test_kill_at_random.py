"""`kill -9` at random moments of calls and of the road: no lead lost, none submitted twice."""

import asyncio
import dataclasses
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import col

from ivr.db.tables import Conversation, ConversationStatus, utc_now
from ivr.voice.gather import PATIENCE
from tests.crash.books import UNDER_WAY, Promises, find_faults, read_books
from tests.crash.caller import converse
from tests.crash.world import PATIENCE_SECONDS, CrashWorld, crash_world
from tests.leads.cast import until
from tools.emulators.npa import NpaFaults
from tools.emulators.openai.faults import Faults
from tools.emulators.twilio.call import Call

MANY = 10  # kills
LONGEST_LIFE_SECONDS = 3.0
WRITE_BEHIND_SECONDS = 1.0  # promised are 250 ms; here calls run 20 times faster on busy cores
IMPATIENT = {"NPA_TIMEOUT_SECONDS": "2", "EXTRACTION_TIMEOUT_SECONDS": "2"}
BUYERS = (
    NpaFaults(),
    NpaFaults(slow_s=0.5),
    NpaFaults(timeout_before=True, times=1),
    NpaFaults(timeout_after=True, times=1),
)


@dataclass(slots=True)
class Crowd:
    """Everybody who calls, until the last one has rung off."""

    world: CrashWorld
    chance: random.Random
    calls: list[Call] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def comes(self) -> None:
        """Have up to three people call."""
        for _ in range(self.chance.randint(1, 3)):
            number = self._number()
            turns = self.chance.choice((None, None, 1, 1, 4, 7))
            delay = self.chance.uniform(0, 1)
            self.tasks.append(asyncio.create_task(self._one(number, turns, delay)))

    async def gone(self) -> None:
        """Wait until nobody is on the line."""
        await asyncio.gather(*self.tasks)

    async def _one(self, number: str, turns: int | None, delay: float) -> None:
        await asyncio.sleep(delay)
        call = await self.world.ring(number, wait=False)
        self.calls.append(call)
        await converse(call, self.world.scenario, turns=turns)

    def _number(self) -> str:
        """Return somebody's number; who was cut off calls again."""
        if self.calls and self.chance.random() < 0.2:
            return self.chance.choice(self.calls).from_
        return f"+1770555{len(self.tasks):04d}"


@pytest.mark.parametrize(
    ("database_url", "seed", "kills"),
    [("sqlite", 1, MANY), ("sqlite", 2, MANY), ("postgresql", 3, 3)],
    indirect=["database_url"],
)
async def test_no_lead_is_lost_and_none_sent_twice(
    database_url: str, seed: int, kills: int, tmp_path: Path
) -> None:
    # Seconds, for every life needs a process; what runs between the kills is different each time.
    chance, told = random.Random(seed), Promises()
    async with crash_world(database_url, tmp_path, environment=IMPATIENT) as w:
        crowd = Crowd(w, chance)
        for _ in range(kills):
            await _one_life(w, crowd, told)
        w.npa.faults, w.openai.faults = NpaFaults(), Faults()
        w.server.start()
        await crowd.gone()
        await _let_time_pass(w)
        await until(lambda: _is_done(w), seconds=PATIENCE_SECONDS)
        faults = find_faults(w, await read_books(w.db), crowd.calls, told)
        assert not faults, "\n".join([f"seed {seed}", *faults, w.server.last_words()])
        # Of three lives it can happen that none had a turn a second old; a saved field will do.
        promised = told.turns or (kills < MANY and told.saved)
        assert promised, f"seed {seed}: nobody said anything before a kill"


async def _one_life(w: CrashWorld, crowd: Crowd, told: Promises) -> None:
    chance = crowd.chance
    w.npa.faults = dataclasses.replace(chance.choice(BUYERS))
    w.openai.faults = Faults(rest_hangs=chance.random() < 0.3, rest_times=1)
    w.server.start()
    crowd.comes()
    if chance.random() < 0.8:  # else it may die while it starts
        await w.server.ready()
    life = chance.uniform(0.1, LONGEST_LIFE_SECONDS)
    if life > WRITE_BEHIND_SECONDS:
        await asyncio.sleep(life - WRITE_BEHIND_SECONDS)
        told.note_turns(w)
        life = WRITE_BEHIND_SECONDS
    await asyncio.sleep(life)
    w.server.kill()
    told.note_saved(w)


async def _let_time_pass(w: CrashWorld) -> None:
    """Spare the test the minute and a half that a silent caller has without a model."""
    now = utc_now()
    async with w.db.write() as session:
        waiting = (
            col(Conversation.status) == ConversationStatus.OPEN,
            col(Conversation.finish_after) > now,
            col(Conversation.finish_after) <= now + PATIENCE,
        )
        await session.exec(update(Conversation).where(*waiting).values(finish_after=now))


async def _is_done(w: CrashWorld) -> bool:
    books = await read_books(w.db)
    return all(
        conversation.status == ConversationStatus.FINISHED for conversation in books.conversations
    ) and not any(submission.state in UNDER_WAY for submission in books.submissions)
