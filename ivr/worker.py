"""The background process of bigger installations: what is due is done, and no door is open.

The web process does the same work; a row is done by whoever claims it first. So a worker may come,
go, or be one of many, and a machine that has none lacks nothing.
"""

import asyncio
import signal
import time

import structlog

from ivr import notify
from ivr.channels.desk import Desk
from ivr.runtime import open_state
from ivr.server import longest_stop_seconds
from ivr.settings import Settings
from ivr.vital_signs import Pulse
from ivr.voice.sweeper import sweeping

log = structlog.get_logger(__name__)


async def work(settings: Settings) -> None:
    """Work until the process is told to leave; what is under way is finished or left to others."""
    leaving = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leaving.set)
    pulse = Pulse(time.monotonic())
    async with (
        open_state(settings, voice=None, pulse=pulse) as state,
        sweeping(state),
        Desk.open(state),
    ):
        log.info("working", executor_id=state["road"].executor_id)
        notify.ready()
        beating = asyncio.create_task(
            notify.beat(lambda: pulse.is_beating(time.monotonic())), name="watchdog"
        )
        await leaving.wait()
        notify.stopping()
        notify.extend_timeout(longest_stop_seconds(settings))
        beating.cancel()
