"""What all calls of a Twilio account share: credentials, number settings, faults, verdicts."""

import asyncio
import secrets
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import connect

from tools.emulators.twilio.faults import Faults
from tools.emulators.twilio.webhooks import UnknownHost, Webhooks


class TwilioViolation(AssertionError):
    """The server under test did what the real Twilio would refuse, report or drop."""


def new_sid(prefix: str) -> str:
    """Return a fresh id such as CA0123...: two letters and 32 hex digits."""
    return prefix + secrets.token_hex(16)


class Violations:
    """What was done wrong; `verdict` raises unless the test said that it expects it."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._allowed: list[str] = []

    def add(self, text: str) -> None:
        """Remember one."""
        self.found.append(text)

    def allow(self, fragment: str) -> None:
        """Forgive every violation whose text contains `fragment`."""
        self._allowed.append(fragment)

    @property
    def unforgiven(self) -> list[str]:
        """Those that nobody has allowed."""
        return [text for text in self.found if not any(word in text for word in self._allowed)]

    def verdict(self) -> None:
        """Raise TwilioViolation listing what nobody has allowed."""
        if self.unforgiven:
            raise TwilioViolation("\n".join(self.unforgiven))


@dataclass
class Account:
    """One account with one number; the knobs may be turned while calls run."""

    sid: str
    token: str
    webhooks: Webhooks
    faults: Faults
    voice_url: str
    fallback_url: str | None
    status_url: str | None
    speed: float
    patience_s: float
    say_ms_per_character: float = 60.0
    gather_timeouts: bool = False  # False: a <Gather> waits for the test's answer
    dial_status: str = "completed"  # what becomes of a <Dial>
    ring_ms: float = 1000.0  # until somebody picks up, or it is certain that nobody does
    dial_ms: float = 2000.0  # for which they talk
    presses: str = "1"  # the key of who picks up, when asked for one; "" is a voicemail
    violations: Violations = field(default_factory=Violations)
    failures: list[BaseException] = field(default_factory=list)  # bugs of the emulator
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` beside everything else; `settle` waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def settle(self) -> None:
        """Wait for what runs in the background."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def dial_stream(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        sign: bool = True,
        max_queue: int | None = None,
    ) -> connect:
        """Return a connection to be awaited or entered for a wss:// URL; raises UnknownHost."""
        address, parts = self.webhooks.address, urlsplit(url)
        if parts.netloc != address.public_host:
            raise UnknownHost(f"{url} is not on {address.public}")
        all_headers = dict(headers or {})
        signature = self.faults.signature("stream", self.token, url) if sign else None
        if signature is not None:
            all_headers["x-twilio-signature"] = signature
        local = urlsplit(address.local)
        return connect(
            parts._replace(scheme="ws").geturl(),
            host=local.hostname,
            port=local.port,
            additional_headers=all_headers,
            user_agent_header="Twilio.TmeWs/1.0",
            compression=None,
            proxy=None,
            open_timeout=5,
            ping_interval=None,
            close_timeout=1,
            max_size=None,
            max_queue=max_queue,
        )

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.failures.append(error)
