"""The calls that this process carries, those it has just offered a stream, and their hand-over.

While it drains, no new stream is offered, and Twilio is expected to ask what follows each one that
closes. Waiting for all that is the server's business.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from ivr.admission import Admission, Refusal

OFFER_SECONDS = 20.0
ASKING_SECONDS = 3.0  # Twilio asks as soon as a stream has closed


class Stream(Protocol):
    """A call that can be ended from outside."""

    @property
    def is_saying_goodbye(self) -> bool: ...

    def stop(self) -> None:
        """Close the stream because the server stops, and note that."""


@dataclass(slots=True)
class _Place:
    stream: Stream | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)


class LiveCalls:
    """Who is being talked to; knows no socket and no row."""

    def __init__(self, admission: Admission, clock: Callable[[], float] = time.monotonic) -> None:
        self.admission = admission
        self.is_draining = False
        self.is_hurried = False
        self._is_stopping = False
        self._clock = clock
        self._carried: dict[str, _Place] = {}
        self._offered: dict[str, float] = {}  # call SID -> until when its place is kept
        self._unasked: dict[str, float] = {}  # call SID -> until when Twilio may ask what follows

    def __len__(self) -> int:
        return len(self._carried)

    def __contains__(self, call_sid: str) -> bool:
        return call_sid in self._carried

    def offer(self, call_sid: str, *, comes_back: bool = False) -> Refusal | None:
        """Keep a place for a call until its stream opens, or return why there is none.

        A call that `comes_back` after its stream broke is ours already, whatever the load.
        """
        now = self._clock()
        is_known = comes_back or call_sid in self._carried or call_sid in self._offers(now)
        refusal = None if is_known else self.admission.ask(now, taken=self.taken)
        if refusal is None:
            self._offered[call_sid] = now + OFFER_SECONDS
        return refusal

    def withdraw(self, call_sid: str) -> None:
        """Free the place of a call that is over before its stream opened."""
        self._offered.pop(call_sid, None)
        self._unasked.pop(call_sid, None)

    @contextmanager
    def carry(self, call_sid: str) -> Iterator[None]:
        """Count the call while its stream is open."""
        self._offered.pop(call_sid, None)
        place = self._carried[call_sid] = _Place()
        try:
            yield
        finally:
            place.left.set()
            if self._carried.get(call_sid) is place:  # else its next stream is open already
                del self._carried[call_sid]
            if self.is_draining:
                self._unasked[call_sid] = self._clock() + ASKING_SECONDS

    async def left(self, call_sid: str, *, seconds: float) -> None:
        """Wait until the stream that is open here, if any, is closed and written down."""
        place = self._carried.get(call_sid)
        if place is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await place.left.wait()

    def attach(self, call_sid: str, stream: Stream) -> None:
        """Name what ends the stream of a carried call."""
        self._carried[call_sid].stream = stream
        if self._is_stopping:
            stream.stop()

    def asked(self, call_sid: str) -> None:
        """Note that Twilio asks what follows the call's stream."""
        self._unasked.pop(call_sid, None)

    def drain(self) -> None:
        """Take no new streams from now on; told a second time, wait for nobody."""
        self.is_hurried = self.is_draining
        self.is_draining = True

    def stop_streams(self, *, goodbyes: bool) -> None:
        """Close every stream, and those that open later; only if told in the middle of goodbyes."""
        self._is_stopping = True
        for place in list(self._carried.values()):
            if place.stream is not None and (goodbyes or not place.stream.is_saying_goodbye):
                place.stream.stop()

    @property
    def taken(self) -> int:
        """How many places are taken, by calls and by offers."""
        return len(self._carried.keys() | self._offers(self._clock()).keys())

    @property
    def refusal(self) -> Refusal | None:
        """Why the next new call would be turned away; None when it would not."""
        return self.admission.judge(self._clock(), taken=self.taken)

    @property
    def is_handed_over(self) -> bool:
        """Whether no stream is open and Twilio has asked about each, or had the time to."""
        now = self._clock()
        return not self._carried and all(until <= now for until in self._unasked.values())

    def _offers(self, now: float) -> dict[str, float]:
        self._offered = {sid: until for sid, until in self._offered.items() if until > now}
        return self._offered
