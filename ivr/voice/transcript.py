"""Puts what was said in order: texts arrive late, items say whom they stand behind. Stores nothing.

There is no event that lists a conversation, so this is the only transcript there is.
"""

import math
from dataclasses import dataclass, replace

from . import realtime
from .commands import RecordTurn
from .playback import Playback


@dataclass(slots=True, eq=False)
class Line:
    """One item: `role` is user, assistant, or empty for what is not speech."""

    item_id: str
    role: str
    text: str = ""
    is_final: bool = False
    since: float = 0.0
    number: int = 0  # none has the number of another
    call: realtime.Item | None = None  # of a tool
    output: str | None = None  # what the tool said


SPEAKERS = frozenset({"user", "assistant"})
TRANSCRIPTION_S = 8.0  # one that was lost must not hold back what was said after it


class Transcript:
    """Lines wait here until they are final and all before them have left."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._waiting: list[Line] = []
        self._past: list[Line] = []  # those that left and said or did something
        self._calls: dict[str, Line] = {}
        self._count = 0
        self._last_spoken: str | None = None
        self._now = 0.0

    @property
    def awaits_caller(self) -> bool:
        """Whether words of the caller are still being transcribed."""
        return bool(self._untranscribed)

    @property
    def wake_at(self) -> float:
        """When the oldest words still being transcribed are given up; infinity without any."""
        return min((_due(line) for line in self._untranscribed), default=math.inf)

    @property
    def _untranscribed(self) -> list[Line]:
        return [line for line in self._waiting if line.role == "user" and not line.is_final]

    def receive(self, event: realtime.Event, now: float) -> None:
        """Take what an event says about words and their order; most say nothing."""
        self._now = now
        match event:
            case realtime.ItemPlaced(item=item, previous_item_id=previous):
                self._place(item, previous)
            case realtime.AssistantTextDelta(item_id=item_id, delta=words):
                line = self.line(item_id, "assistant")
                line.text += "" if line.is_final else words
            case realtime.AssistantText(item_id=item_id, transcript=text):
                self._finish(self.line(item_id, "assistant"), text)
            case realtime.CallerTranscribed(item_id=item_id, transcript=text):
                self._finish(self.line(item_id, "user"), text)
            case realtime.CallerUnintelligible(item_id=item_id):
                self._finish(self.line(item_id, "user"), "")
            case realtime.OutputItemEnded(item=item) if item.type == "function_call":
                self._note_call(item)
            case realtime.ResponseEnded():
                self.finish("assistant")  # one response at a time: no more words will come

    def line(self, item_id: str, role: str) -> Line:
        """Return an item's line; a new one stands at the end."""
        line = self._lines.get(item_id)
        if line is None:
            self._count += 1
            line = Line(item_id, role, since=self._now, number=self._count)
            self._lines[item_id] = line
            self._waiting.append(line)
        return line

    def expect(self, item_id: str, now: float) -> None:
        """Keep a place for what the caller was saying just now."""
        self._now = now
        self.line(item_id, "user")

    def skip(self, item_id: str) -> None:
        """Keep an item's place and leave its words out: they are on record already."""
        self.line(item_id, "").is_final = True

    def line_of_call(self, call_id: str) -> Line | None:
        """Return the line of a tool's call, if there was one."""
        return self._calls.get(call_id)

    def note_output(self, call_id: str, output: str) -> None:
        """Take down what a tool said."""
        if (line := self._calls.get(call_id)) is not None:
            line.output = output

    def break_off(self, playback: Playback) -> None:
        """The session is gone: no more texts will come for the lines that wait for one."""
        for line in self._untranscribed:
            self._forget(line)
        for line in self._waiting:
            if line.role == "assistant" and not line.is_final and not playback.has(line.item_id):
                line.text = ""
        self.finish("assistant")

    def retell(self, playback: Playback) -> list[Line]:
        """Return what was said, as far as it was or will be heard, and the calls that are done."""
        waiting = [replace(line, text=_heard(line, playback)) for line in self._waiting]
        return [line for line in (*self._past, *waiting) if line.output is not None or line.text]

    def finish(self, *roles: str) -> None:
        """What is known of these roles' lines is all that there will be."""
        for line in self._waiting:
            line.is_final = line.is_final or line.role in roles

    def leave(self, playback: Playback, now: float) -> list[RecordTurn]:
        """Take out, in order, what is settled; stop at the first line that is still open."""
        self._give_up(now)
        turns: list[RecordTurn] = []
        while self._waiting and _is_closed(self._waiting[0], playback):
            line = self._waiting.pop(0)
            turn = _turn(line, playback, self._last_spoken)
            if turn is not None:
                line.text = turn.text
                self._last_spoken = turn.item_id
                turns.append(turn)
            if turn is not None or line.call is not None:
                self._past.append(line)
        return turns

    def _give_up(self, now: float) -> None:
        """Forget lines that wait too long: words that come later still stand, but at the end."""
        for line in self._untranscribed:
            if _due(line) <= now:
                self._forget(line)

    def _forget(self, line: Line) -> None:
        self._waiting.remove(line)
        del self._lines[line.item_id]

    def _note_call(self, item: realtime.Item) -> None:
        line = self.line(item.id, "")
        line.is_final = True
        line.call = item
        self._calls.setdefault(item.call_id or "", line)

    def _place(self, item: realtime.Item, previous: str | None) -> None:
        role = item.role if item.role in SPEAKERS and item.type == "message" else ""
        line = self.line(item.id, role)
        self._move(line, previous)
        if item.type == "function_call" and line.call is None:
            line.call = item  # not whole yet, but it may leave before it is
        typed = [part.text or "" for part in item.content or () if part.type == "input_text"]
        if not role or typed:
            self._finish(line, "".join(typed))

    def _move(self, line: Line, previous: str | None) -> None:
        if line not in self._waiting or previous not in self._lines or previous == line.item_id:
            return
        self._waiting.remove(line)
        before = self._lines[previous]
        index = self._waiting.index(before) + 1 if before in self._waiting else 0
        self._waiting.insert(index, line)

    def _finish(self, line: Line, text: str) -> None:
        if not line.is_final:
            line.text, line.is_final = text, True


def _due(line: Line) -> float:
    return line.since + TRANSCRIPTION_S


def _is_closed(line: Line, playback: Playback) -> bool:
    return line.is_final and (line.role != "assistant" or playback.is_settled(line.item_id))


def _turn(line: Line, playback: Playback, previous: str | None) -> RecordTurn | None:
    """Return what was said, as far as it was heard; None when that is nothing."""
    text = _heard(line, playback)
    if not text:
        return None
    heard_ms, share = playback.heard(line.item_id) if line.role == "assistant" else (None, 1.0)
    return RecordTurn(line.item_id, previous, line.role, text, cut=share < 1, heard_ms=heard_ms)


def _heard(line: Line, playback: Playback) -> str:
    """Return the words of a line, without those at its end that the caller never heard."""
    share = playback.heard(line.item_id)[1] if line.role == "assistant" else 1.0
    return shorten(line.text.strip(), share) if line.role else ""


def shorten(text: str, share: float) -> str:
    """Return the first `share` (0..1) of a text, cut back to the end of a word."""
    end = int(len(text) * share)
    if end >= len(text):
        return text
    head = text[:end]
    return (head if text[end].isspace() else head.rpartition(" ")[0]).rstrip()
