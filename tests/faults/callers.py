"""The people who call in a schedule: they talk, ring off, lose the network, and never give up."""

import asyncio
import contextlib

from tests.calls.world import talk_through
from tests.crash.caller import converse
from tests.faults.schedule import Caller, Ending
from tools.emulators.twilio import TwilioEmulator
from tools.emulators.twilio.call import Call
from tools.scenarios import Scenario

LONGEST_CALL_S = 60.0


async def phone(
    twilio: TwilioEmulator, scenario: Scenario, caller: Caller, calls: list[Call]
) -> None:
    """Make one call, added to `calls`; it is over when this returns."""
    await asyncio.sleep(caller.after_s)
    call = await twilio.call(from_=caller.number, to=scenario.called, wait=False)
    calls.append(call)
    with contextlib.suppress(TimeoutError, AssertionError):  # nobody talks to them any more
        async with asyncio.timeout(LONGEST_CALL_S):
            await _talk(call, scenario, caller)
    if not call.over:
        call.note("stuck", f"for {LONGEST_CALL_S:g} s; the caller gives up")
        await call.hang_up()


async def _talk(call: Call, scenario: Scenario, caller: Caller) -> None:
    match caller.ending:
        case Ending.GOODBYE:
            await converse(call, scenario)
        case Ending.HANG_UP:
            await converse(call, scenario, turns=caller.turns)
        case Ending.NETWORK:
            await talk_through(call, scenario, turns=caller.turns)
            await call.hang_up(network_only=True)
        case Ending.RINGING:
            await call.hang_up()
