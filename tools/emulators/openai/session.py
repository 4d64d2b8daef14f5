"""One Realtime session: takes client events, keeps the response slot, lends tests its levers.

The socket loop is in `emulator`, shapes are checked in `strictness`, audio in `ears`, what is said
comes from `script`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tools.emulators.openai import strictness
from tools.emulators.openai.conversation import Conversation, Item
from tools.emulators.openai.ears import Ears
from tools.emulators.openai.event_log import Event, EventLog, Predicate
from tools.emulators.openai.misconduct import Misconduct
from tools.emulators.openai.refusal import Refusal, invalid_value
from tools.emulators.openai.responses import Response, Stage
from tools.emulators.openai.script import PREAMBLE, Act, CallFunction, Script, Speak
from tools.emulators.openai.transcription import Transcriber
from tools.emulators.openai.wire import Closed, Wire

Handler = Callable[[Event], Awaitable[None]]


class Session:
    """One connection as a test sees it: `received`, `sent`, `items`, `model`, `closed`, levers."""

    def __init__(
        self, stage: Stage, script: Script, misconduct: Misconduct, heard: list[str]
    ) -> None:
        self.received = EventLog()
        self.config = stage.config
        self.script = script
        self._closed = asyncio.Event()
        self.close_code: int | None = None
        self._stage = stage
        self._misconduct = misconduct
        self._heard = heard
        self._transcriber = Transcriber(stage.wire, stage.faults)
        self._ears = Ears(stage, self, self._transcriber)
        self._active: Response | None = None
        self._owed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._handlers: dict[str, Handler] = {
            "session.update": self._update,
            "input_audio_buffer.append": lambda event: self._ears.append(event["audio"]),
            "input_audio_buffer.commit": lambda event: self._ears.commit(),
            "input_audio_buffer.clear": lambda event: self._ears.clear(),
            "output_audio_buffer.clear": self._no_output_buffer,
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    # What a test may look at

    @property
    def sent(self) -> EventLog:
        return self._wire.sent

    @property
    def items(self) -> list[Item]:
        return self._stage.conversation.items

    @property
    def model(self) -> str:
        return str(self.config.view["model"])

    @property
    def conversation(self) -> Conversation:
        return self._stage.conversation

    @property
    def audio_received(self) -> bytes:
        """All audio the client appended, decoded."""
        return bytes(self._ears.received)

    @property
    def audio_ms(self) -> float:
        return self._ears.total_ms

    def audio_sent(self, item_id: str | None = None) -> bytes:
        """Return the audio of all deltas of one item, or of the whole session."""
        sent = self._stage.audio_sent
        return bytes(sent[item_id]) if item_id else b"".join(sent.values())

    async def wait(self, predicate: Predicate, *, within: float = 30.0, nth: int = 0) -> Event:
        """Return the first (`nth`) event received from the client for which `predicate` holds."""
        return await self.received.first(predicate, within=within, nth=nth)

    async def received_event(self, kind: str, *, within: float = 30.0, nth: int = 0) -> Event:
        return await self.received.first(lambda e: e["type"] == kind, within=within, nth=nth)

    async def sent_event(self, kind: str, *, within: float = 30.0, nth: int = 0) -> Event:
        return await self.sent.first(lambda e: e["type"] == kind, within=within, nth=nth)

    @property
    def closed(self) -> bool:
        """Whether the socket is gone."""
        return self._closed.is_set()

    async def wait_closed(self, *, within: float = 30.0) -> None:
        """Return when the socket is gone; raise TimeoutError after `within` seconds."""
        async with asyncio.timeout(within):
            await self._closed.wait()

    # Levers

    async def say(self, text: str, *more: str) -> str:
        """Say `text` in a response as soon as the slot is free; return the item's id at its end."""
        response = await self._perform_by_hand([Speak(words) for words in (text, *more)])
        return str(response["output"][0]["id"])

    async def call_tool(self, name: str, /, *, within: float = 30.0, **arguments: Any) -> str:
        """Perform a response that calls a function; return the output that the client gives."""
        response = await self._perform_by_hand([CallFunction(name, json.dumps(arguments))])
        call_id = response["output"][0]["call_id"]
        event = await self.wait(
            lambda e: (
                e["type"] == "conversation.item.create" and e["item"].get("call_id") == call_id
            ),
            within=within,
        )
        return str(event["item"]["output"])

    async def caller_spoke(self, text: str, *, ms: int = 1000) -> str:
        """Behave as if the caller had said `text`, without audio; return the user item's id."""
        return await self._ears.spoke(text, ms=ms)

    async def send(self, raw: str | bytes | Event) -> None:
        """Send any frame, or an event as it is."""
        await self._wire.raw(json.dumps(raw) if isinstance(raw, dict) else raw)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._wire.close(code, reason)

    def abort(self) -> None:
        """Reset the connection."""
        self._wire.abort()

    async def expire(self) -> None:
        """Reach the service's maximum age."""
        message = "Your session hit the maximum duration of 60 minutes."
        error = Refusal(message, code="session_expired").body()
        await self._wire.emit("error", error=error)
        await self._wire.close(1000)

    # The socket loop's side

    async def opened(self) -> None:
        """Greet the client, as the service does unasked."""
        await self._wire.emit("session.created", session=self.config.view)

    async def receive(self, frame: str | None) -> None:
        """Take one frame of the client; `frame` is None when it was binary."""
        event: Event = {}
        try:
            event = strictness.parse(frame) if frame is not None else _refuse_binary()
            self.received.add(event)
            strictness.check(event)
        except Refusal as refusal:
            self._misconduct.violation(self._stage.number, event.get("type"), refusal)
            await self._refuse(event, refusal)
            return
        try:
            await self._handlers[event["type"]](event)
        except Refusal as refusal:
            await self._refuse(event, refusal)

    async def gone(self, code: int | None) -> None:
        """The socket is closed: stop everything."""
        self.close_code = code
        self._wire.closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._closed.set()

    # What the ears ask for

    def heard(self) -> str:
        said = self.script.heard()
        return self._heard.pop(0) if self._heard else said

    async def interrupt(self) -> None:
        await self._cancel("turn_detected")

    def answer(self) -> None:
        """Begin a response now, or as soon as the active one is over."""
        if self._active is None:
            self._start({})
        else:
            self._owed = True

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside the socket loop, until the session ends."""
        task = asyncio.create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Client events

    async def _update(self, event: Event) -> None:
        before = self.config.input_format
        self.config.update(event["session"], has_spoken=bool(self._stage.audio_sent))
        if self._ears.received and self.config.input_format != before:
            text = "audio was appended before its format was set: the model heard noise"
            self._misconduct.violation(self._stage.number, "session.update", Refusal(text))
        self._ears.configure()
        self.script.meet(str(self.config.view.get("instructions", "")))
        await self._wire.emit("session.updated", session=self.config.view)

    async def _create_item(self, event: Event) -> None:
        base = {"id": self._stage.new_id("item"), "object": "realtime.item", "status": "completed"}
        view = {**base, **event["item"]}
        item = self.conversation.create(view, event.get("previous_item_id"))
        self.script.item_created(view)
        for kind in ("conversation.item.added", "conversation.item.done"):
            await self._wire.emit(kind, item=_silent(view), previous_item_id=item.previous_id)

    async def _delete_item(self, event: Event) -> None:
        self.conversation.delete(event["item_id"])
        await self._wire.emit("conversation.item.deleted", item_id=event["item_id"])

    async def _retrieve_item(self, event: Event) -> None:
        item = self.conversation.get(event["item_id"], "item_retrieve")
        await self._wire.emit("conversation.item.retrieved", item=item.view)

    async def _truncate_item(self, event: Event) -> None:
        where = {key: event[key] for key in ("item_id", "content_index", "audio_end_ms")}
        self.conversation.truncate(**where)
        await self._wire.emit("conversation.item.truncated", **where)

    async def _create_response(self, event: Event) -> None:
        params = event.get("response", {})
        if params.get("conversation") == "none":
            response = Response(self._stage, self.script.aside(), params)
            self.later(response.run())
            return
        if self._active is not None:
            raise Refusal(
                f"Conversation already has an active response in progress: {self._active.id}. "
                "Wait until the response is finished before creating a new one.",
                code="conversation_already_has_active_response",
            )
        if missing := self.conversation.missing_outputs():
            text = f"response.create before the output of {', '.join(missing)}"
            self._misconduct.violation(self._stage.number, "response.create", Refusal(text))
        self._start(params)

    async def _cancel_response(self, event: Event) -> None:
        wanted = event.get("response_id")
        if self._active is None or wanted not in (None, self._active.id):
            raise Refusal(
                "Cancellation failed: no active response found", code="response_cancel_not_active"
            )
        await self._cancel("client_cancelled")

    async def _no_output_buffer(self, event: Event) -> None:
        raise invalid_value("type", "output_audio_buffer.clear is for WebRTC and SIP only")

    # The slot

    def _next_acts(self, params: dict[str, Any]) -> list[Act]:
        missing = self.conversation.missing_outputs()
        return self.script.next_acts(missing, params.get("instructions", ""))

    def _start(self, params: dict[str, Any], acts: list[Act] | None = None) -> Response:
        if acts is None:
            fails = self._stage.faults().response_fails
            acts = [] if fails else self._next_acts(params)
            self._check_offered(acts)
            if self._stage.faults().preamble and any(isinstance(act, Speak) for act in acts):
                acts = [Speak(PREAMBLE), *acts]
        self._ears.response_started()
        response = self._active = Response(self._stage, acts, params)
        self.later(self._perform(response))
        return response

    def _check_offered(self, acts: list[Act]) -> None:
        """A model can only call what the session offers; a script would not notice."""
        offered = {tool.get("name") for tool in self.config.view["tools"]}
        for act in acts:
            if isinstance(act, CallFunction) and act.name not in offered:
                text = f"the scenario calls {act.name}, which session.tools does not offer"
                self._misconduct.violation(self._stage.number, "session.update", Refusal(text))

    async def _perform(self, response: Response) -> None:
        try:
            await response.run()
        finally:
            self._active = None
            response.over.set()
        self.script.interrupted(response.left)
        self._ears.response_ended(response.audio_ms)
        await self._transcriber.response_done(last=self.script.finished)
        if self._owed and self._active is None:
            self._owed = False
            self._start({})

    async def _cancel(self, reason: str) -> None:
        """Cancel the active response and return when its last event is out."""
        if (response := self._active) is not None:
            response.cancel(reason)
            await response.over.wait()

    async def _perform_by_hand(self, acts: list[Act]) -> Event:
        while self._active is not None:
            await self._active.over.wait()
        response = self._start({}, acts)
        await response.over.wait()
        done = [e["response"] for e in self.sent.of("response.done")]
        return next(view for view in done if view["id"] == response.id)

    async def _refuse(self, event: Event, refusal: Refusal) -> None:
        error = refusal.body(event.get("event_id"))
        self._misconduct.error(self._stage.number, error)
        await self._wire.emit("error", error=error)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Closed:
            return
        except Exception as exc:
            self._misconduct.crash(exc)

    @property
    def _wire(self) -> Wire:
        return self._stage.wire


def _silent(view: dict[str, Any]) -> dict[str, Any]:
    """Return an item without its audio, as the service repeats it."""
    parts = view.get("content", [])
    quiet = [{key: value for key, value in part.items() if key != "audio"} for part in parts]
    return {**view, "content": quiet} if parts else view


def _refuse_binary() -> Event:
    raise Refusal("Binary frames are not supported.", code="invalid_event")
