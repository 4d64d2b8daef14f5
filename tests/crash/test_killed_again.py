"""The server dies while it takes a call up again, or while Twilio asks it what follows."""

import sys
import time
from pathlib import Path

import pytest
from sqlmodel import select

from ivr.db.tables import Conversation
from tests.crash.caller import SORRY, converse, fields_saved, spoken_to_again
from tests.crash.world import CrashWorld, crash_world
from tests.leads.cast import until
from tools.call_page import Page

DATABASES = pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)


def _right(w: CrashWorld, page: Page) -> None:
    """Check that it was one conversation, and that its lead is right."""
    assert page.conversation is not None and page.succeeded is not None
    assert page.conversation.episode == 1
    assert page.succeeded.lead_data == dict(w.scenario.expect.lead)
    assert len(w.npa.requests) == 1
    said = [turn.text for turn in page.turns]
    assert SORRY in said and said.count("John Doe") == 1, "it went on where it was"


@DATABASES
@pytest.mark.parametrize("spoken", [False, True])
async def test_a_second_kill_just_after_the_call_was_taken_up_again(
    database_url: str, spoken: bool, tmp_path: Path
) -> None:
    # Seconds: three starts of a process.
    async with crash_world(database_url, tmp_path) as w:
        w.server.start()
        await w.server.ready()
        call = await fields_saved(w)
        w.server.kill()
        w.server.start()
        await (spoken_to_again(call) if spoken else call.stream(2))
        w.server.kill()
        w.server.start()
        await converse(call, w.scenario, answered=2)
        page = await w.finished(call)

    _right(w, page)
    assert len(call.streams) == 3
    assert call.errors.count("31921") == 2, "two streams were lost, nothing else failed"
    assert call.sayings == [], "no other voice was needed"


@DATABASES
async def test_a_kill_while_it_is_asked_what_follows(database_url: str, tmp_path: Path) -> None:
    async with crash_world(database_url, tmp_path) as w:
        w.server.start()
        await w.server.ready()
        call = await fields_saved(w)
        known = w.server.connections()
        async with w.db.write() as session:  # which keeps the server from answering
            await session.exec(select(Conversation).with_for_update())
            await call.lose_stream()
            await until(lambda: bool(w.server.connections() - known))
            w.server.kill()
        killed_at = time.monotonic()
        w.server.start()
        silence = await spoken_to_again(call) - killed_at
        await converse(call, w.scenario, answered=2)
        page = await w.finished(call)

    _right(w, page)
    assert len(call.streams) == 2
    assert call.webhooks[1].tries == 2, "Twilio has asked once more"
    assert call.errors == ["31921"], call.story()
    sys.stdout.write(f"killed while answering: spoken to again after {silence:.1f} s\n")
