"""The real process is told to leave while people talk to it."""

import asyncio
import signal
import time
from pathlib import Path

import httpx

from tests.calls.world import talk_through
from tests.crash.caller import converse
from tests.crash.world import CrashWorld, crash_world
from tests.leads.cast import until
from tools.emulators.twilio.call import Call

FOR_EVER = {"DRAIN_SECONDS": "3600"}
CALLS = 3


async def _talking(w: CrashWorld) -> list[Call]:
    """Return calls that are under way: two fields are saved, the third question is being asked."""
    calls = [await w.ring(f"+1770555013{number}") for number in range(CALLS)]
    await asyncio.gather(*(talk_through(call, w.scenario, turns=2) for call in calls))
    for number in range(CALLS):
        done = "response.output_audio_transcript.done"
        await (await w.openai.session(number)).sent_event(done, within=20, nth=2)
    return calls


async def _health(w: CrashWorld, door: str) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return (await http.get(f"{w.server.url}{door}")).status_code


async def _tell_to_leave(w: CrashWorld) -> None:
    """Send the first signal, and wait until the server says that it is leaving."""
    w.server.tell(signal.SIGTERM)

    async def is_leaving() -> bool:
        return await _health(w, "/health/ready") == 503

    await until(is_leaving)


async def _leads(w: CrashWorld, calls: list[Call]) -> list[object]:
    pages = [await w.finished(call) for call in calls]
    return [page.succeeded and page.succeeded.lead_data["zip_code"] for page in pages]


async def _reasons(w: CrashWorld, calls: list[Call]) -> list[str | None]:
    pages = [await w.page(call) for call in calls]
    assert all(page.conversation and not page.conversation.streaming for page in pages)
    return [page.conversation and page.conversation.end_reason for page in pages]


async def test_calls_end_by_themselves_while_the_server_leaves(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with crash_world(sqlite_url, tmp_path, environment=FOR_EVER) as w:
        w.server.start()
        await w.server.ready()
        calls = await _talking(w)
        await _tell_to_leave(w)
        assert await _health(w, "/health/live") == 200
        late = await w.ring("+17705550199")
        assert await late.said("One moment, please.")
        for call in calls:
            await call.hang_up()
        await w.server.gone()
        reasons = await _reasons(w, calls)
        w.server.start()
        await converse(late, w.scenario)
        leads = await _leads(w, [*calls, late])
    assert reasons == ["caller_hung_up"] * CALLS
    assert leads == ["30093"] * (CALLS + 1)
    assert len(w.npa.requests) == CALLS + 1


async def test_at_the_deadline_no_call_is_dropped(sqlite_url: str, tmp_path: Path) -> None:
    async with crash_world(sqlite_url, tmp_path, environment={"DRAIN_SECONDS": "0.2"}) as w:
        w.server.start()
        await w.server.ready()
        calls = await _talking(w)
        await w.server.terminate()
        reasons = await _reasons(w, calls)
        dropped = [call.sid for call in calls if call.over]
        w.server.start()
        await asyncio.gather(*(converse(call, w.scenario) for call in calls))
        leads = await _leads(w, calls)
    assert reasons == ["server_stopped"] * CALLS
    assert dropped == []
    assert leads == ["30093"] * CALLS
    assert len(w.npa.requests) == CALLS


async def test_told_again_the_server_leaves_at_once_and_in_order(
    sqlite_url: str, tmp_path: Path
) -> None:
    async with crash_world(sqlite_url, tmp_path, environment=FOR_EVER) as w:
        w.server.start()
        await w.server.ready()
        calls = await _talking(w)
        await _tell_to_leave(w)
        began = time.monotonic()
        w.server.tell(signal.SIGINT)
        await w.server.gone()
        seconds = time.monotonic() - began
        reasons = await _reasons(w, calls)
        for call in calls:
            await call.hang_up()
        w.server.start()
        leads = await _leads(w, calls)
        log = w.server.last_words()
    assert reasons == ["server_stopped"] * CALLS
    assert leads == ["30093"] * CALLS
    assert seconds < 15
    assert "[error" not in log, log
