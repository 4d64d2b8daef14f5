"""Carries a call between Twilio's socket and the model's.

It decides nothing: events go to the `Call`, its commands are carried out. Nothing that could be
slow happens on the way of a frame: no database, no log line, no task, nothing to wait for.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import structlog
from websockets.exceptions import InvalidStatus, WebSocketException

from . import media_stream, realtime
from .call import Call, Event
from .commands import (
    CallerGone,
    ClearTwilio,
    Command,
    ConnectModel,
    DropModel,
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
from .lane import Lane, Outlet
from .phase import Phase
from .usage import Usage

log = structlog.get_logger(__name__)

HEARTBEAT_S = 0.5  # the longest that anything due has to wait
STUCK_S = 5.0
LOST_S = 10.0
HANG_UP_S = 2.0
TOOL_S = 10.0
WIND_UP_S = TOOL_S + 5  # for what is still under way at the end
TOOL_FAILED = '{"error": "that did not work just now; say so, and go on without it"}'


class Phone(Outlet, Protocol):
    """Twilio's socket, already accepted and past its `start`."""

    async def listen(self, deliver: Callable[[str], None]) -> None:
        """Deliver each text at once, without a task; return when the socket is closed."""

    async def close(self) -> None: ...


class Model(Outlet, Protocol):
    """The model's socket."""

    async def listen(self, deliver: Callable[[str | bytes], None]) -> None:
        """Deliver each message at once, without a task; raises when the socket breaks."""

    async def close(self) -> None:
        """Close it in bounded time: cut off a peer that does not let it close."""


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
    """How a call ended, and what it took."""

    reason: str
    usage: Usage = field(default_factory=Usage)
    interruptions: int = 0
    unknown: int = 0


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
        self._to_phone = Lane()
        self._to_model = Lane()
        self._models: dict[int, Model | None] = {}  # by session; None while it is being opened
        self._session = 0  # the one that was connected last
        self._done = asyncio.Event()
        self._bug: Exception | None = None
        self._pumps: list[asyncio.Task[None]] = []
        self._group: asyncio.TaskGroup | None = None
        self._frames = self._frames_seen = 0
        self._frame_seen_at = clock()

    async def run(self) -> Outcome:
        """Carry the call until it ends, tools and all; closes both sockets."""
        self._to_phone.open(self._phone)
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

    @property
    def is_saying_goodbye(self) -> bool:
        """Whether the closing words are on their way to the caller."""
        return self._call.phase is Phase.CLOSING

    def stop(self, reason: str = EndReason.SERVER_STOPPED) -> None:
        """End the stream; when that is because the server stops, Twilio then asks who goes on."""
        try:
            self._stop(reason)
        except Exception as error:  # who stops us has others to stop
            self._break(error)

    @property
    def usage(self) -> Usage:
        """Return what the call's models have taken so far."""
        return self._call.usage

    def line_closed(self) -> None:
        """Twilio says that the call is over, though its stream may not have told us."""
        self._feed(CallerGone())

    async def _carry(self) -> None:
        try:
            async with asyncio.timeout(None) as patience, asyncio.TaskGroup() as self._group:
                self._pump(self._from_phone())
                self._pump(self._watch_clock())
                self._perform(self._call.start(self._clock()))
                await self._done.wait()
                if self._bug is not None:
                    raise self._bug
                patience.reschedule(asyncio.get_running_loop().time() + WIND_UP_S)
                for pump in self._pumps:
                    pump.cancel()
        finally:
            self._group = None

    async def _from_phone(self) -> None:
        await self._phone.listen(self._hear)
        self._feed(CallerGone())

    def _hear(self, frame: str) -> None:
        self._frames += 1
        self._feed(media_stream.parse(frame))

    async def _from_model(self, session: int) -> None:
        lost = EndReason.MODEL_UNREACHABLE
        try:
            async with self._connect() as model:
                lost = EndReason.MODEL_LOST
                await self._listen(session, model)
        except InvalidStatus as error:
            lost = EndReason.MODEL_REFUSED
            log.warning("model refused", status=error.response.status_code)
        except (OSError, WebSocketException) as error:
            log.warning("model gone", error=type(error).__name__)
        self._feed(ModelGone(lost, session))

    async def _listen(self, session: int, model: Model) -> None:
        if session not in self._models:  # dropped before it was there
            return
        self._models[session] = model
        self._talk_to(session, model)
        self._feed(ModelConnected(session))
        await model.listen(partial(self._hear_model, session))

    def _talk_to(self, session: int, model: Model) -> None:
        self._session = session
        self._to_model.open(model)

    def _drop(self, session: int) -> None:
        """Close a session; when it was connected last, the one that it came beside serves on."""
        self._spawn(_end(self._models.pop(session, None)))
        if session == self._session:
            for other, model in self._models.items():
                if model is not None:
                    self._talk_to(other, model)

    def _hear_model(self, session: int, message: str | bytes) -> None:
        if session in self._models:
            self._feed(realtime.parse(message))

    async def _watch_clock(self) -> None:
        while True:
            pause_s = min(self._call.wake_at - self._clock(), HEARTBEAT_S)
            await asyncio.sleep(max(pause_s, 0.001))
            now = self._clock()
            commands = self._call.tick(now)
            if self._is_phone_lost(now):
                commands += self._call.receive(CallerGone(EndReason.PHONE_LOST), now)
            if self._to_phone.is_stuck(now, STUCK_S):
                commands += self._call.receive(CallerGone(EndReason.PHONE_STUCK), now)
            if self._to_model.is_stuck(now, STUCK_S):
                commands += self._call.receive(ModelGone(EndReason.MODEL_STUCK, self._session), now)
            self._perform(commands)

    def _is_phone_lost(self, now: float) -> bool:
        """Whether no frame has come for long: Twilio sends fifty a second, of silence too."""
        if self._frames != self._frames_seen:
            self._frames_seen, self._frame_seen_at = self._frames, now
        return now - self._frame_seen_at > LOST_S

    def _feed(self, event: Event | None) -> None:
        try:
            self._perform(self._call.receive(event, self._clock()))
        except Exception as error:  # the socket that called us can do nothing about it
            self._break(error)

    def _break(self, bug: Exception) -> None:
        """Leave a bug of ours to `run`."""
        self._bug = bug
        self._done.set()

    def _perform(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case ToModel(message=message):
                    self._to_model.put(message)
                case ToTwilio(frame=frame) | ClearTwilio(frame=frame):
                    self._to_phone.put(frame)
                case RunTool():
                    self._spawn(self._run_tool(command))
                case RecordTurn():
                    self._effects.record(command)
                case ConnectModel(session=session):
                    self._models[session] = None
                    self._pump(self._from_model(session))
                case DropModel(session=session):
                    self._drop(session)
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
            self._feed(ToolFinished(tool.call_id, TOOL_FAILED))
            return
        self._feed(ToolFinished(tool.call_id, answer.output, answer.ends, answer.transfer))

    async def _hang_up(self) -> None:
        with contextlib.suppress(TimeoutError):  # stuck, and closed anyway
            async with asyncio.timeout(HANG_UP_S):
                await _end(self._phone)

    def _end(self, ended: Ended) -> None:
        self.outcome = Outcome(
            ended.reason,
            usage=self._call.usage,
            interruptions=self._call.floor.interruptions,
            unknown=self._call.unknown,
        )
        self._done.set()

    def _stop(self, reason: str, *, fallback: bool = False) -> None:
        self._perform(self._call.stop(reason, self._clock(), fallback=fallback))

    def _pump(self, work: Coroutine[Any, Any, None]) -> None:
        """Run until the call is over."""
        if self._group is None:
            work.close()
        else:
            self._pumps.append(self._group.create_task(work))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run beside the pumps, and be waited for; after the end nothing is left to run."""
        if self._group is None:
            work.close()
        else:
            self._group.create_task(work)


async def _end(peer: Phone | Model | None) -> None:
    """Close it; its reader notices, and leaves."""
    if peer is not None:
        with contextlib.suppress(Exception):  # the other side has closed it already
            await peer.close()
