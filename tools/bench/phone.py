"""A caller and Twilio's side of the call: webhook, stream, 50 frames a second, play-out, end."""

import base64
import os
import re
from collections import deque
from typing import TYPE_CHECKING

from tools.emulators.twilio.signing import sign

from . import stamp
from .http import Answer, post
from .loop import BEAT_S, Connection, clock
from .websocket import CLOSE, PING, PONG, TEXT, Frames, client_frame

if TYPE_CHECKING:
    from .world import World

ORIGIN = "https://ivr.example.test"
CALLED = "+18005551212"
RING, AFTER, STATUS = (
    "/twilio/voice-realtime-proxied",
    "/twilio/voice/after",
    "/twilio/voice/status",
)
STREAM = "/twilio/voice/stream"
PATIENCE_S = 5.0  # for which a caller waits after the goodbye that the server hangs up

_TOKEN = re.compile(rb'name="token" value="([^"]+)"')
_EVENT = re.compile(rb'"event":\s*"(\w+)"')
_PAYLOAD = re.compile(rb'"payload":\s*"([^"]*)"')
_NAME = re.compile(rb'"name":\s*"([^"]*)"')
_MEDIA = (
    b'{"event":"media","sequenceNumber":"%%d","streamSid":"%s","media":{"track":"inbound",'
    b'"chunk":"%%d","timestamp":"%%d","payload":"%%s%s"}}'
)


class Phone:
    """One call; `number` is its own in the whole run."""

    def __init__(self, world: "World", number: int, seconds: float) -> None:
        self.number = number
        self.caller = f"+1770{2_000_000 + number:07}"
        self.seconds = seconds
        self.call_sid = f"CA{number:032x}"
        self.stream_sid = f"MZ{number:032x}"
        self.sent = 0
        self.interrupted_at = 0.0  # when the model said so; 0 when no `clear` is due
        self._world = world
        self._rang_at = 0.0
        self._connection: Connection | None = None
        self._frames: Frames | None = None
        self._media = _MEDIA % (self.stream_sid.encode(), stamp.filler(stamp.FRAME_BYTES))
        self._began = 0.0
        self._sequence = 1
        self._has_heard = False
        self._expected = 0  # the next delta of the model
        self._left = 0  # bytes that are still to come of the one before
        self._marks: deque[tuple[float, bytes]] = deque()
        self._played_until = 0.0

    @property
    def leaves(self) -> bool:
        """Whether the caller hangs up, rather than waiting for the goodbye."""
        return self._world.is_bare or self.number % self._world.leave_every == 0

    def ring(self) -> None:
        """Call: from here on everything follows by itself."""
        self._rang_at = clock()
        self._post(RING, "ringing", self._answered)

    def _answered(self, status: int, body: bytes) -> None:
        token = _TOKEN.search(body)
        self._world.note_webhook(self._rang_at, status, is_refused=token is None)
        if token is None:
            self._refused(is_asked=b"<Gather" in body)
            return
        self._token = token[1].decode()
        self._connection = self._world.loop.connect(self._world.port)
        self._connection.received = self._upgraded
        self._connection.closed = self._closed
        self._connection.send(self._upgrade())

    def _refused(self, *, is_asked: bool) -> None:
        """Instead of a voice there is the keypad road, or nothing; this caller puts down."""
        self._world.refused(self, answered=is_asked)
        self._post(STATUS, "completed", lambda _status, _body: self._world.call_over(self))

    def _upgrade(self) -> bytes:
        key = base64.b64encode(os.urandom(16)).decode()
        signature = sign(self._world.token, ORIGIN.replace("https", "wss", 1) + STREAM)
        return (
            f"GET {STREAM} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            f"X-Twilio-Signature: {signature}\r\n\r\n"
        ).encode()

    def _upgraded(self, data: bytes) -> None:
        head, _, rest = data.partition(b"\r\n\r\n")
        if b" 101 " not in head[:16] or self._connection is None:
            self._world.figures.problem("stream refused")
            return
        self._frames = Frames()
        self._connection.received = self._received
        self._connection.send(client_frame(_CONNECTED) + client_frame(self._start()))
        self._began = clock()
        self._world.stream_opened(self)
        self._world.loop.beat(self._beat)
        if rest:
            self._received(rest)

    def _start(self) -> bytes:
        return (
            f'{{"event":"start","sequenceNumber":"1","streamSid":"{self.stream_sid}",'
            f'"start":{{"accountSid":"{self._world.sid}","streamSid":"{self.stream_sid}",'
            f'"callSid":"{self.call_sid}","tracks":["inbound"],"mediaFormat":'
            '{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},'
            f'"customParameters":{{"token":"{self._token}"}}}}}}'
        ).encode()

    # Fifty times a second

    def _beat(self) -> bool:
        if self._connection is None or not self._connection.is_open:
            return False
        now = clock()
        self.sent += 1
        self._sequence += 1
        digits = stamp.stamp(self._world.microseconds(now), self.sent, self.number)
        chunk = self.sent
        text = self._media % (self._sequence, chunk, chunk * 20, digits)
        self._connection.send(client_frame(text))
        if now >= self._world.figures.opened_at:
            self._world.figures.sent += 1
        if self._marks and self._marks[0][0] <= now:
            self._echo(now)
        return True

    def _echo(self, now: float) -> None:
        assert self._connection is not None, "a mark came over it"
        while self._marks and self._marks[0][0] <= now:
            self._sequence += 1
            echo = b'{"event":"mark","sequenceNumber":"%d","streamSid":"%s","mark":{"name":"%s"}}'
            name = self._marks.popleft()[1]
            self._connection.send(
                client_frame(echo % (self._sequence, self.stream_sid.encode(), name))
            )

    # What comes from the server

    def _received(self, data: bytes) -> None:
        now = clock()
        assert self._frames is not None and self._connection is not None, "upgraded"
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT:
                self._take(payload, now)
            elif opcode == PING:
                self._connection.send(client_frame(payload, PONG))
            elif opcode == CLOSE:
                self._connection.send(client_frame(payload, CLOSE))

    def _take(self, text: bytes, now: float) -> None:
        event = _EVENT.search(text)
        if audio := _PAYLOAD.search(text):
            self._hear(audio[1], now)
        elif event and event[1] == b"mark" and (name := _NAME.search(text)):
            self._marks.append((max(self._played_until, now), name[1]))
        elif event and event[1] == b"clear":
            self._clear(now)
        else:
            self._world.figures.problem("a frame that Twilio does not know")

    def _hear(self, audio: bytes, now: float) -> None:
        if not self._has_heard:
            self._has_heard = True
            self._world.note_first_audio(now - self._rang_at)
        size = stamp.size(audio)
        self._played_until = max(self._played_until, now) + size / stamp.BYTES_PER_S
        if self._left == 0:
            self._begin_delta(audio, now)
            self._left = stamp.DELTA_BYTES
        self._left -= size
        if self._left < 0:
            self._left = 0
            self._world.figures.problem("a piece with more than one delta")

    def _begin_delta(self, audio: bytes, now: float) -> None:
        read = stamp.read(audio)
        if read is None:
            self._world.figures.lost += 1
            return
        left_at, number, _ = read
        self._world.note_down(now, left_at)
        self._world.count_gap(self._expected, number)
        self._expected = number + 1

    def _clear(self, now: float) -> None:
        """Forget what is queued; every mark comes back at once."""
        self._marks = deque((now, name) for _, name in self._marks)
        self._played_until = now
        self._left = 0
        session = self._world.session_of(self.number)
        if session is not None:
            self._expected = session.deltas  # what was on its way may be dropped
        if self.interrupted_at:
            self._world.note_clear(now, self.interrupted_at)
            self.interrupted_at = 0.0
        self._echo(now)

    # The end

    def said_goodbye(self) -> None:
        """The model has ended the conversation: the caller leaves, or waits for the hang-up."""
        played = max(0.0, self._played_until - clock())
        if self.leaves:
            self._world.loop.after(played + BEAT_S, self.hang_up)
        else:
            self._world.loop.after(played + PATIENCE_S, self._lose_patience)

    def hang_up(self) -> None:
        """Put the receiver down."""
        if self._connection is None or not self._connection.is_open:
            return
        stop = '{"event":"stop","sequenceNumber":"%d","streamSid":"%s","stop":{"callSid":"%s"}}'
        text = stop % (self._sequence + 1, self.stream_sid, self.call_sid)
        self._connection.send(client_frame(text.encode()) + client_frame(b"\x03\xe8", CLOSE))
        self._connection.close()
        self._over("completed")

    def _lose_patience(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._world.figures.problem("not hung up after the goodbye")
            self.hang_up()

    def _closed(self) -> None:
        if self._frames is None:
            self._world.figures.problem("stream refused")
            return
        if not self._world.was_said(self.number):
            self._world.figures.broken += 1
        self._over("in-progress")

    def _over(self, status: str) -> None:
        self._world.stream_closed(self)
        if not self._world.is_bare:
            self._post(AFTER, status, self._told)

    def _told(self, status: int, body: bytes) -> None:
        if status != 200 or b"<Hangup" not in body:
            self._world.figures.problem("no <Hangup> after the stream")
        self._post(STATUS, "completed", lambda _status, _body: self._world.call_over(self))

    def _post(self, path: str, status: str, answer: Answer) -> None:
        form = {
            "CallSid": self.call_sid,
            "AccountSid": self._world.sid,
            "From": self.caller,
            "To": CALLED,
            "CallStatus": status,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
        }
        signature = sign(self._world.token, ORIGIN + path, form.items())
        post(self._world.loop, self._world.port, path, form, signature, answer)


_CONNECTED = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'
