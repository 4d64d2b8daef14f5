"""The world of a server that dies: its real process, and the vendors that outlive it in this loop.

As under systemd, the listening socket is held by who starts the server: what is sent while it is
down waits for the next one. `systemd=False` is a server on its own, whose port is closed then.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from ivr.db import Database
from tests.calls.world import NPA_PASSWORD, NPA_USER, PACE, PUBLIC, SID, SPEED, TOKEN
from tools.call_page import CallPages, Page
from tools.emulators.npa import NpaEmulator
from tools.emulators.openai import OpenAIEmulator
from tools.emulators.twilio import TwilioEmulator
from tools.emulators.twilio.call import Call
from tools.scenarios import Scenario, load
from tools.scenarios.retold import told_by

GRACE_SECONDS = 12.0  # longer than a restart takes, so that a call can be taken up again
PATIENCE_SECONDS = 60.0  # two busy cores
LOG, LOG_LINES = "server.log", 60
ROOT = Path(__file__).parents[2]


class Server:
    """The server as an operator has it: started, killed, started again, at one address."""

    def __init__(
        self, folder: Path, *, systemd: bool = True, entry: str = "tests.crash.server_process"
    ) -> None:
        self.environment: dict[str, str] = {}
        self._entry = entry
        self._folder = folder
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._port = self._listener.getsockname()[1]
        self._systemd: subprocess.Popen[bytes] | None = None
        self._alone: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._is_alone = not systemd
        if self._is_alone:
            self._listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        return self._pid

    def start(self) -> None:
        """Start the server and return at once."""
        assert self._pid is None, "one server at a time"
        if self._is_alone:
            self._alone = self._popen("-m", "ivr", "serve", "--port", str(self._port))
            self._pid = self._alone.pid
            return
        if self._systemd is None:
            fd = self._listener.fileno()
            self._systemd = self._popen("-m", self._entry, str(fd), pass_fds=(fd,))
        assert self._systemd.stdin is not None, "a pipe"
        self._systemd.stdin.write(b"start\n")
        self._systemd.stdin.flush()
        self._pid = self._answer()

    async def ready(self) -> None:
        """Wait until the server answers."""
        async with asyncio.timeout(PATIENCE_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(f"{self.url}/health/ready", timeout=30)).is_success:
                        return
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """`kill -9`, and it is gone when this returns."""
        self._signal(signal.SIGKILL)
        assert self._wait() == -signal.SIGKILL, f"died before\n{self.last_words()}"

    def revive(self) -> None:
        """Start a server that ended by itself again, as systemd does."""
        if self._pid is not None and not Path(f"/proc/{self._pid}").exists():
            self._wait()
            self.start()

    async def terminate(self) -> float:
        """Ask the server to end, as systemd does; return the seconds that it took."""
        began = time.monotonic()
        self.tell(signal.SIGTERM)
        await self.gone()
        return time.monotonic() - began

    def tell(self, number: signal.Signals) -> None:
        """Send a signal and wait for nothing."""
        self._signal(number)

    async def gone(self) -> None:
        """Wait until a server that was asked to end has done so, in order."""
        code = await asyncio.to_thread(self._wait)
        asked = {-signal.SIGTERM, -signal.SIGINT}
        assert code in {0, *asked}, f"ended with {code}\n{self.last_words()}"

    def died(self) -> int:
        """Wait until a server that ends by itself has done so; return its exit code."""
        return self._wait()

    def close(self) -> None:
        """End whatever of it still runs."""
        if self._pid is not None:
            self.kill()
        for process in filter(None, (self._systemd, self._alone)):
            process.communicate()
        self._listener.close()

    def connections(self) -> set[str]:
        """Return the connections that a server has accepted and that are open."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        sockets = [line.split() for line in lines]
        here, established, not_accepted = f"0100007F:{self._port:04X}", "01", "0"
        return {
            inode
            for _, local, _, state, _, _, _, _, _, inode, *_ in sockets
            if (local, state) == (here, established) and inode != not_accepted
        }

    def last_words(self) -> str:
        """Return the end of the log of all servers so far."""
        text = (self._folder / LOG).read_text(errors="replace")
        return "\n".join(text.splitlines()[-LOG_LINES:])

    def _signal(self, number: signal.Signals) -> None:
        assert self._pid is not None, "nobody to tell"
        os.kill(self._pid, number)

    def _wait(self) -> int:
        """Return the exit code, negative for a signal."""
        code = self._alone.wait() if self._alone is not None else self._answer()
        self._pid = None
        return code

    def _answer(self) -> int:
        assert self._systemd is not None and self._systemd.stdout is not None, "a pipe"
        line = self._systemd.stdout.readline()
        assert line, f"cannot start a server\n{self.last_words()}"
        return int(line)

    def _popen(self, *arguments: str, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        with open(self._folder / LOG, "ab") as log:
            return subprocess.Popen(
                (sys.executable, *arguments),
                cwd=self._folder,  # no .env of this machine
                env=self.environment,
                stdin=subprocess.PIPE if pass_fds else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pass_fds else log,
                stderr=log,
                pass_fds=pass_fds,
            )


@dataclass(frozen=True, slots=True)
class CrashWorld:
    """What a test of dying servers can touch."""

    server: Server
    openai: OpenAIEmulator
    twilio: TwilioEmulator
    npa: NpaEmulator
    db: Database
    scenario: Scenario

    async def ring(self, caller: str, *, wait: bool = True) -> Call:
        """Call the business."""
        return await self.twilio.call(from_=caller, to=self.scenario.called, wait=wait)

    def lead_of(self, call: Call) -> dict[str, str]:
        """Return the lead that must come of a call: everybody says their own number."""
        return dict(told_by(self.scenario, call.from_).expect.lead)

    async def page(self, call: Call) -> Page:
        """Return what the database knows about a call."""
        return await CallPages(self.db).page(call.sid)

    async def finished(self, call: Call) -> Page:
        """Wait until the road has done its work."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    page = await self.page(call)
                    if page.conversation is not None and page.conversation.finished_at is not None:
                        return page
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(
                f"not finished\n{call.story()}\n{self.server.last_words()}"
            ) from None


@asynccontextmanager
async def crash_world(
    database_url: str,
    folder: Path,
    *,
    systemd: bool = True,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[CrashWorld]:
    """Open the vendors and a place for a server; starting it is the test's."""
    scenario = load("john_doe")
    async with AsyncExitStack() as stack:
        server = Server(folder, systemd=systemd)
        npa = await stack.enter_async_context(NpaEmulator(username=NPA_USER, password=NPA_PASSWORD))
        openai = await stack.enter_async_context(
            OpenAIEmulator(scenario, speed=SPEED, pace=PACE, own_numbers=True)
        )
        twilio = await stack.enter_async_context(_twilio(server))
        server.environment.update(environment_of(database_url, openai, twilio, npa))
        server.environment.update(environment)
        db = Database(database_url)
        stack.push_async_callback(db.close)
        stack.callback(server.close)
        yield CrashWorld(server, openai, twilio, npa, db, scenario)


def _twilio(server: Server) -> TwilioEmulator:
    return TwilioEmulator(
        SID,
        TOKEN,
        webhook=f"{server.url}/twilio/voice-realtime-proxied",
        public_base_url=PUBLIC,
        status_callback=f"{server.url}/twilio/voice/status",
        speed=SPEED,
    )


def environment_of(
    database_url: str, openai: OpenAIEmulator, twilio: TwilioEmulator, npa: NpaEmulator
) -> dict[str, str]:
    """Return all that the server knows of this machine."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "DATABASE_URL": database_url,
        "OPENAI_API_KEY": openai.api_key,
        "OPENAI_BASE_URL": openai.base_url,
        "TWILIO_SID": SID,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_API_BASE_URL": twilio.api_base_url,
        "PUBLIC_BASE_URL": PUBLIC,
        "NPA_API_BASE_URL": npa.base_url,
        "NPA_API_USERNAME": NPA_USER,
        "NPA_API_PASSWORD": NPA_PASSWORD,
        "EPISODE_GRACE_SECONDS": str(GRACE_SECONDS),
        "MAX_LOOP_LAG_MS": "60000",  # two busy cores
        "DRAIN_SECONDS": "1",
    }
