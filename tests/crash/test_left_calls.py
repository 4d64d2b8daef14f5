"""The server dies, and Twilio does not ask what follows: whoever comes next looks for the calls."""

import sys
import time
from pathlib import Path

import pytest

from tests.calls.world import talk_through
from tests.crash.caller import SORRY, converse, fields_saved, spoken_to_again
from tests.crash.world import CrashWorld, crash_world
from tests.leads.cast import until

DATABASES = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


@DATABASES
async def test_a_caller_who_waits_is_brought_back(database_url: str, tmp_path: Path) -> None:
    # Ten seconds: half a call's grace goes by until nobody cares for it any more.
    async with crash_world(database_url, tmp_path) as w:
        w.server.start()
        await w.server.ready()
        call = await fields_saved(w)
        w.twilio.faults.action_never = True
        w.server.kill()
        killed_at = time.monotonic()
        w.server.start()
        silence = await spoken_to_again(call) - killed_at
        w.twilio.faults.action_never = False
        await converse(call, w.scenario, answered=2)
        page = await w.finished(call)

    assert _told(w) == ["Url"]
    assert SORRY in [turn.text for turn in page.turns]
    assert page.conversation is not None and page.conversation.episode == 1
    assert page.succeeded is not None
    assert page.succeeded.lead_data == dict(w.scenario.expect.lead)
    assert len(w.npa.requests) == 1
    sys.stdout.write(f"brought back {silence:.1f} s after the kill\n")


@DATABASES
async def test_a_caller_who_was_said_goodbye_to_is_hung_up_on(
    database_url: str, tmp_path: Path
) -> None:
    async with crash_world(database_url, tmp_path) as w:
        w.server.start()
        await w.server.ready()
        w.twilio.faults.action_never = True
        call = await w.ring(w.scenario.caller)
        await talk_through(call, w.scenario)

        async def has_noted_the_end() -> bool:
            row = (await w.page(call)).conversation
            return row is not None and row.end_reason is not None

        await until(has_noted_the_end)
        w.server.kill()
        w.server.start()
        assert await call.ended() == "completed"
        page = await w.finished(call)

    assert _told(w) == ["Status"]
    assert len(call.streams) == 1
    assert page.succeeded is not None
    assert page.succeeded.lead_data == dict(w.scenario.expect.lead)
    assert len(w.npa.requests) == 1


def _told(w: CrashWorld) -> list[str]:
    """Return what was asked of Twilio over REST, without the questions."""
    return [request.fields[0][0] for request in w.twilio.rest_requests if request.method == "POST"]
