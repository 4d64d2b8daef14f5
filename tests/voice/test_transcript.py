import math

import pytest

from ivr.voice import realtime
from ivr.voice.playback import Playback
from ivr.voice.realtime import (
    AssistantText,
    AssistantTextDelta,
    CallerTranscribed,
    CallerUnintelligible,
    Item,
    ItemPlaced,
    Part,
)
from ivr.voice.transcript import TRANSCRIPTION_S, Transcript, shorten


def placed(item_id, role, behind=None, kind="message", text=None):
    content = [Part(type="input_text", text=text)] if text else None
    return ItemPlaced(Item(id=item_id, type=kind, role=role, content=content), behind)


def said(events, playback=None):
    transcript = Transcript()
    for event in events:
        transcript.receive(event, 0.0)
    turns = transcript.leave(playback or Playback(), 0.0)
    return [(turn.item_id, turn.previous_item_id, turn.role, turn.text) for turn in turns]


def test_a_late_transcription_stands_where_it_was_said():
    assert said(
        [
            placed("u1", "user"),
            placed("a1", "assistant", behind="u1"),
            AssistantText("a1", "Thanks John."),
            CallerTranscribed("u1", "John Doe."),
        ]
    ) == [("u1", None, "user", "John Doe."), ("a1", "u1", "assistant", "Thanks John.")]


def test_nothing_leaves_before_what_was_said_earlier():
    assert said([placed("u1", "user"), AssistantText("a1", "Thanks.")]) == []


def test_order_is_by_the_item_before_and_not_by_arrival():
    turns = said(
        [
            placed("a1", "assistant"),
            placed("u2", "user", behind="u1"),
            placed("u1", "user", behind="a1"),
            placed("u2", "user", behind="u1"),
            CallerTranscribed("u2", "two"),
            CallerTranscribed("u1", "one"),
            AssistantText("a1", "Hello."),
        ]
    )

    assert [item_id for item_id, *_ in turns] == ["a1", "u1", "u2"]


def test_function_calls_and_what_nobody_understood_are_no_turns():
    assert said(
        [
            placed("f1", None, kind="function_call"),
            placed("u1", "user", behind="f1"),
            CallerUnintelligible("u1"),
            placed("a1", "assistant", behind="u1"),
            AssistantText("a1", "Pardon?"),
        ]
    ) == [("a1", None, "assistant", "Pardon?")]


def test_typed_words_need_no_transcription():
    assert said([placed("u1", "user", text="The caller keyed in: 30093")]) == [
        ("u1", None, "user", "The caller keyed in: 30093")
    ]


def test_words_so_far_count_when_the_full_text_never_comes():
    assert said(
        [
            AssistantTextDelta("a1", "Thanks "),
            AssistantTextDelta("a1", "John."),
            realtime.ResponseEnded(realtime.Response(id="r1")),
        ]
    ) == [("a1", None, "assistant", "Thanks John.")]


def test_an_answer_is_no_turn_until_it_was_heard_or_cut():
    playback = Playback()
    transcript = Transcript()
    playback.send("a1", 8000, now=0.0)
    transcript.receive(AssistantText("a1", "one two three four five six seven eight"), 0.0)
    assert transcript.leave(playback, 0.0) == []

    playback.cut(now=0.5)

    (turn,) = transcript.leave(playback, 0.5)
    assert turn.cut
    assert turn.heard_ms == 500
    assert turn.text == "one two three four"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, ""), (0.3, ""), (0.5, "Hello"), (0.6, "Hello"), (0.99, "Hello"), (1.0, "Hello there")],
)
def test_a_text_is_shortened_at_the_end_of_a_word(share, text):
    assert shorten("Hello there", share) == text


def test_a_transcription_that_was_lost_holds_nothing_back_for_long():
    transcript = Transcript()
    transcript.receive(placed("u1", "user"), 1.0)
    transcript.receive(AssistantText("a1", "Thanks."), 2.0)
    assert transcript.wake_at == 1.0 + TRANSCRIPTION_S
    assert transcript.leave(Playback(), transcript.wake_at - 0.1) == []

    (turn,) = transcript.leave(Playback(), transcript.wake_at)

    assert turn.text == "Thanks."
    assert transcript.wake_at == math.inf


def test_a_transcription_that_comes_too_late_is_kept_at_the_end():
    transcript = Transcript()
    transcript.receive(placed("u1", "user"), 0.0)
    transcript.receive(AssistantText("a1", "Thanks."), 2.0)
    transcript.leave(Playback(), TRANSCRIPTION_S)

    transcript.receive(CallerTranscribed("u1", "John Doe."), 20.0)

    (turn,) = transcript.leave(Playback(), 20.0)
    assert (turn.previous_item_id, turn.text) == ("a1", "John Doe.")


def test_words_cut_off_are_waited_for_however_long_nothing_came_before():
    transcript = Transcript()
    transcript.receive(AssistantText("a1", "Thanks."), 0.0)
    transcript.expect("u1", 60.0)
    transcript.leave(Playback(), 60.0)
    assert transcript.awaits_caller
