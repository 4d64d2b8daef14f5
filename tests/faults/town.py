"""The world of a schedule: the server, in this loop or as a process, and weather all around it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import structlog
from starlette.types import ASGIApp, Scope

from ivr.app import create_app
from ivr.db import Database
from ivr.leads import road
from ivr.voice import endpoints, sweeper
from tests.calls.world import (
    NPA_PASSWORD,
    NPA_USER,
    PACE,
    PUBLIC,
    SID,
    SPEED,
    TOKEN,
    brisk,
    settings_for,
    short,
)
from tests.crash.world import Server, environment_of
from tests.faults.clock import FILE, Clock, clock_in, set_clock
from tests.faults.schedule import Place, Schedule
from tests.faults.weather import Forecast, PlaceOf, Weather
from tools.emulators.npa import NpaEmulator, NpaFaults
from tools.emulators.openai import OpenAIEmulator
from tools.emulators.serving import listen, serve
from tools.emulators.twilio import TwilioEmulator
from tools.scenarios import Scenario

# Short, because what hangs is waited for in real time.
IMPATIENT: dict[str, float] = {
    "npa_timeout_seconds": 1.0,
    "extraction_timeout_seconds": 1.0,
    "model_connect_seconds": 1.0,
    "model_answer_seconds": 1.5,
    "silence_nudge_seconds": 1.5,
    "max_call_seconds": 15.0,
    "episode_grace_seconds": 2.0,
}
LOOK_SECONDS = 0.2
WEBHOOK_TIMEOUT_S = 4.0
# In this loop the server answers in half of that, as it does in half of Twilio's real 15 s.
ANSWER_S = 2.0
_PLACES = {
    "/twilio/voice/status": Place.STATUS,
    "/twilio/voice/stream": Place.STREAM,
    "/twilio/voice/after": Place.AFTER,
}


@dataclass(frozen=True, slots=True)
class Town:
    """Everything that a schedule plays in; `server` is there in the form of a process."""

    schedule: Schedule
    forecast: Forecast
    clock: Clock
    scenario: Scenario
    openai: OpenAIEmulator
    twilio: TwilioEmulator
    npa: NpaEmulator
    db: Database
    server: Server | None
    one_outage: asyncio.Lock = field(default_factory=asyncio.Lock)  # a cut wire is not cut again


@asynccontextmanager
async def town(schedule: Schedule, database_url: str, folder: Path) -> AsyncIterator[Town]:
    """Open it all and start the server; what the emulators have to complain of is raised."""
    scenario = brisk() if schedule.is_long else short()
    forecast = Forecast(schedule.faults)
    async with AsyncExitStack() as stack:
        clock = stack.enter_context(clock_in(folder))
        npa = await stack.enter_async_context(NpaEmulator(username=NPA_USER, password=NPA_PASSWORD))
        # Who never gets an event may well say what does not fit it.
        openai = await stack.enter_async_context(
            OpenAIEmulator(
                scenario,
                speed=SPEED,
                pace=PACE,
                allow_violations=True,
                own_numbers=not schedule.is_one_person,
            )
        )
        listener = stack.enter_context(listen())
        is_process = schedule.form.is_process
        server = Server(folder, entry="tests.faults.server_process") if is_process else None
        here = f"http://127.0.0.1:{listener.getsockname()[1]}"
        twilio = await stack.enter_async_context(_twilio(server.url if server else here, server))
        db = Database(database_url)
        stack.push_async_callback(db.close)
        t = Town(schedule, forecast, clock, scenario, openai, twilio, npa, db, server)
        settings = {**IMPATIENT, **await _roads(stack, t)}
        if server is not None:
            stack.callback(server.close)
            await _start(stack, t, server, settings)
        else:
            await _serve(stack, t, listener, settings)
        yield t
        forecast.lifted.set()


async def _start(
    stack: AsyncExitStack, t: Town, server: Server, settings: Mapping[str, Any]
) -> None:
    """Start the server's process."""
    server.environment.update(environment_of(t.db.url, t.openai, t.twilio, t.npa))
    server.environment.update({name.upper(): str(value) for name, value in settings.items()})
    server.environment[FILE] = os.fspath(t.clock.path)
    server.start()
    await server.ready()
    await stack.enter_async_context(_looked_after(server))


async def _serve(
    stack: AsyncExitStack, t: Town, listener: socket.socket, settings: Mapping[str, Any]
) -> None:
    """Run the server in this loop, with weather before its doors."""
    stack.enter_context(_quick_tracebacks())
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    set_clock(t.clock, patch)
    patch.setattr(road, "SCHEDULE_SECONDS", 0.05)
    patch.setattr(sweeper, "SWEEP_SECONDS", 0.2)
    patch.setattr(endpoints, "ANSWER_SECONDS", ANSWER_S)
    given = settings_for(t.db.url, t.openai, t.twilio, t.npa, **settings)
    app = Weather(create_app(given), t.forecast, _place_at_our_door)
    await stack.enter_async_context(
        serve(app, listener=listener, ws_max_size=64 * 1024, lifespan="on")
    )


@asynccontextmanager
async def _looked_after(server: Server) -> AsyncIterator[None]:
    """Start the server again whenever it ended by itself: a full disk keeps it from opening."""

    async def look_after() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            server.revive()

    task = asyncio.create_task(look_after(), name="systemd")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.revive()


def _twilio(url: str, server: Server | None) -> TwilioEmulator:
    return TwilioEmulator(
        SID,
        TOKEN,
        webhook=f"{url}/twilio/voice-realtime-proxied",
        public_base_url=PUBLIC,
        status_callback=f"{url}/twilio/voice/status",
        speed=SPEED,
        webhook_timeout_s=15.0 if server else WEBHOOK_TIMEOUT_S,
    )


@contextmanager
def _quick_tracebacks() -> Iterator[None]:
    """Spare the loop structlog's pretty ones: each holds up all calls for seconds."""
    before = structlog.get_config()
    plain = structlog.dev.ConsoleRenderer(
        colors=False, exception_formatter=structlog.dev.plain_traceback
    )
    structlog.configure(processors=[*before["processors"][:-1], plain])
    try:
        yield
    finally:
        structlog.configure(**before)


async def _roads(stack: AsyncExitStack, t: Town) -> dict[str, str]:
    """Return the settings that lead to the vendors by roads with weather on them."""

    async def road_to(app: ASGIApp, place_of: PlaceOf, **more: Any) -> str:
        port = await stack.enter_async_context(serve(Weather(app, t.forecast, place_of, **more)))
        return f"http://127.0.0.1:{port}"

    def refuse_lead() -> None:
        t.npa.faults = NpaFaults(rejection="not wanted", times=1)

    def refuse_reading() -> None:
        t.openai.extractions.appendleft("refusal")

    to_openai = await road_to(t.openai, _place_at_openai, refuse=refuse_reading)
    return {
        "openai_base_url": f"{to_openai}/v1",
        "npa_api_base_url": await road_to(t.npa.app, lambda _: Place.BUYER, refuse=refuse_lead),
        "twilio_api_base_url": await road_to(t.twilio.rest_app, lambda _: Place.REST),
    }


def _place_at_our_door(scope: Scope) -> Place:
    return _PLACES.get(scope["path"], Place.WEBHOOK)


def _place_at_openai(scope: Scope) -> Place:
    return Place.MODEL if scope["type"] == "websocket" else Place.TEXT_MODEL
