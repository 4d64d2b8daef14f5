"""One response at a time: which one may be asked for now, and which must wait.

The service refuses `response.create` while a response runs, and ignores a `response.cancel` that
comes before `response.created`. With server VAD it also creates responses by itself, each time
the caller stops speaking.
"""

from enum import StrEnum


class Slot(StrEnum):
    FREE = "free"
    EXPECTED = "expected"  # the caller stopped speaking; the server will answer by itself
    ASKED = "asked"  # we sent response.create
    RUNNING = "running"


class ResponseSlot:
    """Free, expected, asked or running. Asked twice, owed once."""

    def __init__(self) -> None:
        self.state = Slot.FREE
        self.response_id: str | None = None
        self._owed: str | None = None
        self._is_doomed = False
        self._server_answers = False

    @property
    def is_free(self) -> bool:
        return self.state is Slot.FREE

    def ask(self, create: str) -> list[str]:
        """Return the message if it may go now; otherwise it is owed, in place of any before."""
        if self.is_free:
            self.state = Slot.ASKED
            return [create]
        self._owed = create
        return []

    def withdraw(self) -> None:
        """Owe nothing: something has begun that will ask anew when it is done."""
        self._owed = None

    def expect(self) -> None:
        """The server will create a response by itself, now or when the running one is done."""
        self._server_answers = True
        if self.is_free:
            self.state = Slot.EXPECTED

    def started(self, response_id: str) -> bool:
        """A response exists; False when it was unwanted before it began and must be cancelled."""
        wanted, self._is_doomed = not self._is_doomed, False
        self._server_answers = False
        self.state, self.response_id = Slot.RUNNING, response_id
        return wanted

    def ended(self, response_id: str) -> list[str]:
        """A response is over; return the owed message if it may go now."""
        if self.response_id not in (None, response_id):
            return []  # an old one: another has begun since
        return self._release()

    def interrupted(self, *, by_voice: bool) -> None:
        """The caller took the floor: what was owed is moot, what was asked is unwanted."""
        self._owed = None
        if self.state is Slot.ASKED:
            self._is_doomed = True
        if by_voice:  # the server starts anew when this speech is over
            self._server_answers = False
            if self.state is Slot.EXPECTED:
                self.state = Slot.FREE

    def refused(self, create: str) -> None:
        """The server said that a response was already active: ours waits for that one's end."""
        if not self._is_doomed:
            self._owed = create
        self._is_doomed = False
        if self.state is Slot.ASKED:
            self.state = Slot.EXPECTED

    def give_up(self) -> list[str]:
        """Stop waiting for the server's own answer; return the owed message."""
        self._server_answers = False
        return self._release()

    def _release(self) -> list[str]:
        self.response_id = None
        if self._server_answers:
            self.state = Slot.EXPECTED
            return []
        self.state = Slot.FREE
        owed, self._owed = self._owed, None
        return self.ask(owed) if owed else []
