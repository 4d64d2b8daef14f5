"""The Realtime protocol of one connection: client events in, server events and work out. No I/O.

Time is counted in the caller's audio. What takes long (hearing, speaking) is asked for with
`Listen` and `Speak` and comes back through `heard` and `voiced`; sound leaves through `next_piece`,
at the pace of whoever calls it.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from ivr.offline import config, events
from ivr.offline.dialogue import Dialogue
from ivr.offline.events import Event, Refused
from ivr.offline.grammar import Grammar, grammar
from ivr.offline.items import Items
from ivr.offline.response import Response
from ivr.offline.sound import BYTES_PER_MS
from ivr.offline.vad import Started, Stopped, Vad

_SHORTEST_COMMIT_MS = 100
_TAIL_MS = 200  # of the silence after an answer, kept for the ears
_LONGEST_ANSWER = 60_000 * BYTES_PER_MS  # older sound of one turn is forgotten


@dataclass(frozen=True, slots=True)
class Send:
    event: Event


@dataclass(frozen=True, slots=True)
class Listen:
    """Hear `ulaw` by `grammar` and tell `Session.heard`."""

    item_id: str
    ulaw: bytes
    grammar: Grammar


@dataclass(frozen=True, slots=True)
class Speak:
    """Say `text` and tell `Session.voiced`."""

    response_id: str
    text: str


Output = Send | Listen | Speak


class Session:
    """One conversation. `expires_at` is an epoch second, told to the client."""

    def __init__(self, dialogue: Dialogue, *, identity: str, model: str, expires_at: int) -> None:
        self._dialogue = dialogue
        self._config = events.session(f"sess_{identity}", model, expires_at)
        self._conversation_id = f"conv_{identity}"
        self._numbers = count(1)
        self._items = Items(self._new_id)
        self._vad = Vad()
        self._response: Response | None = None
        self._is_owed = False  # a turn ended while another response ran
        self._sound = bytearray()  # since the last commit, or the last padding before speech
        self._carry = b""  # an answer that was not over yet
        self._carried: set[str] = set()  # the items whose sound was carried over
        self._total = 0  # bytes appended in all
        self._speaker = ""  # the caller's item to come
        self._listening: dict[str, bytes] = {}  # item -> sound, being heard
        self._awaited = ("", "done")
        self._answers = grammar(dialogue.expects)

    def open(self) -> list[Output]:
        """Return the greeting of the protocol."""
        return [self._send({"type": "session.created", "session": self._config})]

    def receive(self, event: Any) -> list[Output]:
        """Return what follows from a client event; what is wrong with it is answered by `error`."""
        event_id = event.get("event_id") if isinstance(event, dict) else None
        try:
            if not isinstance(event, dict) or not isinstance(event.get("type"), str):
                raise Refused("The event has no type.", code="invalid_event", param="type")
            return self._receive(event)
        except Refused as refused:
            named = event_id if isinstance(event_id, str) else None
            return [self._send(events.error(refused, named))]

    def heard(self, item_id: str, text: str) -> list[Output]:
        """Take what an item of the caller said; "" when it was not understood."""
        ulaw = self._listening.pop(item_id, b"")
        self._items.transcribe(item_id, text)
        out: list[Output] = []
        if self._config["audio"]["input"]["transcription"] is not None:
            seconds = round(len(ulaw) / BYTES_PER_MS / 1000, 3)
            out = self._sends(events.transcribed(item_id, text, seconds))
        if item_id in self._carried:
            return out
        self._dialogue.hear(text)
        return [*out, *self._fill()]

    def voiced(self, response_id: str, ulaw: bytes) -> list[Output]:
        """Take the sound of a response; `next_piece` hands it out."""
        if self._response is not None and self._response.id == response_id:
            self._response.voice(ulaw)
            return self.next_piece()
        return []

    def broke(self, reason: str) -> list[Output]:
        """End the response because a worker failed; the client may ask again."""
        self._listening.clear()
        if self._response is None or not self._response.is_open:
            return []
        return self._settle(self._response.fail(reason))

    @property
    def has_sound(self) -> bool:
        """Whether a response has sound left that was not sent."""
        return self._response is not None and self._response.has_sound

    def next_piece(self) -> list[Output]:
        """Return the next 400 ms of speech."""
        return self._settle(self._response.next_piece()) if self._response else []

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{next(self._numbers):06d}"

    def _send(self, event: Event) -> Send:
        return Send({"event_id": self._new_id("event"), **event})

    def _sends(self, found: Iterable[Event]) -> list[Output]:
        return [self._send(event) for event in found]

    # Client events

    def _receive(self, event: Mapping[str, Any]) -> list[Output]:
        match event["type"]:
            case "input_audio_buffer.append":
                return self._append(event)
            case "session.update":
                return self._update(event)
            case "response.create":
                return self._create(event.get("response") or {})
            case "response.cancel":
                return self._cancel_asked(event)
            case "conversation.item.create":
                return self._create_item(event)
            case (
                "conversation.item.truncate"
                | "conversation.item.retrieve"
                | "conversation.item.delete"
            ):
                return self._sends([self._items.change(event)])
            case "input_audio_buffer.commit":
                return self._commit_asked()
            case "input_audio_buffer.clear":
                self._forget_sound()
                return self._sends([{"type": "input_audio_buffer.cleared"}])
        raise Refused(f"Invalid value: '{event['type']}'.", code="invalid_value", param="type")

    def _update(self, event: Mapping[str, Any]) -> list[Output]:
        self._config = config.merged(self._config, event.get("session"))
        self._dialogue.instruct(str(self._config["instructions"] or ""))
        return self._sends([{"type": "session.updated", "session": self._config}])

    def _create_item(self, event: Mapping[str, Any]) -> list[Output]:
        item, previous = self._items.create(event)
        if item["type"] == "function_call_output":
            self._dialogue.tool_result(item["output"])
        elif item["type"] == "message" and item["role"] != "system":
            self._dialogue.remember(item["role"])
            if item["role"] == "user":
                self._dialogue.read(" ".join(part.get("text", "") for part in item["content"]))
        return self._sends([events.item_added(item, previous), events.item_done(item, previous)])

    # The caller's sound

    @property
    def _turns(self) -> Mapping[str, Any] | None:
        turns: Mapping[str, Any] | None = self._config["audio"]["input"]["turn_detection"]
        return turns

    def _append(self, event: Mapping[str, Any]) -> list[Output]:
        try:
            ulaw = base64.b64decode(event.get("audio", ""), validate=True)
        except (binascii.Error, TypeError, ValueError) as exc:
            raise Refused("'audio' is not base64.", code="invalid_value", param="audio") from exc
        self._sound += ulaw
        self._total += len(ulaw)
        if (turns := self._turns) is None:
            del self._sound[:-_LONGEST_ANSWER]
            return []
        patience = self._grammar().patience_ms
        self._vad.silence_ms = max(turns["silence_duration_ms"], patience)
        out: list[Output] = []
        for change in self._vad.feed(ulaw):
            out += self._started(change) if isinstance(change, Started) else self._stopped(change)
        if not self._vad.is_speech:  # what may still become the padding of a word
            del self._sound[: -(turns["prefix_padding_ms"] + 200) * BYTES_PER_MS]
        del self._sound[:-_LONGEST_ANSWER]
        return out

    def _grammar(self) -> Grammar:
        """Return the grammar of what is awaited; made per question, asked for per frame."""
        expects = self._dialogue.expects
        awaited = (expects.field.key if expects.field else "", expects.kind)
        if self._awaited != awaited:
            self._awaited, self._answers = awaited, grammar(expects)
        return self._answers

    def _started(self, change: Started) -> list[Output]:
        turns = self._turns or {}
        begun = max(0, change.ms - turns["prefix_padding_ms"])
        self._speaker = self._new_id("item")
        name = "input_audio_buffer.speech_started"
        out: list[Output] = self._sends(
            [{"type": name, "audio_start_ms": begun, "item_id": self._speaker}]
        )
        if turns["interrupt_response"]:
            if self._listening and not self._is_speaking:  # they only took a breath
                self._carry = self._listening[next(reversed(self._listening))]
                self._carried.update(self._listening)
            out += self._cancel("turn_detected")
        return out

    @property
    def _is_speaking(self) -> bool:
        return self._response is not None and self._response.is_filled and self._response.is_open

    def _stopped(self, change: Stopped) -> list[Output]:
        name = "input_audio_buffer.speech_stopped"
        stopped = {"type": name, "audio_end_ms": change.ms, "item_id": self._speaker}
        if (silent := (self._vad.silence_ms - _TAIL_MS) * BYTES_PER_MS) > 0:
            del self._sound[-silent:]
        out = [*self._sends([stopped]), *self._commit()]
        if (self._turns or {})["create_response"]:
            out += self._start_response(None, may_call=True)
        return out

    def _commit_asked(self) -> list[Output]:
        if len(self._sound) < _SHORTEST_COMMIT_MS * BYTES_PER_MS:
            raise Refused(
                "Error committing input audio buffer: buffer too small.",
                code="input_audio_buffer_commit_empty",
            )
        self._speaker = self._speaker or self._new_id("item")
        self._vad.reset()
        return self._commit()

    def _commit(self) -> list[Output]:
        item = events.user_audio(self._speaker)
        previous = self._items.add(item)
        ulaw = self._carry + bytes(self._sound)
        self._listening[item["id"]] = ulaw
        self._forget_sound()
        committed = {"type": "input_audio_buffer.committed", "item_id": item["id"]}
        return [
            *self._sends([{**committed, "previous_item_id": previous}]),
            *self._sends([events.item_added(item, previous), events.item_done(item, previous)]),
            Listen(item["id"], ulaw, self._grammar()),
        ]

    def _forget_sound(self) -> None:
        self._sound.clear()
        self._carry = b""
        self._speaker = ""
        self._vad.reset()

    # Responses

    def _create(self, wanted: Any) -> list[Output]:
        if not isinstance(wanted, dict):
            raise Refused("'response' must be an object.", code="invalid_type", param="response")
        unknown = set(wanted) - {"instructions", "tool_choice", "metadata", "conversation", "tools"}
        if unknown or wanted.get("conversation", "auto") != "auto":
            param = f"response.{min(unknown) if unknown else 'conversation'}"
            raise Refused(f"Not possible offline: '{param}'.", code="invalid_value", param=param)
        if self._response is not None and self._response.is_open:
            raise Refused(
                "Conversation already has an active response in progress.",
                code="conversation_already_has_active_response",
            )
        instructions = wanted.get("instructions")
        return self._start_response(
            instructions if isinstance(instructions, str) else None,
            may_call=wanted.get("tool_choice", "auto") != "none",
        )

    def _start_response(self, instructions: str | None, *, may_call: bool) -> list[Output]:
        if self._response is not None and self._response.is_open:
            self._is_owed = True
            return []
        self._response = Response(
            self._new_id("resp"),
            self._conversation_id,
            new_id=self._new_id,
            add=self._items.add,
            instructions=instructions,
            may_call=may_call,
        )
        return [self._send(self._response.created()), *self._fill()]

    def _fill(self) -> list[Output]:
        """Give the response its words, once everything that was said is heard."""
        response = self._response
        if response is None or not response.is_open or response.is_filled or self._listening:
            return []
        speech = self._dialogue.respond(response.instructions, may_call=response.may_call)
        out = self._settle(response.fill(speech))
        return [*out, Speak(response.id, speech.text)] if speech.text else out

    def _cancel_asked(self, event: Mapping[str, Any]) -> list[Output]:
        wanted = event.get("response_id")
        active = self._response if self._response and self._response.is_open else None
        if active is None or (wanted is not None and wanted != active.id):
            raise Refused(
                "Cancellation failed: no active response found", code="response_cancel_not_active"
            )
        return self._cancel("client_cancelled")

    def _cancel(self, reason: str) -> list[Output]:
        return self._settle(self._response.cancel(reason)) if self._response else []

    def _settle(self, found: list[Event]) -> list[Output]:
        """Return the events of a response; when it is over, the response that was owed begins."""
        out = self._sends(found)
        response = self._response
        if response is None:
            return out
        if response.said is not None:
            self._items.sounded(response.said["id"], response.sent_bytes // BYTES_PER_MS)
        if not response.is_open and self._is_owed:
            self._is_owed = False
            out += self._start_response(None, may_call=True)
        return out
