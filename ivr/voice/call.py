"""One phone call: what happens, and what is done about it. No socket, no task, no clock.

`receive` takes an event and returns commands, `tick` says that time has passed, `wake_at` is when
it wants to be told. Floor, Assistant, Farewell and the others are small machines of their own; this
file connects them and decides how the call goes on.
"""

import structlog

from . import media_stream, realtime
from .assistant import Assistant
from .caller import Caller
from .commands import (
    BridgeEvent,
    CallerGone,
    Command,
    Ended,
    EndReason,
    ModelConnected,
    ModelGone,
    ToolFinished,
)
from .floor import Floor
from .goodbye import Farewell, Goodbye
from .last_words import LastWords
from .patience import Patience
from .phase import MOVES, Phase
from .response_slot import Slot
from .script import NUDGE, Limits, Script
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
        self._now = now
        self._transcript = Transcript()
        self._timers = timers = Timers()
        self._patience = Patience(limits, timers)
        self._assistant = Assistant(script, limits, timers, self._transcript, self.floor)
        self._tools = ToolCalls()
        self._caller = Caller(
            limits,
            timers,
            floor=self.floor,
            transcript=self._transcript,
            assistant=self._assistant,
            patience=self._patience,
        )
        self._farewell = Farewell(script, limits, timers, self.floor)
        self._last_words = LastWords(limits, timers, self._transcript, self.floor)
        timers.set(Timer.LENGTH, now + limits.call_s)

    @property
    def wake_at(self) -> float:
        """When `tick` wants to be called; infinity when nothing is due."""
        return self._timers.wake_at

    def start(self, now: float) -> list[Command]:
        """Return what has to be done before anything can happen."""
        return self._assistant.open(now)

    def receive(self, event: Event | None, now: float) -> list[Command]:
        """Return the commands that `event` calls for."""
        if isinstance(event, media_stream.CallerAudio):  # 50 times a second: no more than this
            return self._forward(event.payload)
        if event is None or self._last_words.is_over:
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
        return [*self._end(reason, fallback=fallback), *self._last_words.complete(now)]

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
            case ModelConnected(session=session):
                return self._model_connected(session)
            case ModelGone(session=session, reason=reason):
                return self._model_gone(session, reason)
            case ToolFinished():
                return self._tool_finished(event)
            case media_stream.Unknown() | realtime.Unknown():
                self.unknown += 1
            case media_stream.StreamStarted() | media_stream.CallerAudio():
                pass  # the first start was the door's, a second one is none
            case _ if self._assistant.is_connected:
                return self._model_said(self.floor.names.inside(event))
        return []

    def _model_said(self, event: realtime.Event) -> list[Command]:
        match event:
            case realtime.SessionReady():
                return self._session_ready()
            case realtime.ErrorReported(error=error):
                return self._error_reported(error)
            case _ if self._assistant.is_ready:
                self._note(event)
                return self._converse(event)
        return []

    def _converse(self, event: realtime.Event) -> list[Command]:
        match event:
            case realtime.AssistantAudio():
                return self.floor.speak(event, self._now)
            case realtime.CallerStarted(item_id=item_id):
                return self._caller_started(item_id)
            case realtime.CallerStopped(item_id=item_id):
                self._caller.stopped(item_id, self._now)
            case realtime.AssistantText():
                self._assistant_text(event)
            case realtime.ResponseStarted(response=response):
                return self.floor.response_started(response.id)
            case realtime.ResponseEnded(response=response):
                return self._response_ended(response)
            case realtime.OutputItemEnded(item=item, response_id=response_id):
                if tool := self._tools.begin(item, response_id):
                    self.floor.slot.withdraw()  # the tool before it was done already
                return tool
        return []

    # The caller

    def _forward(self, audio: str) -> list[Command]:
        if self.phase is Phase.ENDED or self._farewell.is_final:
            return []
        return self._assistant.hear(audio)

    def _caller_started(self, item_id: str) -> list[Command]:
        if self._farewell.is_final:
            return []
        return [*self._abandon_goodbye(), *self._caller.started(item_id, self._now)]

    def _key_pressed(self, digit: str) -> list[Command]:
        if self._farewell.is_final:
            return []
        return [*self._abandon_goodbye(), *self._caller.pressed(digit, self._now)]

    def _caller_gone(self, reason: str) -> list[Command]:
        return [*self._caller.left(self._now), *self._end(reason)]

    # The model's sessions

    def _model_connected(self, session: int) -> list[Command]:
        is_greeting, may_change = self._is_greeting, self._farewell.goodbye is None
        return self._assistant.connected(
            session, self._now, is_greeting=is_greeting, may_change=may_change
        )

    def _session_ready(self) -> list[Command]:
        if self._assistant.is_ready:
            return []
        if self.phase is Phase.RINGING:
            self._enter(Phase.GREETING)
        may_ask = self._farewell.goodbye is None and not self._tools.is_running
        return self._assistant.ready(self._now, may_ask=may_ask)

    def _model_gone(self, session: int, reason: str) -> list[Command]:
        if self._assistant.survives(session):
            log.warning("model session not replaced", reason=reason)
            return self._assistant.keep(self._now)
        return self._lose_model(reason) if self._assistant.needs(session) else []

    def _not_ready(self) -> list[Command]:
        if self._assistant.is_ready:
            return self._assistant.keep(self._now)
        return self._lose_model(EndReason.MODEL_SILENT)

    def _lose_model(self, reason: str) -> list[Command]:
        """Try another session, or leave the caller to another voice; a goodbye is let finish."""
        dropped = self._assistant.drop()
        if (goodbye := self._farewell.goodbye) is not None:
            return [*dropped, *self._let_goodbye_finish(goodbye)]
        was_served = self.phase is not Phase.RINGING
        if not was_served or not self._assistant.may_come_back(reason, self._now):
            return self._end(reason, fallback=True)
        log.warning("model session lost", reason=reason)
        self._assistant.break_off(is_greeting=self._is_greeting)
        return [*dropped, *self._assistant.open(self._now)]

    @property
    def _is_greeting(self) -> bool:
        return self.phase is Phase.GREETING

    # The assistant

    def _assistant_text(self, text: realtime.AssistantText) -> None:
        if self.floor.is_muted(text.item_id, text.response_id):
            self.floor.playback.drop(text.item_id, 0)  # even if no sound of it was made
        elif self._farewell.goodbye is None and not self.floor.is_caller_speaking:
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

    def _tool_finished(self, tool: ToolFinished) -> list[Command]:
        response_id = self._tools.finish(tool.call_id)
        if response_id is None:
            return []
        commands = self._assistant.give_result(tool.call_id, tool.output)
        if (tool.ends or tool.transfer) and not self.floor.is_caller_speaking:
            reason = tool.ends or EndReason.TRANSFER
            spoken = self.floor.has_spoken(response_id)
            self._close(reason, spoken=spoken, transfer=tool.transfer)
        if not self._tools.is_running and self._farewell.goodbye is None:
            commands += self._assistant.ask()
        return commands

    def _error_reported(self, error: realtime.Complaint) -> list[Command]:
        log.warning("model error", type=error.type, code=error.code, param=error.param)
        if error.code == "session_expired":
            return self._lose_model(EndReason.MODEL_LOST)
        if error.event_id == realtime.SESSION_EVENT_ID and not self._assistant.is_ready:
            return self._lose_model(EndReason.MODEL_REFUSED)
        if error.code == "conversation_already_has_active_response":
            self.floor.slot.refused(realtime.response_create())
        return []

    # Goodbye, and the end

    def _close(self, reason: str, *, spoken: bool, transfer: bool = False) -> None:
        """Decide on goodbye: the call ends when it was heard, or goes on if the caller speaks."""
        if self._farewell.decide(reason, spoken=spoken, transfer=transfer):
            log.info("=== GOODBYE MESSAGE DETECTED - CALL COMPLETE ===", reason=str(reason))
            self._enter(Phase.CLOSING)

    def _close_for_good(self) -> list[Command]:
        """Say goodbye at the length cap; from now on the caller is not listened to."""
        if not self._assistant.is_ready:
            return self._lose_model(EndReason.MODEL_SILENT)
        if self._farewell.goodbye is None:
            self._close(EndReason.LENGTH, spoken=False)
        self._farewell.insist(self._now)
        return []

    def _mark_played(self, name: str) -> list[Command]:
        was_heard = self.floor.playback.echo(name, self._now)
        return self._finish_goodbye() if was_heard and self._farewell.is_marked(name) else []

    def _abandon_goodbye(self) -> list[Command]:
        if self._farewell.goodbye is None:
            return []
        self._farewell.abandon()
        self._enter(Phase.LISTENING)
        return self._lose_model(EndReason.MODEL_LOST) if self._assistant.is_gone else []

    def _finish_goodbye(self) -> list[Command]:
        goodbye = self._farewell.goodbye
        assert goodbye is not None, "a goodbye that nobody said"
        return self._end(goodbye.reason)

    def _let_goodbye_finish(self, goodbye: Goodbye) -> list[Command]:
        """Without a model: what was said of it waits at Twilio, and its mark ends the call."""
        self._assistant.break_off(is_greeting=False)
        if not goodbye.spoken:
            return self._finish_goodbye()
        self._assistant.owe_nothing()
        self._tools = ToolCalls()
        return []

    def _end(self, reason: str, *, fallback: bool = False) -> list[Command]:
        if self.phase is Phase.ENDED:
            return []
        self._enter(Phase.ENDED)
        return self._last_words.begin(Ended(str(reason), fallback=fallback), self._now)

    def _hear_last_words(self, event: Event) -> list[Command]:
        """After the hang-up only what the caller said last is of interest, and what all took."""
        if isinstance(event, ModelGone) and self._assistant.serves_by(event.session):
            return self._last_words.complete(self._now)
        if isinstance(event, realtime.Event):
            self.usage.receive(event)
            self._last_words.hear(self.floor.names.inside(event), self._now)
        return []

    def _note(self, event: realtime.Event) -> None:
        self._transcript.receive(event, self._now)
        self.usage.receive(event)

    # What follows from it

    def _settle(self) -> list[Command]:
        """Bring transcript, phase and timers in line with what has just happened."""
        if self._last_words.is_over:
            return []
        turns = self._transcript.leave(self.floor.playback, self._now)
        self._timers.set(Timer.TRANSCRIPTION, self._transcript.wake_at)
        if self.phase is Phase.ENDED:
            return [*turns, *self._last_words.settle(self._now)]
        commands = [*turns, *self._assistant.correct(turns)]
        if self.floor.slot.is_free and not self._tools.is_running:
            commands += self._farewell.say(self._now, has_model=self._assistant.is_ready)
        self._follow_playback()
        is_listening, is_busy = self.phase is Phase.LISTENING, self._is_busy
        self._patience.watch(self.floor, self._now, is_listening=is_listening, is_busy=is_busy)
        self._assistant.follow_caller()
        if self._is_pause and not is_busy:
            commands += self._assistant.rest(self._now)
        return commands

    def _follow_playback(self) -> None:
        if self.floor.playback.is_playing and self.phase is Phase.LISTENING:
            self._enter(Phase.SPEAKING)
        elif self.floor.is_quiet and self.phase in (Phase.GREETING, Phase.SPEAKING):
            self._enter(Phase.LISTENING)

    @property
    def _is_busy(self) -> bool:
        """Whether something of ours has to be done before anybody can be asked to speak."""
        is_acting = self._tools.is_running or self._caller.is_keying
        return is_acting or not self._assistant.is_settled

    @property
    def _is_pause(self) -> bool:
        """Whether nobody speaks, nobody is about to, and all that was said is written down."""
        is_quiet = self.floor.is_quiet and not self.floor.is_caller_speaking
        return self.phase is Phase.LISTENING and is_quiet and not self._transcript.awaits_caller

    def _due(self, timer: Timer) -> list[Command]:
        match timer:
            case Timer.READY:
                return self._not_ready()
            case Timer.ROTATION:
                return self._assistant.grow_old(self._now)
            case Timer.ANSWER:
                return self._answer_overdue()
            case Timer.SILENCE:
                return self._nudge()
            case Timer.MONOLOGUE:
                self.floor.caller_stopped()
            case Timer.KEYS:
                return self._caller.send_keys(self._now)
            case Timer.LENGTH:
                return self._close_for_good()
            case Timer.GOODBYE | Timer.FINAL:
                return self._finish_goodbye()
            case Timer.LAST_WORDS:
                return self._last_words.complete(self._now)
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

    def _enter(self, phase: Phase) -> None:
        assert phase in MOVES[self.phase], f"{self.phase} -> {phase} is no legal move"
        log.debug("call phase", old=self.phase.value, new=phase.value)
        self.phase = phase
