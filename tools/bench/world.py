"""Everybody the server deals with: phones, the model, the text model, the buyer, Twilio's REST."""

import json
from collections.abc import Callable
from functools import partial
from random import Random

from . import script
from .figures import CallSeconds, Figures
from .http import Reply, Server
from .loop import Connection, Loop, clock
from .model import Session
from .phone import Phone

SID, TOKEN = "AC" + "0" * 32, "a-token-of-the-benchmark"
EXTRACTION_S = 0.5  # how long the text model takes
BUYER_S = 0.1
AGAIN_S = 0.1  # from the end of a call to the next one in its place


class World:
    """The surroundings of one server, for one run."""

    def __init__(
        self, *, seed: int = 1, length_s: float = 120.0, is_bare: bool = False, slow: bool = True
    ) -> None:
        self.loop = Loop()
        self.figures = Figures()
        self.seconds = CallSeconds(clock)
        self.is_bare = is_bare
        self.sid, self.token = SID, TOKEN
        self.leave_every = script.LEAVE_EVERY
        self.port = 0  # the server's
        self.vendors_port = self.loop.listen(self._open)
        self.refusals: list[Phone] = []
        self.transcripts_read = 0
        self._epoch = clock()
        self._random = Random(seed)
        self._length_s = length_s
        self._slow = slow
        self._phones: dict[int, Phone] = {}
        self._sessions: dict[int, Session] = {}
        self._said: set[int] = set()
        self._extraction = script.extraction()
        self._is_filling = True
        self._numbers = 0
        self._records = 0

    # Calls come and go

    def ring(self, seconds: float) -> None:
        """Have somebody call."""
        self._numbers += 1
        self.figures.started += 1
        Phone(self, self._numbers, seconds).ring()

    def fill(self, count: int, ramp_s: float) -> None:
        """Have so many call one after the other, and replace each that ends.

        The first ones are of all lengths, as if they had begun long ago: so calls end and begin
        evenly from the start.
        """
        for number in range(count):
            seconds = self._random.uniform(script.SHORTEST_S, self._length_s)
            at = clock() + ramp_s * (number + self._random.random()) / count
            self.loop.at(at, partial(self.ring, seconds))

    def stop_filling(self) -> None:
        """Let nobody call any more."""
        self._is_filling = False

    def stream_opened(self, phone: Phone) -> None:
        self.seconds.begin()
        self._phones[phone.number] = phone

    def stream_closed(self, phone: Phone) -> None:
        self.seconds.end()
        self._phones.pop(phone.number, None)
        self._sessions.pop(phone.number, None)
        self._said.discard(phone.number)
        if self._is_filling:
            self.loop.after(AGAIN_S, partial(self.ring, self._length_s))

    def call_over(self, phone: Phone) -> None:
        """Twilio's last webhook about a call was answered: its lead is due."""
        self.figures.ended.append(phone.caller)

    def refused(self, phone: Phone, *, answered: bool) -> None:
        """No stream was offered; `answered` says whether the caller hears something instead."""
        self.figures.refused += 1
        if answered:
            self.refusals.append(phone)
        else:
            self.figures.problem("a caller was left without an answer")

    # What the two ends of a call need of each other

    def join(self, number: int, session: Session) -> None:
        self._sessions[number] = session

    def phone(self, number: int) -> Phone:
        """Return the phone of a call that goes on."""
        return self._phones[number]

    def session_of(self, number: int) -> Session | None:
        return self._sessions.get(number)

    def plan_of(self, number: int) -> tuple[float, str]:
        """Return the length of a call and its caller's number."""
        phone = self._phones.get(number)
        return (phone.seconds, phone.caller) if phone else (0.0, "")

    def interrupted(self, number: int) -> None:
        """The model tells the server that the caller breaks in: a `clear` is due."""
        phone = self._phones.get(number)
        if phone is None or self.is_bare:
            return
        if phone.interrupted_at:
            self.figures.not_cleared += 1
        phone.interrupted_at = clock()

    def said_goodbye(self, number: int) -> None:
        self._said.add(number)
        if phone := self._phones.get(number):
            phone.said_goodbye()

    def was_said(self, number: int) -> bool:
        """Whether the goodbye of a call was said."""
        return number in self._said

    def in_flight(self, older_than_s: float) -> int:
        """Return the frames that left so long ago and have not arrived at the model."""
        grace = round(older_than_s / 0.02)
        return sum(
            max(0, phone.sent - session.heard - grace)
            for number, phone in self._phones.items()
            if (session := self._sessions.get(number))
        )

    # What is written down

    def microseconds(self, now: float) -> int:
        return int((now - self._epoch) * 1e6)

    def note_up(self, now: float, left_at: int) -> None:
        left = self._epoch + left_at / 1e6
        if left >= self.figures.opened_at:
            self.figures.up.append(now - left)

    def note_down(self, now: float, left_at: int) -> None:
        left = self._epoch + left_at / 1e6
        if left >= self.figures.opened_at:
            self.figures.down.append(now - left)

    def note_clear(self, now: float, since: float) -> None:
        if since >= self.figures.opened_at:
            self.figures.clear.append(now - since)

    def note_webhook(self, since: float, status: int, *, is_refused: bool) -> None:
        if status != 200:
            self.figures.problem(f"webhook answered {status}")
        if since >= self.figures.opened_at:
            sheet = self.figures.refusal if is_refused else self.figures.webhook
            sheet.append(clock() - since)

    def note_first_audio(self, seconds: float) -> None:
        if clock() - seconds >= self.figures.opened_at:
            self.figures.first_audio.append(seconds)

    def count_gap(self, expected: int, number: int) -> None:
        if number > expected:
            self.figures.lost += number - expected
        elif number < expected:
            self.figures.disordered += 1

    # The vendors, all on one port

    def _open(self, connection: Connection) -> None:
        def begin(data: bytes) -> None:
            if data.startswith(b"GET ") and b"/realtime?" in data[:200]:
                Session(self, connection)
            else:
                Server(connection, self._serve)
            connection.received(data)

        connection.received = begin

    def _serve(self, path: str, body: bytes, reply: Reply) -> None:
        if path.endswith("/chat/completions"):
            self.transcripts_read += 1
            self._later(EXTRACTION_S, lambda: reply(self._extraction))
        elif path.endswith("/LeadCreate"):
            self._records += 1
            caller = json.loads(body)["phone"]
            times = self.figures.delivered.get(caller, 0)
            self.figures.delivered[caller] = times + 1
            answer = b'{"success":true,"message":"","recordID":%d}' % self._records
            self._later(BUYER_S, lambda: reply(answer))
        else:
            reply(b"{}")

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.loop.after(seconds if self._slow else 0.0, act)
