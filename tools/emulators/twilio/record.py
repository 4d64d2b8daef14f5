"""What is known of one call, and waiting for it to become true. It does nothing by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tools.emulators.twilio.account import Account, new_sid
from tools.emulators.twilio.clock import Clock, Facts
from tools.emulators.twilio.twiml import Verb
from tools.emulators.twilio.webhooks import Exchange

if TYPE_CHECKING:
    import asyncio

    from tools.emulators.twilio.stream import Stream


@dataclass(frozen=True, slots=True)
class Happened:
    """One line of a call's log; `at_ms` is call time."""

    at_ms: float
    what: str  # webhook, connect, stream, closed, say, gather, answer, dial, error, ended, ...
    detail: str

    def __str__(self) -> str:
        return f"{self.at_ms / 1000:8.3f}  {self.what:10} {self.detail}"


@dataclass(frozen=True, slots=True)
class Question:
    """A <Gather> or <Record> that waits for the caller."""

    verb: Verb
    answer: "asyncio.Future[dict[str, str]]"


class Record:
    """Everything that has happened in a call so far."""

    def __init__(self, account: Account, from_: str, to: str) -> None:
        self.account = account
        self.sid = new_sid("CA")
        self.from_, self.to = from_, to
        self.status = "ringing"
        self.seconds = 0  # that it lasted, once it is over
        self.is_ending = False  # too late for the REST API to change anything
        self.over = False
        self.clock = Clock(account.speed)
        self.facts = Facts()
        self.log: list[Happened] = []
        self.errors: list[str] = []  # Twilio's debugger codes
        self.webhooks: list[Exchange] = []
        self.status_callbacks: list[Exchange] = []
        self.sayings: list[str] = []
        self.whispers: list[str] = []  # what who picked up for the caller heard
        self.question: Question | None = None
        self.streams: list[Stream] = []
        self.heard = bytearray()  # what was really played to the caller
        self.received: list[dict[str, Any]] = []  # valid messages from the server
        self.marks_echoed: list[str] = []
        self.mark_positions: dict[str, int] = {}  # name -> len(heard) when echoed
        self.clear_count = 0
        self.replays: list[int | None] = []  # close code or HTTP status; None: it was let in

    def note(self, what: str, detail: str = "") -> None:
        """Write a line into the log."""
        self.log.append(Happened(self.clock.now_ms(), what, detail))
        self.facts.changed()

    def error(self, code: str, detail: str) -> None:
        """Write down what Twilio's debugger would show."""
        self.errors.append(code)
        self.note("error", f"{code} {detail}")

    def violation(self, text: str) -> None:
        """Write down what the server did wrong; it fails the test at the end."""
        self.account.violations.add(f"{self.sid}: {text}")
        self.note("violation", text)

    def story(self) -> str:
        """Return the log as text."""
        return "\n".join(map(str, self.log))

    async def until(
        self, is_true: Callable[[], bool], what: str, patience_s: float | None = None
    ) -> None:
        """Wait; raises AssertionError with the log when the call ends, or patience, before."""
        patience_s = self.account.patience_s if patience_s is None else patience_s
        try:
            await self.facts.wait(lambda: self.over or is_true(), patience_s)
        except TimeoutError:
            raise AssertionError(f"waited {patience_s} s for {what}\n{self.story()}") from None
        # What was true when it was seen, such as silence, may have passed since.
        if self.over and not is_true():
            raise AssertionError(f"the call was over before {what}\n{self.story()}")
