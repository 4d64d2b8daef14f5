"""A deploy in the middle of calls: the old server hands them over, the new one takes them up."""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.calls.world import talk_through
from tests.crash.books import Promises, find_faults, read_books
from tests.crash.caller import converse
from tests.crash.world import CrashWorld, crash_world
from tools.emulators.twilio.call import Call

CALLS = 20
DRAIN = {"DRAIN_SECONDS": "0.5", "MAX_NEW_CALLS_PER_SECOND": "1000"}
# Twilio's error 31921, of a stream: on a busy machine the process ends before the last handshake.
CLOSED_ABNORMALLY = "31921"
FEW = CALLS // 5


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
async def test_a_deploy_drops_no_call_and_spoils_no_lead(database_url: str, tmp_path: Path) -> None:
    # Half a minute: two starts of a process, and twenty calls on two busy cores.
    async with crash_world(database_url, tmp_path, environment=DRAIN) as w:
        w.server.start()
        await w.server.ready()
        calls = await _crowd(w)
        await asyncio.gather(*(talk_through(call, w.scenario, turns=2) for call in calls))
        talking = [asyncio.create_task(converse(call, w.scenario, answered=2)) for call in calls]
        waiting = [asyncio.create_task(_cut_off_for(call)) for call in calls]
        seconds = await w.server.terminate()
        w.server.start()
        await asyncio.gather(*talking)
        silences = await asyncio.gather(*waiting)
        pages = [await w.finished(call) for call in calls]
        faults = find_faults(w, await read_books(w.db), calls, Promises())
        assert not faults, "\n".join([*faults, w.server.last_words()])

    assert [call.status for call in calls] == ["completed"] * CALLS
    errors = [error for call in calls for error in call.errors]
    assert set(errors) <= {CLOSED_ABNORMALLY}, "Twilio always got an answer"
    assert len(errors) <= FEW, "streams are closed in order"
    for call, page in zip(calls, pages, strict=True):
        assert page.succeeded is not None
        assert page.succeeded.lead_data == w.lead_of(call)
        assert page.conversation is not None
        streams = (page.conversation.episode, page.conversation.streams)
        assert streams == (1, 2), f"{call.story()}\n{w.server.last_words()}"
    assert len(w.npa.requests) == CALLS
    sys.stdout.write(f"old server gone after {seconds:.1f} s; cut off: {max(silences):.1f} s\n")


async def _cut_off_for(call: Call) -> float:
    """Return the seconds between the end of the first stream and the first sound of the second."""
    patience = call.account.patience_s
    await call.facts.wait(lambda: not call.streams[0].is_open, patience)
    began = time.monotonic()
    await call.stream(2)
    heard = len(call.heard)
    await call.until(lambda: len(call.heard) > heard, "the new stream spoke")
    return time.monotonic() - began


async def _crowd(w: CrashWorld) -> Sequence[Call]:
    """Return calls of so many people, all being talked to."""
    numbers = [f"+1770555{n:04d}" for n in range(1000, 1000 + CALLS)]
    calls = await asyncio.gather(*(w.ring(number) for number in numbers))
    await asyncio.gather(*(call.stream() for call in calls))
    return calls
