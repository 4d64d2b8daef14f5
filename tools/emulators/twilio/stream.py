"""One media stream: the websocket that Twilio opens for <Connect><Stream>, with both directions.

It plays the server's audio by the clock, sends the caller's voice every 20 ms, and is strict about
each message. What happens after the stream is the interpreter's business.
"""

import asyncio
import contextlib
import itertools
import json
from collections import deque
from collections.abc import Iterable
from email.utils import formatdate
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from tools.emulators.twilio import frames, oddities
from tools.emulators.twilio.account import new_sid
from tools.emulators.twilio.clock import Clock
from tools.emulators.twilio.playout import Playout
from tools.emulators.twilio.record import Record
from tools.emulators.twilio.twiml import Verb
from tools.emulators.twilio.webhooks import UnknownHost

TICKS_PER_KEY = 5  # a key each 100 ms


class Stream:
    """A bidirectional stream; `run` lasts until the server closes it, `end` is Twilio's own way."""

    def __init__(self, record: Record, noun: Verb, status_url: str | None) -> None:
        self.sid = new_sid("MZ")
        self.url = noun.get("url")
        self.name = noun.get("name", self.sid)
        self.parameters = {c.get("name"): c.get("value") for c in noun.children}
        self.heard_before = len(record.heard)  # what earlier streams have played
        self.is_open = False
        self.has_started = False
        self.voice_sent = 0  # bytes of the caller's voice that went out
        self.keys_sent = 0
        self.playout = Playout(record.heard)
        self.clock: Clock = record.clock
        self._record = record
        self._account = record.account
        self._faults = record.account.faults
        self._status_url = status_url
        self._status_method = noun.get("statusCallbackMethod", "POST")
        self._socket: ClientConnection | None = None
        self._sequence = itertools.count(1)
        self._sending = asyncio.Lock()
        self._voice = bytearray()
        self._keys: deque[str] = deque()
        self._echoes: deque[tuple[float, str]] = deque()  # (due, mark)
        self.oddities_done: set[str] = set()

    # the caller's side

    def speak(self, ulaw: bytes) -> int:
        """Queue the caller's voice; return what `voice_sent` will be when it is all said."""
        self._voice += ulaw
        return self.voice_sent + len(self._voice)

    def press(self, keys: str) -> int:
        """Queue key presses; return what `keys_sent` will be after the last."""
        self._keys.extend(keys)
        return self.keys_sent + len(self._keys)

    # its life

    async def run(self) -> None:
        """Open the stream and keep it until the server closes it; a refusal is only logged."""
        self._socket = await self._open()
        if self._socket is None:
            self._report("stream-error")
            return
        self.clock = Clock(self._account.speed)
        listening = asyncio.create_task(self._listen(self._socket))
        talking = asyncio.create_task(self._talk())
        try:
            await asyncio.wait({listening, talking}, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            await _stop(listening, talking)
        await self._socket.wait_closed()
        self._note_close(self._socket)

    async def end(self, *, drop: bool = False) -> None:
        """End it from Twilio's side: `stop`, then close; `drop` just loses the connection."""
        if self._socket is None or not self.is_open:
            return
        if drop:
            self._socket.transport.abort()
        else:
            await self._say_goodbye(self._socket)
        self._closed("by Twilio" if not drop else "connection lost")

    async def _say_goodbye(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            if not self._faults.close_without_stop:
                await self.send(frames.stop(self._account.sid, self._record.sid))
        if not self._faults.stop_without_close:
            await socket.close()

    async def lose(self) -> None:
        """Break the connection under the stream; the call itself lives on."""
        assert self._socket is not None, "no stream to lose"
        self._socket.transport.abort()
        await self._socket.wait_closed()

    async def shut(self) -> None:
        """Close what a fault may have left open."""
        if self._socket is not None:
            await self._socket.close()

    async def _open(self) -> ClientConnection | None:
        record = self._record
        record.note("connect", self.url)
        max_queue = 4 if self._faults.stuck_reader else None
        try:
            return await self._account.dial_stream(self.url, max_queue=max_queue)
        except UnknownHost as error:
            record.violation(str(error))
            record.error("31902", str(error))
        except InvalidStatus as error:
            record.error("31920", f"handshake answered with {error.response.status_code}")
        except (InvalidHandshake, EOFError) as error:
            record.error("31920", f"handshake failed: {error}")
        except TimeoutError:
            record.error("31901", "connection timeout")
        except OSError as error:
            record.error("31902", f"connection refused: {error}")
        return None

    def _note_close(self, socket: ClientConnection) -> None:
        if not self.is_open:
            return
        code = socket.close_code
        if code not in (1000, 1001, 1005):
            self._record.error("31921", f"stream closed abnormally, code {code}")
        self._closed(f"by the server, code {code}")

    def _closed(self, how: str) -> None:
        self.is_open = False
        self._record.note("closed", how)
        self._report("stream-stopped")

    def _report(self, event: str) -> None:
        """Send the stream's status callback, if its noun has asked for one."""
        if self._status_url is None:
            return
        fields = {
            "AccountSid": self._account.sid,
            "CallSid": self._record.sid,
            "StreamSid": self.sid,
            "StreamName": self.name,
            "StreamEvent": event,
            "Timestamp": formatdate(usegmt=True),
        }
        if event == "stream-error":
            fields["StreamError"] = self._record.errors[-1]
        self._account.background(self._deliver(self._status_url, fields))

    async def _deliver(self, url: str, fields: dict[str, str]) -> None:
        exchange = await self._account.webhooks.send(url, fields, method=self._status_method)
        self._record.status_callbacks.append(exchange)

    # Twilio -> server

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message, numbered; raises ConnectionClosed."""
        assert self._socket is not None, "the stream is not open"
        if self._faults.extra_fields:
            message = frames.with_extra_fields(message)
        async with self._sending:
            if message["event"] != "connected":
                sequence = str(next(self._sequence))
                message = {**message, "streamSid": self.sid, "sequenceNumber": sequence}
            await self._socket.send(json.dumps(message))

    async def send_raw(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        assert self._socket is not None, "the stream is not open"
        await self._socket.send(frame)

    def start_message(self) -> dict[str, Any]:
        """Build this stream's `start`."""
        return frames.start(self._account.sid, self._record.sid, self.sid, self.parameters)

    async def _talk(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self.send(frames.CONNECTED)
            await self.clock.until(frames.FRAME_MS)  # who speaks before `start` is caught here
            self.clock = Clock(self._account.speed)
            self.is_open = True
            await self.send(self.start_message())
            self.has_started = True
            self._record.note("stream", self.sid)
            self._report("stream-started")
            for number in itertools.count():
                await self.clock.until(number * frames.FRAME_MS)
                await self._tick(number)

    async def _tick(self, number: int) -> None:
        if self._faults.frames_stop:
            return
        await self.send(frames.media(number + 1, number * frames.FRAME_MS, self._next_frame()))
        if self._keys and number % TICKS_PER_KEY == 0:
            await self.send(frames.dtmf(self._keys.popleft()))
            self.keys_sent += 1
        await oddities.perform(self, self._record)
        await self._echo(self.playout.advance(self.clock.now_ms()))
        self._record.facts.changed()

    def _next_frame(self) -> bytes:
        if not self._voice:
            return frames.SILENT_FRAME
        frame = bytes(self._voice[: frames.FRAME_BYTES])
        del self._voice[: frames.FRAME_BYTES]
        self.voice_sent += len(frame)
        return frame.ljust(frames.FRAME_BYTES, bytes([frames.SILENCE]))

    async def _echo(self, reached: Iterable[str]) -> None:
        now = self.clock.now_ms()
        if not self._faults.marks_never:
            self._echoes.extend((now + self._faults.mark_delay_ms, name) for name in reached)
        while self._echoes and self._echoes[0][0] <= now:
            name = self._echoes.popleft()[1]
            self._record.marks_echoed.append(name)
            self._record.mark_positions[name] = len(self._record.heard)
            await self.send(frames.mark(name))

    # server -> Twilio

    async def _listen(self, socket: ClientConnection) -> None:
        if self._faults.stuck_reader:
            await socket.wait_closed()
            return
        with contextlib.suppress(ConnectionClosed):
            async for frame in socket:
                await self._take(frame)

    async def _take(self, frame: str | bytes) -> None:
        try:
            message = frames.check_outbound(frame, self.sid if self.is_open else None)
        except frames.InvalidMessage as error:
            self._record.errors.append(error.code)
            self._record.violation(f"stream message: {error}")
            return
        self._record.received.append(message)
        await self._obey(message)
        self._record.facts.changed()

    async def _obey(self, message: dict[str, Any]) -> None:
        now = self.clock.now_ms()
        match message["event"]:
            case "media":
                reached = self.playout.advance(now)
                if not self.playout.add(frames.payload_of(message), now):
                    self._record.errors.append("31931")
                    self._record.violation("31931 more than 10 minutes of audio queued; dropped")
            case "mark":
                self.playout.mark(message["mark"]["name"])
                reached = self.playout.advance(now)
            case _:
                self._record.clear_count += 1
                reached = self.playout.clear(now)
        await self._echo(reached)


async def _stop(*tasks: "asyncio.Task[None]") -> None:
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
