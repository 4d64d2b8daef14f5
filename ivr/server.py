"""The web server as a process: it drains its calls before it leaves, and tells systemd of itself.

The first signal begins the drain, the second ends it; either way every stream is closed with its
reason written down, and its caller handed to whoever takes over.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn

from ivr import jobs, notify
from ivr.app import create_app
from ivr.channels.desk import CLOSING_SECONDS
from ivr.doors.request_head import BoundedHead
from ivr.leads.delivery.submissions import SETTLE_SECONDS
from ivr.live_calls import ASKING_SECONDS, LiveCalls
from ivr.messages.outbox import LONGEST_END_SECONDS
from ivr.runtime import live_calls
from ivr.settings import Settings
from ivr.turns import LAST_TRIES_SECONDS
from ivr.vital_signs import Pulse
from ivr.voice.endpoints import ANSWER_SECONDS
from ivr.voice.phone_socket import PhoneSocket
from ivr.voice.session import END_SECONDS
from ivr.webhooks.delivery import CLOSE_SECONDS

# A frame of a media stream has about 250 bytes; a bigger message is not Twilio's.
MOST_WEBSOCKET_BYTES = 64 * 1024
GOODBYE_SECONDS = 5.0  # for closing words that are being said at the deadline
POLL_SECONDS = 0.05  # signals wake no task

log = structlog.get_logger(__name__)


def longest_stop_seconds(settings: Settings) -> float:
    """Return how long a stop takes when everything goes wrong at once; mostly it takes a moment.

    TimeoutStopSec in the unit must not be less.
    """
    calls = settings.drain_seconds + GOODBYE_SECONDS
    written = LAST_TRIES_SECONDS + END_SECONDS  # turns and end of a call, the database being away
    handed_over = ASKING_SECONDS + ANSWER_SECONDS
    buyer = settings.npa_timeout_seconds + SETTLE_SECONDS
    letters = CLOSING_SECONDS + LONGEST_END_SECONDS + CLOSE_SECONDS
    return calls + written + handed_over + buyer + letters + jobs.SHUTDOWN_SECONDS


class Server(uvicorn.Server):
    """Serves until it is told to leave; `drain_seconds` is how long calls may then go on."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._live = live_calls(settings)
        self._pulse = Pulse(time.monotonic())
        self._beating: asyncio.Task[None] | None = None
        super().__init__(_config(settings, self._live, self._pulse))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the doors."""
        await super().startup(sockets=sockets)
        if not self.should_exit:
            notify.ready()
            self._beating = asyncio.create_task(notify.beat(self._is_alive), name="watchdog")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Be told to leave: the doors say so at once, the main loop does the rest."""
        self._live.drain()
        super().handle_exit(sig, frame)
        self.force_exit = False  # uvicorn's way of hurrying writes nothing down

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let the calls end or hand them over, then close the doors."""
        longest = longest_stop_seconds(self._settings)
        notify.stopping()
        notify.extend_timeout(longest)
        log.info("draining", live_calls=len(self._live), at_most_seconds=longest)
        await drain(self._live, seconds=self._settings.drain_seconds)
        await super().shutdown(sockets=sockets)
        if self._beating is not None:
            self._beating.cancel()

    def _is_alive(self) -> bool:
        # What hangs during a stop is for TimeoutStopSec.
        return self.should_exit or self._pulse.is_beating(time.monotonic())


def _config(settings: Settings, live: LiveCalls, pulse: Pulse) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(settings, live=live, pulse=pulse),
        loop="uvloop",
        http=BoundedHead,
        ws=PhoneSocket,
        ws_max_size=MOST_WEBSOCKET_BYTES,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,  # whom to believe is decided in ivr.doors.client_address
        server_header=False,
        timeout_graceful_shutdown=int(ANSWER_SECONDS),
    )


async def drain(live: LiveCalls, *, seconds: float) -> None:
    """Wait for the calls to end, then close their streams and wait until Twilio has asked."""
    await _until(lambda: live.taken == 0 or live.is_hurried, seconds)
    live.stop_streams(goodbyes=live.is_hurried)
    await _until(lambda: len(live) == 0 or live.is_hurried, GOODBYE_SECONDS)
    live.stop_streams(goodbyes=True)
    longest = LAST_TRIES_SECONDS + END_SECONDS + ASKING_SECONDS
    await _until(lambda: live.is_handed_over or (live.is_hurried and len(live) == 0), longest)


async def _until(is_true: Callable[[], bool], seconds: float) -> None:
    """Wait until it is true, but not longer."""
    deadline = time.monotonic() + seconds
    while True:
        if is_true() or time.monotonic() >= deadline:
            return
        await asyncio.sleep(POLL_SECONDS)
