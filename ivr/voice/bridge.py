"""Carries a call between Twilio's socket and the model's. The only voice file that knows sockets.

It decides nothing: events go to the `Call`, its commands are carried out. Nothing that could be
slow happens on the way of a frame: no database, no log line, no task.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException

from . import media_stream, realtime
from .call import Call, Event
from .commands import (
    CallerGone,
    ClearTwilio,
    Command,
    Ended,
    EndReason,
    HangUp,
    ModelConnected,
    ModelGone,
    RecordTurn,
    RunTool,
    ToModel,
    ToolFinished,
    ToTwilio,
)
from .lane import Lane
from .usage import Usage

log = structlog.get_logger(__name__)

HEARTBEAT_S = 0.5  # the longest that anything due has to wait
STUCK_S = 5.0
CLOSE_S = 2.0
TOOL_S = 10.0
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
TOOL_FAILED = '{"error": "that did not work just now; say so, and go on without it"}'


class Phone(Protocol):
    """Twilio's socket, already accepted and past its `start`."""

    async def receive(self) -> str | None:
        """Return the next text frame; None when the socket is closed."""

    async def send(self, text: str) -> None: ...

    async def close(self) -> None: ...


class Model(Protocol):
    """The model's socket, as `websockets` has it."""

    async def send(self, message: str) -> None: ...

    def __aiter__(self) -> AsyncIterator[str | bytes]: ...


class ToolOutput(Protocol):
    """What a tool says to the model, and whether the call ends or is handed over."""

    @property
    def output(self) -> str: ...
    @property
    def ends(self) -> str | None: ...
    @property
    def transfer(self) -> bool: ...


class Effects(Protocol):
    """What a call does to the world beyond its two sockets."""

    async def run_tool(self, name: str, arguments: str) -> ToolOutput: ...

    def record(self, turn: RecordTurn) -> None:
        """Take a turn; must not wait."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. `fallback`: the caller is still there and needs another voice."""

    reason: str
    fallback: bool = False
    transfer: bool = False
    usage: Usage = field(default_factory=Usage)
    interruptions: int = 0
    unknown: int = 0


def connect_model(
    base_url: str, model: str, api_key: str, *, open_timeout_s: float = 5.0
) -> AbstractAsyncContextManager[Model]:
    """Return the model's socket, opened by `async with`; `base_url` is http(s), as for REST."""
    url = f"{base_url.rstrip('/')}/realtime?model={quote(model, safe='')}".replace("http", "ws", 1)
    is_local = urlsplit(url).hostname in {"127.0.0.1", "::1", "localhost"}
    return connect(
        url,
        additional_headers={"Authorization": f"Bearer {api_key}"},
        compression=None,
        max_size=MAX_MESSAGE_BYTES,
        open_timeout=open_timeout_s,
        close_timeout=1,
        proxy=None if is_local else True,
    )


class Bridge:
    """One call's bridge. `outcome` is there however `run` ended: read it in a `finally`."""

    def __init__(
        self,
        *,
        phone: Phone,
        connect: Callable[[], AbstractAsyncContextManager[Model]],
        call: Call,
        effects: Effects,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outcome: Outcome | None = None
        self._phone = phone
        self._connect = connect
        self._call = call
        self._effects = effects
        self._clock = clock
        self._to_phone = Lane("phone", clock)
        self._to_model = Lane("model", clock)
        self._done = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> Outcome:
        """Carry the call until it ends, tools and all; closes both sockets."""
        self._to_phone.open(self._phone.send)
        try:
            await self._carry()
        except Exception:  # a bug of ours must not cost the caller the conversation
            log.exception("call broke")
            self._stop(EndReason.INTERNAL_ERROR, fallback=True)
            await self._hang_up()
        finally:
            self._stop(EndReason.SERVER_STOPPED)
        assert self.outcome is not None, "a call that is over has an outcome"
        return self.outcome

    async def _carry(self) -> None:
        try:
            async with asyncio.TaskGroup() as self._group:
                pumps = (self._from_phone(), self._from_model(), self._watch_clock())
                tasks = [self._group.create_task(pump) for pump in pumps]
                await self._done.wait()
                for task in tasks:
                    task.cancel()
        finally:
            self._group = None

    async def _from_phone(self) -> None:
        while (frame := await self._phone.receive()) is not None:
            await self._feed(media_stream.parse(frame))
        await self._feed(CallerGone())

    async def _from_model(self) -> None:
        lost = EndReason.MODEL_UNREACHABLE
        try:
            async with self._connect() as model:
                lost = EndReason.MODEL_LOST
                self._to_model.open(model.send)
                await self._feed(ModelConnected())
                async for message in model:
                    await self._feed(realtime.parse(message))
        except InvalidStatus as error:
            lost = EndReason.MODEL_REFUSED
            log.warning("model refused", status=error.response.status_code)
        except (OSError, WebSocketException) as error:
            log.warning("model gone", error=type(error).__name__)
        await self._feed(ModelGone(lost))

    async def _watch_clock(self) -> None:
        while True:
            pause_s = min(self._call.wake_at - self._clock(), HEARTBEAT_S)
            await asyncio.sleep(max(pause_s, 0.001))
            now = self._clock()
            commands = self._call.tick(now)
            if self._to_phone.is_stuck(now, STUCK_S):
                commands += self._call.receive(CallerGone(EndReason.PHONE_STUCK), now)
            if self._to_model.is_stuck(now, STUCK_S):
                commands += self._call.receive(ModelGone(EndReason.MODEL_STUCK), now)
            if commands:
                self._perform(commands)
                self._spawn(self._flush())  # the clock itself must never wait for a peer

    async def _feed(self, event: Event | None) -> None:
        self._perform(self._call.receive(event, self._clock()))
        await self._flush()

    async def _flush(self) -> None:
        await self._to_phone.flush()
        await self._to_model.flush()

    def _perform(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case ToModel(message=message):
                    self._to_model.put(message)
                case ToTwilio(frame=frame):
                    self._to_phone.put(frame)
                case ClearTwilio(frame=frame):
                    self._to_phone.drop()
                    self._to_phone.put(frame)
                case RunTool():
                    self._spawn(self._run_tool(command))
                case RecordTurn():
                    self._effects.record(command)
                case HangUp():
                    self._spawn(self._hang_up())
                case Ended():
                    self._end(command)

    async def _run_tool(self, tool: RunTool) -> None:
        try:
            async with asyncio.timeout(TOOL_S):
                answer = await self._effects.run_tool(tool.name, tool.arguments)
        except Exception as error:  # the conversation goes on without it
            log.exception("tool failed", tool=tool.name, error=type(error).__name__)
            await self._feed(ToolFinished(tool.call_id, TOOL_FAILED))
            return
        await self._feed(ToolFinished(tool.call_id, answer.output, answer.ends, answer.transfer))

    async def _hang_up(self) -> None:
        with contextlib.suppress(
            Exception
        ):  # closed by the other side, or stuck: closed either way
            async with asyncio.timeout(CLOSE_S):
                await self._phone.close()

    def _end(self, ended: Ended) -> None:
        self.outcome = Outcome(
            ended.reason,
            fallback=ended.fallback,
            transfer=ended.transfer,
            usage=self._call.usage,
            interruptions=self._call.floor.interruptions,
            unknown=self._call.unknown,
        )
        self._done.set()

    def _stop(self, reason: str, *, fallback: bool = False) -> None:
        self._perform(self._call.stop(reason, self._clock(), fallback=fallback))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the pumps, and be waited for; after the end nothing is left to run."""
        if self._group is None:
            work.close()
        else:
            self._group.create_task(work)
