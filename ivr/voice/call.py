"""One phone call: what happens, and what is done about it. No socket, no task, no clock.

`receive` takes an event and returns commands, `tick` says that time has passed, `wake_at` is when
it wants to be told. Floor, Transcript, Timers and the others are small machines of their own; this
file connects them and decides how the call goes on.
"""

from collections import deque

import structlog

from . import media_stream, realtime
from .commands import (
    BridgeEvent,
    CallerGone,
    Command,
    Ended,
    EndReason,
    HangUp,
    ModelConnected,
    ModelGone,
    ToModel,
    ToolFinished,
)
from .floor import Floor
from .goodbye import Goodbye
from .keypad import Keypad
from .patience import Patience
from .phase import MOVES, Phase
from .response_slot import Slot
from .script import HANDOVER, NUDGE, Limits, Script
from .timers import Timer, Timers
from .tool_calls import ToolCalls
from .transcript import Transcript
from .usage import Usage

log = structlog.get_logger(__name__)

Event = media_stream.Event | realtime.Event | BridgeEvent


class Call:
    """A call from the start of its stream. Never raises for what a peer sends."""

    def __init__(self, stream_sid: str, script: Script, limits: Limits, now: float) -> None:
        self.phase = Phase.RINGING
        self.usage = Usage()
        self.unknown = 0  # frames and messages that made no sense
        self.floor = Floor(stream_sid)
        self._script = script
        self._limits = limits
        self._now = now
        self._transcript = Transcript()
        self._timers = Timers()
        self._patience = Patience(limits, self._timers)
        self._held: deque[str] = deque(maxlen=limits.held_frames)
        self._tools = ToolCalls()
        self._keypad = Keypad()
        self._goodbye: Goodbye | None = None
        self._verdict: Ended | None = None
        self._is_over = False
        self._timers.set(Timer.READY, now + limits.ready_s)
        self._timers.set(Timer.LENGTH, now + limits.call_s)

    @property
    def wake_at(self) -> float:
        """When `tick` wants to be called; infinity when nothing is due."""
        return self._timers.wake_at

    def receive(self, event: Event | None, now: float) -> list[Command]:
        """Return the commands that `event` calls for."""
        if isinstance(event, media_stream.CallerAudio):  # 50 times a second: no more than this
            return self._forward(event.payload)
        if event is None or self._is_over:
            return []
        self._now = now
        handle = self._hear_last_words if self.phase is Phase.ENDED else self._handle
        return [*handle(event), *self._settle()]

    def tick(self, now: float) -> list[Command]:
        """Return the commands that are due by now."""
        self._now = now
        commands: list[Command] = []
        while timer := self._timers.take(now):
            commands += [*self._due(timer), *self._settle()]
        return commands

    def stop(self, reason: str, now: float, *, fallback: bool = False) -> list[Command]:
        """End at once, whatever is going on; return what is left to record, and `Ended`."""
        self._now = now
        return [*self._end(reason, fallback=fallback), *self._leave()]

    # What has happened

    def _handle(self, event: Event) -> list[Command]:
        match event:
            case media_stream.MarkPlayed(name=name):
                return self._mark_played(name)
            case media_stream.KeyPressed(digit=digit):
                return self._key_pressed(digit)
            case media_stream.StreamStopped():
                return self._caller_gone(EndReason.CALLER_HUNG_UP)
            case CallerGone(reason=reason):
                return self._caller_gone(reason)
            case ModelConnected():
                return [ToModel(realtime.session_update(self._script.session))]
            case ModelGone(reason=reason):
                return self._lose_model(reason)
            case ToolFinished():
                return self._tool_finished(event)
            case media_stream.Unknown() | realtime.Unknown():
                self.unknown += 1
            case media_stream.StreamStarted() | media_stream.CallerAudio():
                pass  # the first start was the door's, a second one is none
            case realtime.SessionReady():
                return self._session_ready()
            case realtime.ErrorReported(error=error):
                return self._error_reported(error)
            case _ if self.phase is not Phase.RINGING:
                self._note(event)
                return self._converse(event)
        return []

    def _converse(self, event: realtime.Event) -> list[Command]:
        match event:
            case realtime.AssistantAudio():
                return self.floor.speak(event, self._now)
            case realtime.CallerStarted(item_id=item_id):
                return self._caller_started(item_id)
            case realtime.CallerStopped():
                self._timers.clear(Timer.MONOLOGUE)
                self.floor.caller_stopped()
            case realtime.AssistantText():
                self._assistant_text(event)
            case realtime.ResponseStarted(response=response):
                return self.floor.response_started(response.id)
            case realtime.ResponseEnded(response=response):
                return self._response_ended(response)
            case realtime.OutputItemEnded(item=item, response_id=response_id):
                return self._output_item_ended(item, response_id)
        return []

    # The caller

    def _forward(self, audio: str) -> list[Command]:
        if self.phase is Phase.RINGING:
            self._held.append(audio)
        elif self.phase is not Phase.ENDED and not self._is_final:
            return [ToModel(realtime.append(audio))]
        return []

    def _caller_started(self, item_id: str) -> list[Command]:
        if self._is_final:
            return []
        self._patience.caller_is_there()
        self._timers.set(Timer.MONOLOGUE, self._now + self._limits.monologue_s)
        self._abandon_goodbye()
        return self.floor.caller_started(item_id, self._now)

    def _key_pressed(self, digit: str) -> list[Command]:
        if self._is_final:
            return []
        self._patience.caller_is_there()
        self._abandon_goodbye()
        commands = [] if self._keypad.is_active else self.floor.key_pressed(self._now)
        if self._keypad.press(digit):
            return [*commands, *self._send_keys()]
        self._timers.set(Timer.KEYS, self._now + self._limits.keys_s)
        return commands

    def _send_keys(self) -> list[Command]:
        if self.phase is Phase.RINGING:
            self._timers.set(Timer.KEYS, self._now + self._limits.keys_s)
            return []
        self._timers.clear(Timer.KEYS)
        keys = self._keypad.take()
        if not keys:
            return []
        said = realtime.message("user", f"The caller keyed in: {keys}")
        return [ToModel(said), *self.floor.ask()]

    def _caller_gone(self, reason: str) -> list[Command]:
        commands: list[Command] = []
        if (item_id := self.floor.caller_item) is not None:  # a word cut off is a turn as well
            self._transcript.expect(item_id, self._now)
            commands.append(ToModel(realtime.commit()))
        return [*commands, *self._end(reason)]

    # The assistant

    def _session_ready(self) -> list[Command]:
        if self.phase is not Phase.RINGING:
            return []
        self._enter(Phase.GREETING)
        self._timers.clear(Timer.READY)
        commands: list[Command] = []
        for item_id, role, text in self._script.replay:
            self._transcript.skip(item_id)
            commands.append(ToModel(realtime.message(role, text, item_id=item_id)))
        commands += self.floor.ask(self._script.opening, may_use_tools=False)
        commands += [ToModel(realtime.append(audio)) for audio in self._held]
        self._held.clear()
        return commands

    def _assistant_text(self, text: realtime.AssistantText) -> None:
        if self.floor.is_muted(text.item_id, text.response_id):
            self.floor.playback.drop(text.item_id, 0)  # even if no sound of it was made
        elif self._goodbye is None and not self.floor.is_caller_speaking:
            if self._script.is_goodbye(text.transcript):
                self._close(EndReason.GOODBYE, spoken=True)

    def _response_ended(self, response: realtime.Response) -> list[Command]:
        commands = self.floor.response_ended(response.id)
        if response.status != "failed":
            self._patience.model_is_there()
            return commands
        log.warning("response failed", code=response.error_code)
        if self._patience.may_retry():
            return commands or self.floor.ask()
        return self._lose_model(EndReason.MODEL_FAILED)

    def _output_item_ended(self, item: realtime.Item, response_id: str) -> list[Command]:
        tool = self._tools.begin(item, response_id)
        return [tool] if tool else []

    def _tool_finished(self, tool: ToolFinished) -> list[Command]:
        response_id = self._tools.finish(tool.call_id)
        if response_id is None:
            return []
        output = realtime.function_call_output(tool.call_id, tool.output)
        commands: list[Command] = [ToModel(output)]
        if (tool.ends or tool.transfer) and not self.floor.is_caller_speaking:
            reason = tool.ends or EndReason.TRANSFER
            spoken = self.floor.has_spoken(response_id)
            self._close(reason, spoken=spoken, transfer=tool.transfer)
        if not self._tools.is_running and self._goodbye is None:
            commands += self.floor.ask()
        return commands

    def _error_reported(self, error: realtime.Complaint) -> list[Command]:
        log.warning("model error", type=error.type, code=error.code, param=error.param)
        if error.code == "session_expired":
            return self._lose_model(EndReason.MODEL_LOST)
        if error.event_id == realtime.SESSION_EVENT_ID and self.phase is Phase.RINGING:
            return self._lose_model(EndReason.MODEL_REFUSED)
        if error.code == "conversation_already_has_active_response":
            self.floor.slot.refused(realtime.response_create())
        return []

    # Goodbye, and the end

    def _close(self, reason: str, *, spoken: bool, transfer: bool = False) -> Goodbye:
        """Decide on goodbye: the call ends when it was heard, or goes on if the caller speaks."""
        if self._goodbye is not None:  # said before it was done by tool: the tool knows the reason
            self._goodbye.amend(reason, transfer=transfer)
            return self._goodbye
        log.info("=== GOODBYE MESSAGE DETECTED - CALL COMPLETE ===", reason=str(reason))
        self._goodbye = Goodbye(reason, spoken=spoken, transfer=transfer)
        self._enter(Phase.CLOSING)
        return self._goodbye

    def _close_for_good(self) -> list[Command]:
        """Say goodbye at the length cap; from now on the caller is not listened to."""
        if self.phase is Phase.RINGING:
            return self._lose_model(EndReason.MODEL_SILENT)
        goodbye = self._goodbye or self._close(EndReason.LENGTH, spoken=False)
        goodbye.is_final = True
        self.floor.stop_listening()
        self._timers.clear(Timer.MONOLOGUE)
        self._timers.set(Timer.FINAL, self._now + self._limits.final_s)
        return []

    def _say_goodbye(self, goodbye: Goodbye) -> list[Command]:
        if not goodbye.spoken:
            goodbye.spoken = True
            words = HANDOVER if goodbye.transfer else self._script.farewell
            return self.floor.ask(words, may_use_tools=False)
        if goodbye.mark is not None:
            return []
        goodbye.mark, wait_s, command = self.floor.bookmark("bye")
        self._timers.set(Timer.GOODBYE, self._now + wait_s + self._limits.mark_grace_s)
        return [command]

    def _mark_played(self, name: str) -> list[Command]:
        was_heard = self.floor.playback.echo(name, self._now)
        is_last = self._goodbye is not None and self._goodbye.mark == name
        return self._finish_goodbye() if was_heard and is_last else []

    def _abandon_goodbye(self) -> None:
        if self._goodbye is not None:
            self._goodbye = None
            self._timers.clear(Timer.GOODBYE)
            self._enter(Phase.LISTENING)

    def _finish_goodbye(self) -> list[Command]:
        assert self._goodbye is not None, "a goodbye that nobody said"
        return self._end(self._goodbye.reason, transfer=self._goodbye.transfer)

    def _lose_model(self, reason: str) -> list[Command]:
        """The model is of no more use: another voice takes over, unless goodbye was on its way."""
        if self._goodbye is None:
            return self._end(reason, fallback=True)
        if not self._goodbye.spoken:
            return self._finish_goodbye()
        self.floor.lose_model()  # what was said waits at Twilio, and its mark ends the call
        self._tools = ToolCalls()
        return []

    def _end(self, reason: str, *, fallback: bool = False, transfer: bool = False) -> list[Command]:
        if self.phase is Phase.ENDED:
            return []
        self._enter(Phase.ENDED)
        self._verdict = Ended(str(reason), fallback=fallback, transfer=transfer)
        self.floor.playback.cut(self._now)  # what was not heard by now never will be
        self._transcript.finish("assistant")
        self._timers.clear_all()
        self._timers.set(Timer.LAST_WORDS, self._now + self._limits.last_words_s)
        return [HangUp(), *(self._leave() if fallback else ())]

    def _hear_last_words(self, event: Event) -> list[Command]:
        """After the hang-up only what the caller said last is of interest."""
        if isinstance(event, ModelGone):
            return self._leave()
        if isinstance(event, realtime.Event):
            self._note(event)
        return []

    def _note(self, event: realtime.Event) -> None:
        self._transcript.receive(event, self._now)
        self.usage.receive(event)

    def _leave(self) -> list[Command]:
        if self._is_over or self._verdict is None:
            return []
        self._is_over = True
        self._timers.clear_all()
        self._transcript.finish("user", "assistant")
        return [*self._transcript.leave(self.floor.playback, self._now), self._verdict]

    # What follows from it

    def _settle(self) -> list[Command]:
        """Bring transcript, phase and timers in line with what has just happened."""
        if self._is_over:
            return []
        commands: list[Command] = [*self._transcript.leave(self.floor.playback, self._now)]
        self._timers.set(Timer.TRANSCRIPTION, self._transcript.wake_at)
        if self.phase is Phase.ENDED:
            return commands if self._transcript.awaits_caller else [*commands, *self._leave()]
        if self._goodbye is not None and self.floor.slot.is_free and not self._tools.is_running:
            commands += self._say_goodbye(self._goodbye)
        if self.floor.playback.is_playing and self.phase is Phase.LISTENING:
            self._enter(Phase.SPEAKING)
        elif self.floor.is_quiet and self.phase in (Phase.GREETING, Phase.SPEAKING):
            self._enter(Phase.LISTENING)
        is_listening = self.phase is Phase.LISTENING
        is_busy = self._tools.is_running or self._keypad.is_active
        self._patience.watch(self.floor, self._now, is_listening=is_listening, is_busy=is_busy)
        return commands

    def _due(self, timer: Timer) -> list[Command]:
        match timer:
            case Timer.READY:
                return self._lose_model(EndReason.MODEL_SILENT)
            case Timer.ANSWER:
                return self._answer_overdue()
            case Timer.SILENCE:
                return self._nudge()
            case Timer.MONOLOGUE:
                self.floor.caller_stopped()
            case Timer.KEYS:
                return self._send_keys()
            case Timer.LENGTH:
                return self._close_for_good()
            case Timer.GOODBYE | Timer.FINAL:
                return self._finish_goodbye()
            case Timer.LAST_WORDS:
                return self._leave()
        return []

    def _answer_overdue(self) -> list[Command]:
        """Ask once for what the server should have said by itself; then the model is lost."""
        if self._patience.may_retry() and self.floor.slot.state is Slot.EXPECTED:
            return self.floor.insist()
        return self._lose_model(EndReason.MODEL_SILENT)

    def _nudge(self) -> list[Command]:
        if self._patience.may_nudge():
            return self.floor.ask(NUDGE)
        self._close(EndReason.SILENCE, spoken=False)
        return []

    @property
    def _is_final(self) -> bool:
        return self._goodbye is not None and self._goodbye.is_final

    def _enter(self, phase: Phase) -> None:
        assert phase in MOVES[self.phase], f"{self.phase} -> {phase} is no legal move"
        log.debug("call phase", old=self.phase.value, new=phase.value)
        self.phase = phase
