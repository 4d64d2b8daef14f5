"""Who speaks: the caller, the assistant, or nobody. Keeps Playback and ResponseSlot in step.

On a websocket OpenAI does not know what was heard, and its answers lie in Twilio's buffer long
after `response.done`. So an interruption always takes three things: clear Twilio, tell the model
what was heard, let no late audio through. What becomes of the call is not decided here.
"""

from . import media_stream, realtime
from .commands import ClearTwilio, Command, ToModel, ToTwilio
from .names import Names
from .playback import Playback
from .response_slot import ResponseSlot, Slot


class Floor:
    """The floor of one call."""

    def __init__(self, stream_sid: str) -> None:
        self.playback = Playback()
        self.slot = ResponseSlot()
        self.names = Names(1)
        self.interruptions = 0
        self._stream_sid = stream_sid
        self._caller_item: str | None = None  # what the caller is saying at this moment
        self._voiced_response: str | None = None

    @property
    def caller_item(self) -> str | None:
        """The item that will hold what the caller is saying now; None while silent."""
        return self._caller_item

    @property
    def is_caller_speaking(self) -> bool:
        return self._caller_item is not None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing of ours is left to be heard, and nothing is about to come."""
        is_coming = not (self.slot.is_free or self.is_caller_speaking)
        return not (is_coming or self.playback.is_playing)

    def ask(self, instructions: str | None = None, *, may_use_tools: bool = True) -> list[Command]:
        """Have the assistant speak as soon as it may; after a speech the server does so itself."""
        if self.is_caller_speaking:
            return []
        create = realtime.response_create(instructions, may_use_tools=may_use_tools)
        return [ToModel(message) for message in self.slot.ask(create)]

    def speak(self, audio: realtime.AssistantAudio, now: float) -> list[Command]:
        """Pass on speech in pieces with a mark behind each; drop what comes too late."""
        if self.is_muted(audio.item_id, audio.response_id):
            self.playback.drop(audio.item_id, media_stream.audio_bytes(audio.delta))
            return []
        self._voiced_response = audio.response_id
        commands: list[Command] = []
        for piece in media_stream.pieces(audio.delta):
            commands += self._send(audio.item_id, piece, now)
        return commands

    def bookmark(self, word: str) -> tuple[str, float, Command]:
        """Return a mark behind all that was sent: its name, the seconds until then, its frame."""
        wait_s = self.playback.unheard_ms / 1000
        mark = self.playback.bookmark(word)
        return mark, wait_s, ToTwilio(media_stream.mark(self._stream_sid, mark))

    @property
    def is_answering(self) -> bool:
        """Whether a response runs and some of it has been passed on."""
        running = self.slot.response_id
        return running is not None and self.has_spoken(running)

    def has_spoken(self, response_id: str) -> bool:
        """Whether this response was the last one to be heard."""
        return response_id == self._voiced_response

    def is_muted(self, item_id: str, response_id: str) -> bool:
        return self.playback.is_muted(item_id, response_id)

    def caller_started(self, item_id: str, now: float) -> list[Command]:
        """The caller speaks: the server cancels by itself what it is saying."""
        self._caller_item = item_id
        return self._interrupt(now, by_voice=True)

    def caller_stopped(self) -> None:
        """The server will answer by itself."""
        if self.is_caller_speaking:
            self._caller_item = None
            self.slot.expect()

    def key_pressed(self, now: float) -> list[Command]:
        """The caller keys something in, which the server cannot know."""
        return self._interrupt(now, by_voice=False)

    def response_started(self, response_id: str) -> list[Command]:
        if self.slot.started(response_id):
            return []
        self.playback.mute(response_id)
        return [self.cancel(response_id)]

    def response_ended(self, response_id: str) -> list[Command]:
        return [ToModel(message) for message in self.slot.ended(response_id)]

    def cancel(self, response_id: str) -> Command:
        """Return what stops a response."""
        return ToModel(realtime.response_cancel(self.names.wire(response_id)))

    def insist(self) -> list[Command]:
        """Ask for the answer that the server should have given by itself."""
        owed: list[Command] = [ToModel(message) for message in self.slot.give_up()]
        return owed or self.ask()

    def stop_listening(self) -> None:
        """Nothing that the caller says from now on will be passed on."""
        self._caller_item = None

    def lose_model(self) -> None:
        """Nobody will answer any more; what is at Twilio can still be heard."""
        self.slot = ResponseSlot()
        self.names = Names(0)
        self._caller_item = None

    def _interrupt(self, now: float, *, by_voice: bool) -> list[Command]:
        running = self.slot.response_id
        is_ours = self.playback.is_playing or self.slot.state in (Slot.ASKED, Slot.RUNNING)
        self.slot.interrupted(by_voice=by_voice)
        if not is_ours:
            return []
        self.interruptions += 1
        commands: list[Command] = [ClearTwilio(media_stream.clear(self._stream_sid))]
        for cut in self.playback.cut(now):
            if self.names.knows(cut.item_id):
                item_id = self.names.wire(cut.item_id)
                commands.append(ToModel(realtime.truncate(item_id, cut.heard_ms)))
        if running is not None:
            self.playback.mute(running)
            if not by_voice:
                commands.append(self.cancel(running))
        return commands

    def _send(self, item_id: str, piece: str, now: float) -> list[Command]:
        size = media_stream.audio_bytes(piece)
        if self.playback.is_full:
            self.playback.drop(item_id, size)
            return []
        mark = self.playback.send(item_id, size, now)
        return [
            ToTwilio(media_stream.media(self._stream_sid, piece)),
            ToTwilio(media_stream.mark(self._stream_sid, mark)),
        ]
