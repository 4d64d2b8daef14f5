"""The voice model's side of a call: speech in deltas, faster than real time, and tool calls.

Its own clock drives it, so that every server gets the same work. A server without features (the
bare relay) answers no tool call and gets on without.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import script, stamp
from .loop import Connection, clock
from .websocket import CLOSE, PING, PONG, TEXT, Frames, server_frame

if TYPE_CHECKING:
    from .world import World

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE)
_AUDIO = re.compile(rb'"audio":\s*"([^"]*)"')
_FOREVER = float("inf")
_WITHOUT_TOOLS_S = 0.05
_DELTA = (
    b'{"type":"response.output_audio.delta","event_id":"event_1","response_id":"resp_%d",'
    b'"item_id":"%s","output_index":0,"content_index":0,"delta":"%s%s"}'
)
_FILLER = stamp.filler(stamp.DELTA_BYTES)


class Session:
    """One session of the model; which call it belongs to, it learns from the caller's audio."""

    def __init__(self, world: "World", connection: Connection) -> None:
        self.deltas = 0  # sent so far; each carries its number
        self._world = world
        self._connection = connection
        self._frames = Frames()
        self._call = -1
        self._expected = 0  # the next frame of the caller
        self._response = 0
        self._items = 0
        self._last_item: str | None = None
        self._is_waiting = False  # for the server to ask for a response
        self._is_cut = False  # the caller will not let this speech be finished
        self._unfinished: tuple[str, str] | None = None
        self._remaining_s = 0.0
        self._began = 0.0
        self._talk = self._conversation()
        connection.received = self._upgraded

    @property
    def heard(self) -> int:
        """The number of the last frame that arrived."""
        return self._expected - 1

    def _upgraded(self, data: bytes) -> None:
        key = _KEY.search(data)
        assert key is not None, "no websocket upgrade"
        accept = base64.b64encode(hashlib.sha1(key[1] + _GUID.encode()).digest()).decode()
        self._connection.received = self._received
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        self._connection.send(head.encode())
        self._say(_event("session.created", session={"type": "realtime", "id": "sess_1"}))

    # What the server sends

    def _received(self, data: bytes) -> None:
        now = clock()
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT:
                audio = _AUDIO.search(payload, 0, 80)
                if audio is None and (audio := _AUDIO.search(payload)) is None:
                    self._obey(json.loads(payload))
                else:
                    self._hear(audio[1], now)
            elif opcode == PING:
                self._connection.send(server_frame(payload, PONG))
            elif opcode == CLOSE:
                self._connection.send(server_frame(payload, CLOSE))

    def _hear(self, audio: bytes, now: float) -> None:
        for frame in stamp.frames(audio):
            read = stamp.read(frame)
            if read is None:
                self._world.figures.problem("a caller's frame without its stamp")
                continue
            left_at, number, call = read
            if self._call < 0:
                self._call, self._expected = call, number
                self._world.join(call, self)
            self._world.note_up(now, left_at)
            self._world.count_gap(self._expected, number)
            self._expected = number + 1

    def _obey(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "session.update", "session": session}:
                self._say(_event("session.updated", session=session))
            case {"type": "response.create"}:
                self._asked()
            case {"type": "conversation.item.create", "item": {"type": "function_call_output"}}:
                self._world.figures.saved += 1
            case {"type": "conversation.item.truncate", "item_id": item_id, "audio_end_ms": end}:
                self._say(
                    _event(
                        "conversation.item.truncated",
                        item_id=item_id,
                        content_index=0,
                        audio_end_ms=end,
                    )
                )

    def _asked(self) -> None:
        if not self._began:
            self._began = clock()
            self._step()
        elif self._is_waiting:
            self._is_waiting = False
            self._step()

    # What it says, and when

    def _step(self) -> None:
        if not self._connection.is_open:
            return
        pause = next(self._talk, None)
        if pause is None:
            return
        if pause == _FOREVER:
            self._is_waiting = True
        else:
            self._world.loop.after(pause, self._step)

    def _conversation(self) -> Iterator[float]:
        yield from self._speak(script.GREETING, script.GREETING_S)
        yield self._remaining_s
        seconds, caller = self._world.plan_of(self._call)
        turn = 0
        while clock() - self._began < seconds - script.ENDING_S:
            heard, answer = script.words(turn)
            yield from self._listen(heard)
            if (arguments := script.tool(turn, caller)) is not None:
                yield from self._use_tool("save_field", arguments)
            self._is_cut = turn % script.INTERRUPT_EVERY == script.INTERRUPT_EVERY - 1
            yield from self._speak(answer, script.SPEECH_S)
            yield self._remaining_s
            turn += 1
        yield from self._listen("No, that is all. Thank you.")
        yield from self._speak(script.GOODBYE, script.GOODBYE_S)
        self._call_tool("end_call", '{"reason": "complete"}')
        self._world.said_goodbye(self._call)

    def _speak(self, words: str, seconds: float) -> Iterator[float]:
        """Deliver a speech; every other interruption comes while it is still being made."""
        item = self._open_response()
        count = round(seconds / script.DELTA_S)
        pace = script.DELTA_S / script.FASTER
        is_early = self._is_cut and self._response % 2 == 0
        for number in range(count // 2 if is_early else count):
            self._deliver(item, words, number, count)
            yield pace
        if is_early:
            self._unfinished = (item, words)
            self._remaining_s = 0.0
            return
        self._close_response(item, words, "completed")
        played = seconds / 2 if self._is_cut else seconds + script.THINK_S
        self._remaining_s = max(0.0, played - count * pace)

    def _listen(self, words: str) -> Iterator[float]:
        """The caller speaks; if the assistant is still being heard, that is an interruption."""
        item = self._new_item()
        if self._is_cut:
            self._world.interrupted(self._call)
        self._say(_event("input_audio_buffer.speech_started", audio_start_ms=0, item_id=item))
        if self._unfinished is not None:
            self._close_response(*self._unfinished, "cancelled")
        self._is_cut, self._unfinished = False, None
        yield script.ANSWER_S
        part = {"type": "input_audio", "transcript": None}
        before = self._last_item
        self._say(
            _event("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id=item),
            _event("input_audio_buffer.committed", item_id=item, previous_item_id=before),
            *self._place(_item(item, "message", "completed", role="user", content=[part])),
        )
        yield script.THINK_S
        self._say(
            _event(
                "conversation.item.input_audio_transcription.completed",
                item_id=item,
                content_index=0,
                transcript=words,
                usage={"type": "duration", "seconds": script.ANSWER_S},
            )
        )

    def _use_tool(self, name: str, arguments: str) -> Iterator[float]:
        self._call_tool(name, arguments)
        yield _WITHOUT_TOOLS_S if self._world.is_bare else _FOREVER

    def _call_tool(self, name: str, arguments: str) -> None:
        self._response += 1
        item, response = self._new_item(), f"resp_{self._response}"
        call = {"name": name, "call_id": f"call_{item}"}
        begun = _item(item, "function_call", "in_progress", arguments="", **call)
        whole = _item(item, "function_call", "completed", arguments=arguments, **call)
        where = {"response_id": response, "item_id": item, "output_index": 0}
        pieces = {"call_id": call["call_id"]}
        self._say(
            _event("response.created", response=_response(response, "in_progress")),
            _event("response.output_item.added", response_id=response, output_index=0, item=begun),
            self._place(begun)[0],
            _event("response.function_call_arguments.delta", delta=arguments, **where, **pieces),
            _event("response.function_call_arguments.done", arguments=arguments, **where, **pieces),
            _event("conversation.item.done", item=whole, previous_item_id=None),
            _event("response.output_item.done", response_id=response, output_index=0, item=whole),
            _event("response.done", response=_response(response, "completed", whole)),
        )

    def _open_response(self) -> str:
        self._response += 1
        item, response = self._new_item(), f"resp_{self._response}"
        begun = _item(item, "message", "in_progress", role="assistant", content=[])
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        part = {"type": "audio", "transcript": ""}
        self._say(
            _event("response.created", response=_response(response, "in_progress")),
            _event("response.output_item.added", response_id=response, output_index=0, item=begun),
            self._place(begun)[0],
            _event("response.content_part.added", part=part, **where),
        )
        return item

    def _deliver(self, item: str, words: str, number: int, count: int) -> None:
        """Send one delta of speech, and its share of the words before it."""
        share = words[len(words) * number // count : len(words) * (number + 1) // count]
        self._say(
            _event(
                "response.output_audio_transcript.delta",
                response_id=f"resp_{self._response}",
                item_id=item,
                output_index=0,
                content_index=0,
                delta=share,
            )
        )
        now = clock()
        digits = stamp.stamp(self._world.microseconds(now), self.deltas, max(self._call, 0))
        ids = (self._response, item.encode())
        self._connection.send(server_frame(_DELTA % (*ids, digits, _FILLER)))
        self.deltas += 1
        if now >= self._world.figures.opened_at:
            self._world.figures.sent += 1

    def _close_response(self, item: str, words: str, status: str) -> None:
        response = f"resp_{self._response}"
        where = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        part = {"type": "audio", "transcript": words}
        spoken = {"type": "output_audio", "transcript": words}
        ended = "completed" if status == "completed" else "incomplete"
        whole = _item(item, "message", ended, role="assistant", content=[spoken])
        self._say(
            _event("response.output_audio.done", **where),
            _event("response.output_audio_transcript.done", transcript=words, **where),
            _event("response.content_part.done", part=part, **where),
            _event("conversation.item.done", item=whole, previous_item_id=None),
            _event("response.output_item.done", response_id=response, output_index=0, item=whole),
            _event("response.done", response=_response(response, status, whole)),
            _event("rate_limits.updated", rate_limits=[]),
        )

    def _new_item(self) -> str:
        self._items += 1
        return f"item_{self._items}"

    def _place(self, item: dict[str, Any]) -> tuple[bytes, bytes]:
        """Return the events that put an item behind the last one, and finish it."""
        before, self._last_item = self._last_item, item["id"]
        added = _event("conversation.item.added", item=item, previous_item_id=before)
        return added, _event("conversation.item.done", item=item, previous_item_id=before)

    def _say(self, *events: bytes) -> None:
        self._connection.send(b"".join(events))


def _event(kind: str, **content: Any) -> bytes:
    return server_frame(json.dumps({"type": kind, "event_id": "event_1", **content}).encode())


def _item(item: str, kind: str, status: str, **content: Any) -> dict[str, Any]:
    return {"id": item, "object": "realtime.item", "type": kind, "status": status, **content}


def _response(response: str, status: str, *output: dict[str, Any]) -> dict[str, Any]:
    usage = {
        "total_tokens": 353,
        "input_tokens": 263,
        "output_tokens": 90,
        "input_token_details": {"text_tokens": 200, "audio_tokens": 63, "cached_tokens": 192},
        "output_token_details": {"text_tokens": 22, "audio_tokens": 68},
    }
    return {
        "id": response,
        "object": "realtime.response",
        "status": status,
        "status_details": None,
        "conversation_id": "conv_1",
        "output_modalities": ["audio"],
        "output": list(output),
        "usage": usage if output else None,
    }
