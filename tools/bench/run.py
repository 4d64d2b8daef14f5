"""One run: so many calls at once, on one server, for so many seconds."""

import gc
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from .figures import Figures, Spread
from .http import get
from .loop import clock
from .phone import ORIGIN
from .served import OURS, RELAY, Served, served, wait_until_ready
from .world import SID, TOKEN, World

WARM_CALLS, WARM_S = 3, 3.0
RAMP_PER_S = 16  # calls that begin in a second before the window
SETTLE_S = 3.0
LEADS_S = 20.0  # for which the last leads are waited for
LATE_S = 0.005  # a generator later than this (p99) has measured itself
TAIL_S = 1.0  # a frame that has not arrived after this time is lost
HEALTH_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured."""

    calls: int
    seconds: float = 20.0
    is_bare: bool = False
    seed: int = 1
    length_s: float = 120.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came out. CPU in ms per call-second, memory in KiB per call beyond the base."""

    name: str
    calls: int
    up: Spread
    down: Spread
    clear: Spread
    webhook: Spread
    first_audio: Spread
    health: Spread
    lateness: Spread
    cpu_ms: float
    core_share: float
    generator_share: float
    others_share: float  # of one core, used by whatever else ran on the machine
    kib: float
    base_mib: float
    sent: int
    lost: int
    disordered: int
    not_cleared: int
    broken: int
    refused: int
    ended: int
    undelivered: int
    doubled: int
    saved: int
    problems: Mapping[str, int]

    @property
    def is_void(self) -> bool:
        """Whether the generator was the limit."""
        return self.lateness.p99 > LATE_S * 1000

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "void": self.is_void}


@contextmanager
def started(world: World, **settings: str) -> Iterator[Served]:
    """Start the server that `world` surrounds, in a folder of its own; both end with the block."""
    command = RELAY if world.is_bare else OURS
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with served(command, {**environment(world), **settings}, folder) as server:
            wait_until_ready(server)
            world.port = server.port
            try:
                yield server
            finally:
                world.loop.close()


def environment(world: World) -> dict[str, str]:
    """Return the server's settings: our world for its vendors, defaults for everything else."""
    vendors = f"http://127.0.0.1:{world.vendors_port}"
    return {
        "PUBLIC_BASE_URL": ORIGIN,
        "OPENAI_API_KEY": "bench",
        "OPENAI_BASE_URL": f"{vendors}/v1",
        "TWILIO_SID": SID,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_API_BASE_URL": vendors,
        "NPA_API_BASE_URL": vendors,
        "NPA_API_USERNAME": "bench",
        "NPA_API_PASSWORD": "bench",
        "MAX_CONCURRENT_CALLS": "10000",
        "MAX_NEW_CALLS_PER_SECOND": "10000",
        "MAX_LOOP_LAG_MS": "60000",
    }


def measure(plan: Plan) -> Result:
    """Start a server, fill it with calls, measure, and see the leads through."""
    world = World(seed=plan.seed, length_s=plan.length_s, is_bare=plan.is_bare)
    with started(world) as server, quiet_memory():
        warm_up(world)
        base_kib = server.rss_kib
        ramp(world, plan.calls)
        window = Window(world, server)
        run_window(world, plan.seconds)
        window.close()
        follow_leads(world)
        return window.result(plan, base_kib)


def warm_up(world: World) -> None:
    """Have a few people call and leave: what is used for the first time is used by now."""
    world.fill(WARM_CALLS, 0.5)
    world.loop.run_until(clock() + WARM_S)


def ramp(world: World, calls: int) -> None:
    """Fill the server, and wait until it is calm again."""
    seconds = max(1.0, calls / RAMP_PER_S)
    world.fill(max(0, calls - WARM_CALLS), seconds)
    world.loop.run_until(clock() + seconds + SETTLE_S)


def run_window(world: World, seconds: float) -> None:
    """Measure for so many seconds."""
    world.figures.opened_at = world.loop.lateness_from = clock()
    ask_health(world)
    world.loop.run_until(clock() + seconds)


def ask_health(world: World) -> None:
    """Ask the server's health now and then, and note how long it takes."""
    began = clock()

    def answered(_status: int, _body: bytes) -> None:
        world.figures.health.append(clock() - began)
        world.loop.after(HEALTH_EVERY_S, lambda: ask_health(world))

    get(world.loop, world.port, "/health/ready", answered)


def follow_leads(world: World) -> None:
    """Wait for the leads of the calls that are over."""
    world.stop_filling()
    if not world.is_bare:
        world.loop.run_until(clock() + LEADS_S, lambda: world.figures.undelivered == 0)


@contextmanager
def quiet_memory() -> Iterator[None]:
    """Keep the garbage collector from making the generator late."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class Window:
    """The figures of the processes, from now until `close`."""

    def __init__(self, world: World, server: Served) -> None:
        self._world = world
        self._server = server
        self._before = self._now()
        self._spent = (0.0,) * len(self._before)
        self._kib = 0.0

    def close(self) -> None:
        """Take the figures at the end, before anything else happens."""
        self._spent = tuple(
            after - before for before, after in zip(self._before, self._now(), strict=True)
        )
        self._kib = self._server.rss_kib
        self._world.figures.lost += self._world.in_flight(TAIL_S)

    def result(self, plan: Plan, base_kib: float) -> Result:
        figures = self._world.figures
        wall, call_seconds, cpu, idle, own, machine = self._spent
        live = call_seconds / wall
        return Result(
            name="relay" if plan.is_bare else "ours",
            calls=plan.calls,
            cpu_ms=cpu * 1000 / call_seconds if call_seconds else 0.0,
            core_share=cpu / wall,
            generator_share=1 - idle / wall,
            others_share=max(0.0, machine - cpu - own) / wall,
            kib=(self._kib - base_kib) / live if live else 0.0,
            base_mib=base_kib / 1024,
            lateness=Spread.of(self._world.loop.lateness),
            **_spreads(figures),
            sent=figures.sent,
            lost=figures.lost,
            disordered=figures.disordered,
            not_cleared=figures.not_cleared,
            broken=figures.broken,
            refused=figures.refused,
            ended=len(figures.ended),
            undelivered=figures.undelivered,
            doubled=figures.doubled,
            saved=figures.saved,
            problems=figures.problems,
        )

    def _now(self) -> tuple[float, ...]:
        """Return the clock, call-seconds, and CPU: the server's, ours idle and all, everybody's."""
        world, machine = self._world, psutil.cpu_times()
        return (
            clock(),
            world.seconds.spent,
            self._server.cpu_s,
            world.loop.idle_s,
            time.process_time(),
            float(machine.user + machine.nice + machine.system),
        )


def _spreads(figures: Figures) -> dict[str, Spread]:
    names = ("up", "down", "clear", "webhook", "first_audio", "health")
    return {name: Spread.of(getattr(figures, name)) for name in names}
