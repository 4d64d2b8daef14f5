"""What ends a stream if the call itself does not: the clock on the wall, from the first ring on.

It asks neither the model nor the caller nor the call's own timers.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog

from ivr.voice.bridge import Bridge
from ivr.voice.commands import EndReason

# Beyond the longest call: the closing words, and what was said just before them.
MARGIN = timedelta(seconds=60)

log = structlog.get_logger(__name__)


@contextmanager
def cut_off_when_overdue(
    bridge: Bridge, *, started_at: datetime, now: datetime, longest_s: float
) -> Iterator[None]:
    """End the bridge's stream if the block lasts longer than any call may."""
    left = started_at + timedelta(seconds=longest_s) + MARGIN - now
    timer = asyncio.get_running_loop().call_later(max(left.total_seconds(), 0), _cut_off, bridge)
    try:
        yield
    finally:
        timer.cancel()


def _cut_off(bridge: Bridge) -> None:
    log.error("call outlived its longest time: stream cut off")
    bridge.stop(EndReason.OVERDUE)
