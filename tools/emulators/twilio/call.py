"""One call, from the ring to its end: the caller's hands, voice and ears, for tests to use.

All times are call time (they run `speed` times faster); patience is real time.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from tools.emulators.twilio.account import Account, new_sid
from tools.emulators.twilio.interpreter import Fetch, Interpreter
from tools.emulators.twilio.playout import BYTES_PER_MS
from tools.emulators.twilio.record import Question, Record
from tools.emulators.twilio.stream import Stream
from tools.emulators.twilio.twiml import Verb

QUIET_MS = 600.0
STALL_S = 0.25  # of real time: a machine that stalls so long is not the end of a sentence


@dataclass(frozen=True, slots=True)
class HangUp:
    """The call ends now; `network_only`: nothing but the lost connection tells anybody."""

    by: str
    network_only: bool = False


@dataclass(frozen=True, slots=True)
class RunInstead:
    """The REST API has given the call another document."""

    step: Fetch | tuple[Verb, ...]


class Call(Record):
    """A caller on the line. Made by `TwilioEmulator.call`."""

    def __init__(self, account: Account, from_: str, to: str, extra_fields: dict[str, str]) -> None:
        super().__init__(account, from_, to)
        self._interpreter = Interpreter(self, extra_fields)
        self._interruption = self._not_interrupted()
        self._quiet_from = 0

    async def live(self) -> None:
        """Ring, run what the server answers, and end; the emulator runs this beside the test."""
        ending: HangUp | RunInstead = RunInstead(Fetch(self.account.voice_url))
        try:
            while isinstance(ending, RunInstead):
                ending = await self._run(self._interpreter.follow(ending.step))
            await self._finish(ending)
        finally:
            self.is_ending = self.over = True
            self.note("ended", self.status)

    # waiting

    async def said(self, text: str) -> str:
        """Wait until <Say> has said something with `text` in it; return all of that."""

        def found() -> list[str]:
            return [saying for saying in self.sayings if text.lower() in saying.lower()]

        await self.until(lambda: bool(found()), f"{text!r} was said")
        return found()[0]

    async def stream(self, number: int = 1) -> Stream:
        """Wait until the `number`-th stream of the call has started."""
        await self.until(lambda: self._started_streams() >= number, f"stream {number} started")
        return [stream for stream in self.streams if stream.has_started][number - 1]

    async def ended(self) -> str:
        """Wait until the call is over, its status callback delivered; return the last status."""
        patience_s = self.account.patience_s
        try:
            await self.facts.wait(lambda: self.over, patience_s)
        except TimeoutError:
            raise AssertionError(f"the call did not end\n{self.story()}") from None
        return self.status

    async def gathering(self) -> Verb:
        """Wait until a <Gather> or <Record> listens; return it."""
        return (await self._asked()).verb

    async def clears(self, count: int = 1) -> None:
        """Wait until the server has sent `clear` that many times."""
        await self.until(lambda: self.clear_count >= count, f"{count} clear")

    async def echoed(self, mark: str) -> None:
        """Wait until Twilio has echoed the mark called `mark`."""
        await self.until(lambda: mark in self.mark_positions, f"mark {mark!r} was echoed")

    async def hears(self, ms: float, *, since: int = 0) -> None:
        """Wait until the caller has heard `ms` of audio behind position `since`."""
        wanted = since + int(ms * BYTES_PER_MS)
        await self.until(lambda: len(self.heard) >= wanted, f"{ms} ms were heard")

    async def quiet(self, ms: float = QUIET_MS) -> bytes:
        """Wait until the assistant has spoken since the last `quiet` and then `ms` of silence.

        What it said in a stream that is gone does not count. Returns what was heard since then.
        """
        began = self._quiet_from
        enough_ms = max(ms, STALL_S * 1000 * self.clock.speed)
        await self.until(
            lambda: self._was_spoken_to(since=began) and self._silent_ms() >= enough_ms, "quiet"
        )
        self._quiet_from = len(self.heard)
        return bytes(self.heard[began:])

    async def replayed(self) -> int | None:
        """Wait for the verdict on the replayed token: close code, HTTP status, None: let in."""
        await self.until(lambda: bool(self.replays), "the replay was answered")
        return self.replays[0]

    def heard_since(self, mark: str | int) -> bytes:
        """Return what was heard after a mark's echo, or behind a position in `heard`."""
        position = mark if isinstance(mark, int) else self.mark_positions[mark]
        return bytes(self.heard[position:])

    # the caller acts

    async def play(self, ulaw: bytes) -> None:
        """Say `ulaw`; returns when the last byte has been sent."""
        stream = await self._open_stream()
        target = stream.speak(ulaw)
        await self._sent(stream, lambda: stream.voice_sent >= target, "the caller had spoken")

    async def start_playing(self, ulaw: bytes) -> None:
        """Begin to say `ulaw`; returns at once when a stream is open."""
        (await self._open_stream()).speak(ulaw)

    async def press(self, keys: str) -> None:
        """Press keys during a stream; returns when the last has been sent."""
        if illegal := set(keys) - set("0123456789*#"):
            raise ValueError(f"no such keys: {sorted(illegal)}")
        stream = await self._open_stream()
        target = stream.press(keys)
        await self._sent(stream, lambda: stream.keys_sent >= target, "the keys were pressed")

    async def answer(
        self,
        *,
        speech: str | None = None,
        digits: str | None = None,
        nothing: bool = False,
        confidence: str = "0.9",
    ) -> None:
        """Answer the present or the next <Gather>, in one of the three ways."""
        if [speech is not None, digits is not None, nothing].count(True) != 1:
            raise ValueError("answer with speech, or digits, or nothing")
        question = await self._asked()
        fields: dict[str, str] = {}
        if speech is not None:
            fields = _spoken_answer(question, speech, confidence)
        if digits is not None:
            fields = _keyed_answer(question, digits)
        self._give(question, fields, str(speech or digits or "nothing"))

    async def leave_message(self, seconds: int) -> None:
        """Speak into the present or the next <Record>."""
        question = await self._asked()
        if question.verb.name != "Record":
            raise ValueError(f"<{question.verb.name}> does not record")
        sid = new_sid("RE")
        url = f"https://api.twilio.com/2010-04-01/Accounts/{self.account.sid}/Recordings/{sid}"
        fields = {"RecordingUrl": url, "RecordingSid": sid, "RecordingDuration": str(seconds)}
        self._give(question, fields, f"a message of {seconds} s")

    async def hang_up(self, *, network_only: bool = False, mid_word: bool = False) -> None:
        """End the call and wait until Twilio is done with it.

        Normally: `stop`, close, status callback. `network_only`: the connection breaks, no
        callback follows. `mid_word` waits first until the assistant is audibly speaking.
        """
        if mid_word:
            await self.until(self._is_audible, "the assistant was speaking")
        self.interrupt(HangUp("the caller", network_only=network_only))
        await self.ended()

    async def lose_stream(self) -> None:
        """Break the stream's connection; Twilio goes on with the Connect action."""
        await (await self._open_stream()).lose()

    def interrupt(self, what: HangUp | RunInstead) -> None:
        """Stop what runs now; an ended call is left alone."""
        if not self._interruption.done():
            self._interruption.set_result(what)

    # inside

    async def _run(self, work: Coroutine[Any, Any, None]) -> HangUp | RunInstead:
        """Run `work` to its end, or until somebody interrupts; return what comes then."""
        interruption = self._interruption
        task = asyncio.create_task(work)
        waiting: set[asyncio.Future[Any]] = {task, interruption}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if not interruption.done():
            return HangUp("Twilio: no more verbs")
        ending = interruption.result()
        if isinstance(ending, RunInstead):
            self._interruption = self._not_interrupted()
            await self._end_streams()
        return ending

    def _not_interrupted(self) -> "asyncio.Future[HangUp | RunInstead]":
        return asyncio.get_running_loop().create_future()

    async def _finish(self, ending: HangUp) -> None:
        was_ringing = self.status == "ringing"
        if self.status in {"ringing", "in-progress"}:
            self.status = "canceled" if was_ringing and "caller" in ending.by else "completed"
        self.seconds = int(self.clock.now_ms() / 1000)
        self.is_ending = True
        self.note("hung up", f"by {ending.by}")
        if ending.network_only:
            await self._end_streams(drop=True)
            return
        if self.account.faults.status_before_close:
            await self._report_status()
        await self._end_streams()
        if not self.account.faults.status_before_close:
            await self._report_status()

    async def _end_streams(self, *, drop: bool = False) -> None:
        for stream in self.streams:
            await stream.end(drop=drop)

    async def _report_status(self) -> None:
        """Send the number's status callback, as often as the faults say."""
        url, faults = self.account.status_url, self.account.faults
        if url is None or faults.status_never:
            return
        fields = {
            **self._interpreter.call_fields(),
            "CallDuration": str(self.seconds),
            "Duration": str(max(1, -(-self.seconds // 60))),
            "Timestamp": formatdate(usegmt=True),
            "SequenceNumber": "0",
            "CallbackSource": "call-progress-events",
        }
        token = new_sid("")
        for _ in range(2 if faults.status_twice else 1):
            exchange = await self.account.webhooks.send(url, fields, idempotency_token=token)
            self.status_callbacks.append(exchange)
            self.note("status", f"{self.status} -> {exchange.status}")
            if exchange.is_failure:
                self.error(exchange.error_code, "status callback failed")

    async def _open_stream(self) -> Stream:
        await self.until(lambda: any(s.is_open for s in self.streams), "a stream was open")
        return next(stream for stream in self.streams if stream.is_open)

    async def _sent(self, stream: Stream, is_sent: Any, what: str) -> None:
        await self.until(lambda: is_sent() or not stream.is_open, what)
        if not is_sent():
            raise AssertionError(f"the stream closed before {what}\n{self.story()}")

    async def _asked(self) -> Question:
        await self.until(lambda: self.question is not None, "a <Gather> or <Record> listened")
        assert self.question is not None, "nobody answers between the wait and here"
        return self.question

    def _give(self, question: Question, fields: dict[str, str], shown: str) -> None:
        self.question = None
        question.answer.set_result(fields)
        self.note("answer", shown)

    def _started_streams(self) -> int:
        return sum(stream.has_started for stream in self.streams)

    def _is_audible(self) -> bool:
        return any(stream.is_open and stream.playout.buffered_ms > 0 for stream in self.streams)

    def _was_spoken_to(self, *, since: int) -> bool:
        before = self.streams[-1].heard_before if self.streams else 0
        return len(self.heard) > max(since, before)

    def _silent_ms(self) -> float:
        """How long nothing has been played on the open stream; 0 while something is."""
        for stream in self.streams:
            if stream.is_open and stream.playout.buffered_ms == 0:
                return stream.clock.now_ms() - stream.playout.empty_since
        return 0.0


def _spoken_answer(question: Question, speech: str, confidence: str) -> dict[str, str]:
    if "speech" not in question.verb.get("input", "dtmf"):
        raise ValueError("this <Gather> does not listen to speech")
    return {"SpeechResult": speech, "Confidence": confidence}


def _keyed_answer(question: Question, digits: str) -> dict[str, str]:
    verb = question.verb
    if verb.name != "Gather" or "dtmf" not in verb.get("input", "dtmf"):
        raise ValueError("this verb does not listen to keys")
    digits = digits.partition(verb.get("finishOnKey", "#") or "none")[0]
    count = int(verb.get("numDigits", "0"))
    return {"Digits": digits[:count] if count else digits}
