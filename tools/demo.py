"""`ivr demo` and `ivr call`: a synthetic caller phones the real server, and you see what happens.

Twilio and the buyer are emulated; the server is the one that answers real calls, in a process of
its own, with an empty configuration and the offline voice.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from rich.console import Console

from ivr.db import Database
from ivr.db.tables import Turn
from ivr.errors import SettingsError, Unavailable
from ivr.leads.profile import load_profile
from ivr.settings import Settings
from tools.activation import SERVE
from tools.call_page import CallPages, Page
from tools.caller import talk
from tools.demo_audio import Script, load_script
from tools.demo_screen import Screen
from tools.emulators.npa import NpaEmulator
from tools.emulators.serving import listen
from tools.emulators.twilio import TwilioEmulator
from tools.emulators.twilio.call import Call

FOLDER = Path(".demo")
PUBLIC_BASE_URL = "https://ivr.example.test"
NPA_USERNAME = "demo"
_START_SECONDS = 60.0
_CALL_SECONDS = 180.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Keys:
    """What the emulated vendors and the server agree on, made anew each time."""

    account_sid: str
    auth_token: str
    npa_password: str

    @classmethod
    def new(cls) -> "Keys":
        """Return keys that nobody else has."""
        return cls(f"AC{secrets.token_hex(16)}", secrets.token_hex(16), secrets.token_hex(8))


async def demo(console: Console, *, folder: Path = FOLDER) -> bool:
    """Show one call from the ring to the delivered lead; return whether the lead is right."""
    script = load_script("demo")
    screen = Screen(console, load_profile(script.profile))
    _empty(folder)
    keys = Keys.new()
    screen.opening(folder)
    async with NpaEmulator(username=NPA_USERNAME, password=keys.npa_password) as npa:
        async with _server(folder, keys, npa.base_url) as url, _twilio(keys, url) as twilio:
            screen.ready(url)
            page = await _call(twilio, script, screen, f"sqlite+aiosqlite:///{folder}/nps_ivr.db")
            screen.lead(page)
            screen.received(npa.leads)
    screen.what_next(folder, page)
    return _is_right(page, script)


async def call(console: Console, settings: Settings, *, url: str, script_name: str) -> bool:
    """Phone a server that runs already, signed with its own token; return as `demo` does."""
    script = load_script(script_name)
    screen = Screen(console, load_profile(script.profile))
    if settings.twilio_auth_token is None or settings.public_base_url is None:
        raise SettingsError("TWILIO_AUTH_TOKEN, PUBLIC_BASE_URL: needed to call as Twilio does")
    twilio = TwilioEmulator(
        account_sid=settings.twilio_sid or Keys.new().account_sid,
        auth_token=settings.twilio_auth_token.get_secret_value(),
        webhook=f"{url}/twilio/voice-realtime-proxied",
        public_base_url=settings.public_base_url,
    )
    async with twilio:
        page = await _call(twilio, script, screen, settings.database_url)
    screen.lead(page)
    return _is_right(page, script)


async def _call(twilio: TwilioEmulator, script: Script, screen: Screen, database_url: str) -> Page:
    """Phone the server, show the call while it runs, and wait until its lead is finished."""
    db = Database(database_url)
    pages = CallPages(db)
    try:
        call = await twilio.call(from_=script.caller, to=script.called)
        screen.ringing(script)

        async def turns() -> list[Turn]:
            return list((await pages.page(call.sid)).turns)

        async with asyncio.timeout(_CALL_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(talk(call, script.answers, turns))
            return await _watch(pages, call, screen)
    finally:
        await db.close()


async def _watch(pages: CallPages, call: Call, screen: Screen) -> Page:
    """Show what the server writes down until the lead has its row."""
    while True:
        page = await pages.page(call.sid)
        screen.update(page)
        if call.over and (page.succeeded or page.failed):
            return page
        await asyncio.sleep(_POLL_SECONDS)


def _is_right(page: Page, script: Script) -> bool:
    if page.succeeded is None:
        return False
    data = page.succeeded.lead_data
    return all(data.get(name) == value for name, value in script.expected.items())


def _twilio(keys: Keys, url: str) -> TwilioEmulator:
    return TwilioEmulator(
        account_sid=keys.account_sid,
        auth_token=keys.auth_token,
        webhook=f"{url}/twilio/voice-realtime-proxied",
        public_base_url=PUBLIC_BASE_URL,
    )


@asynccontextmanager
async def _server(folder: Path, keys: Keys, npa_url: str) -> AsyncIterator[str]:
    """Run `ivr serve` in a folder of its own, where no `.env` lies, and yield its address."""
    with (folder / "server.log").open("wb") as log, listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(  # noqa: ASYNC220  # it must outlive a cancelled loop: see finally
            SERVE,
            cwd=folder,
            env=_environment(keys, npa_url),
            stdin=listener.fileno(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        await _ready(url, process, folder / "server.log")
        yield url
    finally:
        process.terminate()
        await asyncio.to_thread(_wait, process)


def _environment(keys: Keys, npa_url: str) -> dict[str, str]:
    """Return an environment with no key of the person who runs the demo."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **kept,
        "PUBLIC_BASE_URL": PUBLIC_BASE_URL,
        "TWILIO_SID": keys.account_sid,
        "TWILIO_AUTH_TOKEN": keys.auth_token,
        "NPA_API_BASE_URL": npa_url,
        "NPA_API_USERNAME": NPA_USERNAME,
        "NPA_API_PASSWORD": keys.npa_password,
    }


async def _ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = asyncio.get_running_loop().time() + _START_SECONDS
    async with httpx.AsyncClient() as http:
        while asyncio.get_running_loop().time() < deadline:
            if process.poll() is not None:
                break
            try:
                if (await http.get(f"{url}/health/ready")).is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            await asyncio.sleep(_POLL_SECONDS)
    raise Unavailable(f"the server did not start; its log:\n{_text(log)}")


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def _wait(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
