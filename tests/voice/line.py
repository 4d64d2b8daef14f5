"""A call to test with: its peers speak in events, its commands are read as they go out."""

import base64
import json
from typing import Any

from ivr.voice import media_stream, realtime
from ivr.voice.call import Call, Event
from ivr.voice.commands import (
    ClearTwilio,
    Command,
    ConnectModel,
    DropModel,
    Ended,
    HangUp,
    ModelConnected,
    RecordTurn,
    RunTool,
    ToModel,
    ToTwilio,
)
from ivr.voice.script import Limits, Script

HALF_SECOND = base64.b64encode(bytes(4000)).decode()


def script(**changes: Any) -> Script:
    values: dict[str, Any] = {
        "session": realtime.session(instructions="Be kind."),
        "greeting": "Thank you for calling Power Sport Buyers.",
        "closing": "Thank you, goodbye.",
        "is_goodbye": lambda text: "goodbye" in text.lower(),
    }
    return Script(**values | changes)


class Line:
    """Time stands still unless told; every method returns the commands that followed."""

    def __init__(self, *, limits: Limits | None = None, **changes: Any) -> None:
        self.now = 0.0
        self.call = Call("MZ1", script(**changes), limits or Limits(), self.now)
        self.marks: list[str] = []  # sent and not echoed yet
        self.turns: list[RecordTurn] = []
        self.ended: Ended | None = None
        self._responses = 0
        self._note(self.call.start(self.now))

    def happens(self, *events: Event) -> list[Command]:
        return [c for event in events for c in self._note(self.call.receive(event, self.now))]

    def passes(self, seconds: float) -> list[Command]:
        """Let time pass as the bridge does: waking at each moment that something is due."""
        until, commands = self.now + seconds, []
        while self.call.wake_at <= until:
            self.now = max(self.now, self.call.wake_at)
            commands += self._note(self.call.tick(self.now))
        self.now = until
        return commands

    def is_ready(self) -> list[Command]:
        return self.happens(ModelConnected(1), realtime.SessionReady())

    def answers(self, item_id: str, text: str, *, audio: str = HALF_SECOND) -> list[Command]:
        """A whole response, faster than it is spoken: nothing of it has been heard yet."""
        response = self.begins()
        return self.happens(
            realtime.AssistantAudio(item_id=item_id, delta=audio, response_id=response),
            realtime.AssistantText(item_id=item_id, transcript=text, response_id=response),
            self.done(response),
        )

    def begins(self) -> str:
        self._responses += 1
        response_id = f"r{self._responses}"
        self.happens(realtime.ResponseStarted(realtime.Response(id=response_id)))
        return response_id

    def done(self, response_id: str, status: str = "completed") -> realtime.ResponseEnded:
        return realtime.ResponseEnded(realtime.Response(id=response_id, status=status))

    def calls_tool(self, call_id: str, name: str, response_id: str) -> list[Command]:
        item = realtime.Item(
            type="function_call", status="completed", call_id=call_id, name=name, arguments="{}"
        )
        return self.happens(realtime.OutputItemEnded(item, response_id))

    def is_heard(self) -> list[Command]:
        """Playback reaches everything that was sent."""
        marks, self.marks = self.marks, []
        return self.happens(*(media_stream.MarkPlayed(mark) for mark in marks))

    def says(self, item_id: str, text: str) -> list[Command]:
        return self.happens(
            realtime.CallerStarted(item_id=item_id),
            realtime.CallerStopped(item_id=item_id),
            realtime.ItemPlaced(realtime.Item(id=item_id, type="message", role="user")),
            realtime.CallerTranscribed(item_id=item_id, transcript=text),
        )

    def _note(self, commands: list[Command]) -> list[Command]:
        for command in commands:
            match command:
                case ToTwilio(frame=frame) if '"mark"' in frame:
                    self.marks.append(json.loads(frame)["mark"]["name"])
                case RecordTurn():
                    self.turns.append(command)
                case Ended():
                    self.ended = command
        return commands


def greeted(**changes: Any) -> Line:
    """A line on which the greeting was heard."""
    line = Line(**changes)
    line.is_ready()
    line.answers("a1", "Thank you for calling. What is your name?")
    line.is_heard()
    return line


def wire(commands: list[Command]) -> list[str]:
    """Name what goes out, in order: the frame's or message's own word."""
    return [_word(command) for command in commands if not isinstance(command, RecordTurn)]


def _word(command: Command) -> str:
    match command:
        case ToTwilio(frame=text) | ClearTwilio(frame=text):
            return str(json.loads(text)["event"])
        case ToModel(message=text):
            return str(json.loads(text)["type"])
        case RunTool(name=name):
            return f"run {name}"
        case ConnectModel(session=session):
            return f"connect {session}"
        case DropModel(session=session):
            return f"drop {session}"
        case HangUp():
            return "hang up"
        case Ended(reason=reason):
            return f"ended: {reason}"
    raise AssertionError(command)


def messages(commands: list[Command], kind: str) -> list[dict[str, Any]]:
    """Return what is said to the model in messages of this type."""
    sent = [json.loads(c.message) for c in commands if isinstance(c, ToModel)]
    return [message for message in sent if message["type"] == kind]
