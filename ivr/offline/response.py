"""One response on its way: all events from `response.created` to `response.done`, in order.

Knows no dialogue and no clock: it is filled with a `Speech`, given its sound, and handed out in
pieces.
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from ivr.offline import events
from ivr.offline.dialogue import FunctionCall, Speech
from ivr.offline.events import Event

PIECE = 3200  # bytes of sound in one delta: 400 ms, as the service sends them

Added = Callable[
    [dict[str, Any]], str | None
]  # adds an item to the conversation; returns the one before


class Response:
    """`is_open` until its `response.done` was made; `said` is its message item, once it has one."""

    def __init__(
        self,
        identity: str,
        conversation_id: str,
        *,
        new_id: Callable[[str], str],
        add: Added,
        instructions: str | None,
        may_call: bool,
    ) -> None:
        self.id = identity
        self.instructions = instructions
        self.may_call = may_call
        self.is_open = True
        self.is_filled = False
        self.said: dict[str, Any] | None = None
        self.sent_bytes = 0
        self._conversation_id = conversation_id
        self._new_id = new_id
        self._add = add
        self._output: list[dict[str, Any]] = []
        self._speech = Speech()
        self._sound: bytes | None = None
        self._previous: str | None = None

    @property
    def has_sound(self) -> bool:
        """Whether `next_piece` has something to say now."""
        return self.is_open and self._sound is not None

    def created(self) -> Event:
        return {"type": "response.created", "response": self._record("in_progress")}

    def fill(self, speech: Speech) -> list[Event]:
        """Begin to carry `speech`; its text waits for `voice`."""
        self.is_filled = True
        self._speech = speech
        found = [event for call in speech.calls for event in self._call(call)]
        if not speech.text:
            return [*found, *self._finish()]
        return [*found, *self._begin_message(speech.text)]

    def voice(self, ulaw: bytes) -> None:
        """Take the sound of the text."""
        self._sound = ulaw

    def next_piece(self) -> list[Event]:
        """Return the next delta of sound, and all that ends the response after the last one."""
        if not self.has_sound or self._sound is None or self.said is None:
            return []
        piece, self._sound = self._sound[:PIECE], self._sound[PIECE:]
        found: list[Event] = []
        if piece:
            self.sent_bytes += len(piece)
            delta = base64.b64encode(piece).decode()
            found.append({"type": "response.output_audio.delta", **self._part(), "delta": delta})
        return found if self._sound else [*found, *self._end_message("completed"), *self._finish()]

    def cancel(self, reason: str) -> list[Event]:
        """End it now; what was begun becomes incomplete."""
        if not self.is_open:
            return []
        message = self._end_message("incomplete") if self.said is not None else []
        self.is_open = False
        record = self._record("cancelled", reason)
        return [*message, {"type": "response.done", "response": record}]

    def fail(self, message: str) -> list[Event]:
        """End it because a part of the offline voice broke."""
        self.is_open = False
        record = self._record("failed")
        error = {"type": "server_error", "code": "server_error", "message": message}
        record["status_details"] = {"type": "failed", "error": error}
        return [{"type": "response.done", "response": record}]

    def _finish(self) -> list[Event]:
        found = [event for call in self._speech.final for event in self._call(call)]
        self.is_open = False
        return [*found, {"type": "response.done", "response": self._record("completed")}]

    def _record(self, status: str, reason: str | None = None) -> dict[str, Any]:
        return events.response(
            self.id, self._conversation_id, status=status, output=self._output, reason=reason
        )

    def _place(self, item: dict[str, Any]) -> dict[str, Any]:
        index = next(n for n, entry in enumerate(self._output) if entry["id"] == item["id"])
        return {"response_id": self.id, "output_index": index}

    def _part(self) -> dict[str, Any]:
        assert self.said is not None, "there is no message yet"
        return {**self._place(self.said), "item_id": self.said["id"], "content_index": 0}

    def _begin_item(self, item: dict[str, Any]) -> list[Event]:
        self._output.append(item)
        self._previous = self._add(item)
        return [
            {"type": "response.output_item.added", **self._place(item), "item": {**item}},
            events.item_added(item, self._previous),
        ]

    def _end_item(self, item: dict[str, Any], previous: str | None) -> list[Event]:
        return [
            events.item_done(item, previous),
            {"type": "response.output_item.done", **self._place(item), "item": {**item}},
        ]

    def _call(self, call: FunctionCall) -> list[Event]:
        arguments = json.dumps(call.arguments)
        item = events.function_call(
            self._new_id("item"),
            self._new_id("call"),
            call.name,
            status="in_progress",
            arguments="",
        )
        begun = self._begin_item(item)
        about = {**self._place(item), "item_id": item["id"], "call_id": item["call_id"]}
        name = "response.function_call_arguments"
        item |= {"status": "completed", "arguments": arguments}
        return [
            *begun,
            {"type": f"{name}.delta", **about, "delta": arguments},
            {"type": f"{name}.done", **about, "name": call.name, "arguments": arguments},
            *self._end_item(item, self._previous),
        ]

    def _begin_message(self, text: str) -> list[Event]:
        item = events.assistant_message(self._new_id("item"), status="in_progress")
        begun = self._begin_item(item)
        self.said = item
        part = {"type": "audio", "transcript": ""}
        return [
            *begun,
            {"type": "response.content_part.added", **self._part(), "part": part},
            {"type": "response.output_audio_transcript.delta", **self._part(), "delta": text},
        ]

    def _end_message(self, status: str) -> list[Event]:
        assert self.said is not None, "there is no message to end"
        text, item = self._speech.text, self.said
        item |= events.assistant_message(item["id"], status=status, transcript=text)
        part = {"type": "audio", "transcript": text}
        return [
            {"type": "response.output_audio.done", **self._part()},
            {"type": "response.output_audio_transcript.done", **self._part(), "transcript": text},
            {"type": "response.content_part.done", **self._part(), "part": part},
            *self._end_item(item, self._previous),
        ]
