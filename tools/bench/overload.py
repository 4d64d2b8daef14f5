"""Three times as many callers as there are places: who talks is not disturbed, nobody is lost."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from .figures import Spread
from .loop import clock
from .phone import Phone
from .run import Plan, Result, Window, quiet_memory, ramp, run_window, started, warm_up
from .world import World

TIMES = 3
LEAD_S = 30.0
_SHORT_S = 20.0


@dataclass(frozen=True, slots=True)
class Overload:
    """What the calls inside felt, and what became of the callers outside."""

    inside: Result
    rang: int
    refused: int
    answered: int  # refused callers who were asked for their name instead
    answers: Spread
    written_down: int  # of the refused: calls with a lead in the database
    delivered: int  # and leads of theirs at the buyer


def measure_overload(plan: Plan) -> Overload:
    """Fill the server to its cap, then let three times the cap ring at once."""
    world = World(seed=plan.seed, length_s=plan.length_s)
    with started(world, MAX_CONCURRENT_CALLS=str(plan.calls)) as server, quiet_memory():
        warm_up(world)
        base_kib = server.rss_kib
        ramp(world, plan.calls)
        window = Window(world, server)
        rush(world, plan.calls * TIMES)
        run_window(world, plan.seconds)
        window.close()
        world.stop_filling()
        world.loop.run_until(clock() + LEAD_S, lambda: world.figures.undelivered == 0)
        result = replace(window.result(plan, base_kib), name="overload")
        return _outcome(world, result, plan.calls * TIMES, server.folder)


def rush(world: World, callers: int) -> None:
    """Let so many call in the first second of the window."""
    for number in range(callers):
        at = clock() + 0.05 + number / callers
        world.loop.at(at, lambda: world.ring(_SHORT_S))


def _outcome(world: World, inside: Result, rang: int, folder: Path) -> Overload:
    figures, outside = world.figures, world.refusals
    return Overload(
        inside=inside,
        rang=rang,
        refused=figures.refused,
        answered=len(outside),
        answers=Spread.of(figures.refusal),
        written_down=_written_down(folder / "nps_ivr.db", outside),
        delivered=sum(phone.caller in figures.delivered for phone in outside),
    )


def _written_down(path: Path, phones: Iterable[Phone]) -> int:
    """Return how many of these calls have a lead in the database."""
    query = (
        "SELECT count(*) FROM conversation_sessions c JOIN leads l ON l.id = c.lead_id "
        "WHERE c.session_key = ?"
    )
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return sum(database.execute(query, (phone.call_sid,)).fetchone()[0] for phone in phones)
