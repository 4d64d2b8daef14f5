"""Whatever the peers say, in whatever order, a call keeps its promises."""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ivr.voice import media_stream, realtime
from ivr.voice.call import Call
from ivr.voice.commands import (
    CallerGone,
    ClearTwilio,
    ConnectModel,
    DropModel,
    Ended,
    ModelConnected,
    ModelGone,
    RunTool,
    ToModel,
    ToolFinished,
    ToTwilio,
)
from ivr.voice.phase import Phase
from ivr.voice.script import Limits
from tests.voice.line import script

ids = st.sampled_from(["i1", "i2", "i3"])
responses = st.sampled_from(["r1", "r2", "r3"])
texts = st.sampled_from(["", "Hello there.", "Well then, goodbye."])
sounds = st.sampled_from(["", "AAAA", "A" * 2132, "A" * 10_000])
roles = st.sampled_from(["user", "assistant", "system", None])
kinds = st.sampled_from(["message", "function_call", ""])
statuses = st.sampled_from(["completed", "cancelled", "failed", "incomplete", None])
codes = st.sampled_from(
    ["conversation_already_has_active_response", "response_cancel_not_active", None]
)
parts = st.none() | st.just([realtime.Part(type="input_text", text="typed")])
items = st.builds(
    realtime.Item,
    id=ids,
    type=kinds,
    role=roles,
    status=statuses,
    content=parts,
    name=st.sampled_from(["save_field", "end_call"]),
    call_id=st.sampled_from(["c1", "c2", None]),
)
finished = st.builds(
    ToolFinished,
    call_id=st.sampled_from(["c1", "c2"]),
    output=st.just("{}"),
    ends=st.sampled_from([None, None, "complete"]),
    transfer=st.booleans(),
)
response = st.builds(realtime.Response, id=responses, status=statuses)
common = st.one_of(
    st.builds(realtime.AssistantAudio, item_id=ids, delta=sounds, response_id=responses),
    st.builds(realtime.ResponseStarted, response=response),
    st.builds(realtime.ResponseEnded, response=response),
    st.builds(realtime.CallerStarted, item_id=ids),
    st.builds(realtime.CallerStopped, item_id=ids),
    st.builds(realtime.OutputItemEnded, item=items, response_id=responses),
    st.builds(realtime.ItemPlaced, item=items, previous_item_id=st.none() | ids),
    st.builds(realtime.AssistantText, item_id=ids, transcript=texts, response_id=responses),
    st.builds(realtime.AssistantTextDelta, item_id=ids, delta=texts),
    st.builds(realtime.CallerTranscribed, item_id=ids, transcript=texts),
    st.builds(realtime.CallerUnintelligible, item_id=ids),
    st.builds(realtime.ErrorReported, error=st.builds(realtime.Complaint, code=codes)),
    st.builds(media_stream.KeyPressed, digit=st.sampled_from("0123#*")),
    st.just(media_stream.CallerAudio("AAAA")),
    st.sampled_from([media_stream.Unknown(), realtime.Unknown(), None]),
    finished,
)
rare = st.sampled_from(
    [
        ModelConnected(1),
        realtime.SessionReady(),
        media_stream.StreamStopped(),
        media_stream.StreamStarted("MZ2", "CA2", "AC2", {}),
        CallerGone(),
    ]
)
sessions = st.integers(1, 5)
successions = st.one_of(
    st.builds(ModelConnected, session=sessions),
    st.builds(ModelGone, reason=st.sampled_from(["model_lost", "model_stuck"]), session=sessions),
    st.just(realtime.ErrorReported(realtime.Complaint(code="session_expired"))),
    st.just(realtime.SessionReady()),
)
ECHO, WAIT = "echo the oldest mark", "wait"
steps = st.tuples(
    st.one_of(common, common, common, st.just(ECHO), st.just(WAIT), rare, successions),
    st.sampled_from([0.0, 0.02, 0.3, 3.0, 12.0]),
)


class Watch:
    """Carries out a call's commands as its peers would see them, and objects."""

    def __init__(self, *, starts_ready: bool) -> None:
        self.now = 0.0
        self.call = Call("MZ1", script(), Limits(call_s=120.0, session_s=20.0), 0.0)
        self.marks: list[str] = []
        self.active: set[str] = set()  # responses that the model has begun and not ended
        self.ended = 0
        self.opening: set[int] = set()
        self.used: set[int] = set()
        self.check(lambda: self.call.start(0.0))
        if starts_ready:
            self.do(ModelConnected(1))
            self.do(realtime.SessionReady())

    def step(self, event, seconds):
        self.now += seconds
        if event == WAIT:
            self.check(lambda: self.call.tick(self.now))
        elif event == ECHO:
            if self.marks:
                self.do(media_stream.MarkPlayed(self.marks.pop(0)))
        else:
            self.do(event)

    def do(self, event):
        match event:
            case ModelConnected(session=session):
                if session not in self.opening:
                    return  # the bridge connects what it was told to, and once
                self.opening.discard(session)
                self.used.add(session)
                self.active = set()  # its responses are its own
            case ModelGone(session=session):
                if session not in self.opening | self.used:
                    return
                self.opening.discard(session)
                self.used.discard(session)
            case _ if isinstance(event, realtime.Event) and not self.used:
                return
        match event:  # a model ends what it began, and one at a time
            case realtime.ResponseStarted(response=begun) if self.call.phase is not Phase.RINGING:
                self.active = {begun.id}
            case realtime.ResponseEnded(response=over):
                self.active.discard(over.id)
        self.check(lambda: self.call.receive(event, self.now))

    def check(self, act):
        was_over, was_ended = self.ended > 0, self.call.phase is Phase.ENDED
        knows_of_one = self.call.phase not in (Phase.RINGING, Phase.ENDED) and self.active
        commands = act()
        sent = [c for c in commands if isinstance(c, ToModel | ToTwilio | ClearTwilio | RunTool)]
        assert not (was_ended and sent), "sent after the end"
        assert not (was_over and commands), "spoke after the last word"
        creates = [c for c in sent if isinstance(c, ToModel) and '"response.create"' in c.message]
        assert len(creates) <= 1, "asked twice at once"
        assert not (knows_of_one and creates), "asked while a response runs"
        for command in commands:
            match command:
                case ConnectModel(session=session):
                    self.opening.add(session)
                case DropModel(session=session):
                    self.opening.discard(session)
                    self.used.discard(session)
                case ToModel():
                    assert self.used, "spoke to a model that is gone"
        assert len(self.used) <= 1, "two sessions in use"
        self.ended += sum(isinstance(c, Ended) for c in commands)
        assert self.ended <= 1
        self.marks += [
            json.loads(c.frame)["mark"]["name"]
            for c in sent
            if isinstance(c, ToTwilio) and '"mark"' in c.frame
        ]
        for item_id in ("i1", "i2", "i3"):
            item = self.call.floor.playback._item(item_id)
            assert 0 <= item.heard_ms <= item.sent_ms, "heard more than was sent"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=20, max_size=60), st.booleans())
def test_no_sequence_of_events_breaks_a_call(script_of_events, starts_ready):
    watch = Watch(starts_ready=starts_ready)

    for event, seconds in script_of_events:
        watch.step(event, seconds)

    for _ in range(400):  # left alone, every call ends
        if watch.ended:
            break
        watch.now = max(watch.now, watch.call.wake_at)
        watch.check(lambda: watch.call.tick(watch.now))
    assert watch.ended == 1


@given(st.text() | st.binary())
def test_no_text_breaks_a_parser(text):
    realtime.parse(text)
    if isinstance(text, str):
        media_stream.parse(text)
