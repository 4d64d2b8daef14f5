import json
import logging

import pytest
import structlog

from ivr.voice import media_stream, realtime
from ivr.voice.commands import (
    INTERRUPTED,
    CallerGone,
    EndReason,
    ModelConnected,
    ModelGone,
    RecordTurn,
    ToolFinished,
)
from ivr.voice.phase import MOVES, Phase
from ivr.voice.script import Limits
from tests.voice.line import HALF_SECOND, Line, greeted, messages, wire


def audio(item_id="a2", response_id="r9", delta=HALF_SECOND):
    return realtime.AssistantAudio(item_id=item_id, delta=delta, response_id=response_id)


# Before the first word


def test_a_session_is_configured_before_anything_else():
    line = Line()

    (update,) = messages(line.happens(ModelConnected(1)), "session.update")

    assert update["session"]["instructions"] == "Be kind."
    assert line.call.phase is Phase.RINGING


def test_the_greeting_is_asked_for_when_the_session_is_ready():
    line = Line()

    (create,) = messages(line.is_ready(), "response.create")

    assert "Thank you for calling Power Sport Buyers." in create["response"]["instructions"]
    assert create["response"]["tool_choice"] == "none"
    assert line.call.phase is Phase.GREETING


def test_caller_audio_is_held_until_the_session_is_ready():
    line = Line()
    assert line.happens(media_stream.CallerAudio("AAAA"), media_stream.CallerAudio("BBBB")) == []

    ready = line.is_ready()

    assert [m["audio"] for m in messages(ready, "input_audio_buffer.append")] == ["AAAA", "BBBB"]
    assert wire(line.happens(media_stream.CallerAudio("CCCC"))) == ["input_audio_buffer.append"]


def test_held_audio_is_bounded_and_the_newest_is_kept():
    line = Line(limits=Limits(held_frames=2))
    line.happens(*(media_stream.CallerAudio(word) for word in ("AAAA", "BBBB", "CCCC")))

    ready = line.is_ready()

    assert [m["audio"] for m in messages(ready, "input_audio_buffer.append")] == ["BBBB", "CCCC"]


def test_a_resumed_call_replays_what_was_said_and_does_not_greet_again():
    line = Line(history=(("assistant", "Your name?"), ("user", "John Doe.")))

    ready = line.is_ready()

    items = [m["item"] for m in messages(ready, "conversation.item.create")]
    assert [(i["role"], i["content"][0]["text"]) for i in items] == [
        ("assistant", "Your name?"),
        ("user", "John Doe."),
    ]
    (create,) = messages(ready, "response.create")
    assert "Power Sport Buyers" not in create["response"]["instructions"]
    for item in items:  # the service tells us of them; they are on record already
        line.happens(realtime.ItemPlaced(realtime.Item(id=item["id"], type="message", role="user")))
    assert line.turns == []


# Speaking and listening


def test_speech_goes_out_with_a_mark_behind_each_piece():
    line = greeted()
    line.happens(realtime.ResponseStarted(realtime.Response(id="r9")))

    assert wire(line.happens(audio())) == ["media", "mark"] * 2  # 500 ms in pieces of 400
    assert line.call.phase is Phase.SPEAKING


def test_the_assistant_speaks_until_it_was_heard_and_not_until_it_is_done():
    line = greeted()
    line.answers("a2", "What is your ZIP code?")
    assert line.call.phase is Phase.SPEAKING

    line.is_heard()
    assert line.call.phase is Phase.LISTENING


def test_a_barge_in_clears_and_truncates_at_what_was_heard():
    line = greeted()
    line.answers("a2", "one two three four")
    line.happens(media_stream.MarkPlayed(line.marks[0]))
    line.now += 0.05

    commands = line.happens(realtime.CallerStarted(item_id="u2"))

    assert wire(commands) == ["clear", "conversation.item.truncate"]
    (truncate,) = messages(commands, "conversation.item.truncate")
    assert (truncate["item_id"], truncate["content_index"]) == ("a2", 0)
    assert truncate["audio_end_ms"] == 450  # one mark of 400, and 50 of the next piece
    assert line.call.phase is Phase.LISTENING


def test_items_queued_behind_the_one_being_heard_are_truncated_at_nothing():
    line = greeted()
    line.answers("a2", "Let me see.")
    line.answers("a3", "Here it is.")

    cuts = messages(line.happens(realtime.CallerStarted()), "conversation.item.truncate")

    assert [(cut["item_id"], cut["audio_end_ms"]) for cut in cuts] == [("a2", 0), ("a3", 0)]


def test_a_plain_turn_clears_nothing():
    line = greeted()

    assert line.happens(realtime.CallerStarted(item_id="u1")) == []


def test_late_audio_of_an_interrupted_answer_is_dropped():
    line = greeted()
    response = line.begins()
    line.happens(audio("a2", response), realtime.CallerStarted())
    assert line.call.phase is Phase.LISTENING

    assert line.happens(audio("a2", response), audio("a3", response)) == []
    assert line.call.phase is Phase.LISTENING


def test_an_answer_that_was_asked_for_and_interrupted_before_it_began_is_cancelled():
    line = Line()
    line.is_ready()
    line.happens(realtime.CallerStarted())

    commands = line.happens(realtime.ResponseStarted(realtime.Response(id="r1")))

    assert messages(commands, "response.cancel")[0]["response_id"] == "r1"
    assert line.happens(audio("a1", "r1")) == []


def test_stale_marks_after_a_clear_prove_nothing():
    line = greeted()
    line.answers("a2", "one two three four five six seven eight nine ten")
    stale = list(line.marks)
    line.happens(realtime.CallerStarted())

    line.happens(*(media_stream.MarkPlayed(mark) for mark in stale))

    assert line.turns[-1].item_id == "a1"  # of a2 nothing was heard


def test_the_turn_of_an_interrupted_answer_holds_what_was_heard():
    line = greeted()
    line.answers("a2", "one two three four five six seven eight nine ten")
    line.happens(media_stream.MarkPlayed(line.marks[0]))

    line.happens(realtime.CallerStarted())

    assert line.turns[-1] == RecordTurn(
        "a2", "a1", "assistant", "one two three four five six seven", True, 400
    )


def test_the_text_of_an_answer_is_shortened_by_all_that_was_made_of_it():
    line = greeted()
    response = line.begins()
    line.happens(audio("a2", response))
    line.now += 0.1
    line.happens(
        realtime.CallerStarted(),
        audio("a2", response),  # already on its way: 500 ms more that nobody hears
        realtime.AssistantText("a2", "one two three four five six seven eight nine ten", response),
        line.done(response, "cancelled"),
    )

    assert line.turns[-1].text == "one"
    assert line.turns[-1].heard_ms == 100


def test_a_huge_delta_leaves_in_bounded_frames():
    line = greeted()
    line.begins()

    commands = line.happens(audio(delta="A" * 1_000_000))

    frames = [command.frame for command in commands]
    assert max(map(len, frames)) < 4_400
    assert len(frames) == 2 * 235


def test_more_than_twilio_holds_is_never_queued():
    line = greeted()
    line.begins()

    commands = line.happens(audio(delta="A" * 8_000_000))  # more than twelve minutes

    assert len(commands) == 2 * 1_350


# Tools


def test_a_tool_s_result_is_answered_after_the_response_that_called_it():
    line = greeted()
    response = line.begins()
    assert wire(line.calls_tool("c1", "save_field", response)) == ["run save_field"]

    finished = line.happens(ToolFinished("c1", '{"saved": true}'))
    assert wire(finished) == ["conversation.item.create"]
    assert wire(line.happens(line.done(response))) == ["response.create"]


def test_several_tools_are_answered_once_after_the_last():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "save_field", response)
    line.calls_tool("c2", "save_field", response)
    line.happens(line.done(response))

    assert wire(line.happens(ToolFinished("c2", "{}"))) == ["conversation.item.create"]
    assert wire(line.happens(ToolFinished("c1", "{}"))) == [
        "conversation.item.create",
        "response.create",
    ]


def test_a_call_that_was_cut_in_the_middle_of_its_arguments_does_not_run():
    line = greeted()
    item = realtime.Item(type="function_call", status="incomplete", call_id="c1", name="save_field")

    assert line.happens(realtime.OutputItemEnded(item, "r2")) == []


def test_a_tool_that_is_quicker_than_the_next_call_of_its_response_does_not_answer_alone():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "save_field", response)
    line.happens(ToolFinished("c1", "{}"))
    line.calls_tool("c2", "save_field", response)

    assert wire(line.happens(line.done(response))) == []
    assert wire(line.happens(ToolFinished("c2", "{}"))) == [
        "conversation.item.create",
        "response.create",
    ]


def test_a_tool_result_while_the_caller_speaks_waits_for_the_server_s_own_answer():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "save_field", response)
    line.happens(line.done(response), realtime.CallerStarted(item_id="u2"))

    assert wire(line.happens(ToolFinished("c1", "{}"))) == ["conversation.item.create"]


# Goodbye


def test_a_goodbye_by_phrase_ends_the_call_when_it_was_heard():
    line = greeted()
    assert wire(line.answers("a2", "Thank you, goodbye.")) == ["media", "mark"] * 2 + ["mark"]
    assert line.call.phase is Phase.CLOSING
    assert line.marks[-1] == "0:bye"

    assert wire(line.is_heard()) == ["hang up", "ended: goodbye"]
    assert line.ended is not None
    assert not line.ended.fallback


def test_the_marker_line_is_logged_once():
    with structlog.testing.capture_logs() as logs:
        greeted().answers("a2", "Thank you, goodbye.")

    lines = [entry for entry in logs if entry["log_level"] == "info"]
    assert [entry["event"] for entry in lines] == [
        "=== GOODBYE MESSAGE DETECTED - CALL COMPLETE ==="
    ]


def test_end_call_without_a_word_gets_a_farewell_first():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "end_call", response)
    line.happens(ToolFinished("c1", "{}", ends="complete"))

    (create,) = messages(line.happens(line.done(response)), "response.create")
    assert "Thank you, goodbye." in create["response"]["instructions"]

    line.answers("a2", "Thank you, goodbye.")
    assert wire(line.is_heard()) == ["hang up", "ended: complete"]


def test_end_call_in_the_response_that_says_goodbye_does_not_say_it_twice():
    line = greeted()
    response = line.begins()
    line.happens(audio("a2", response))
    line.calls_tool("c1", "end_call", response)
    line.happens(ToolFinished("c1", "{}", ends="complete"))

    assert wire(line.happens(line.done(response))) == ["mark"]
    assert wire(line.is_heard()) == ["hang up", "ended: complete"]


def test_a_goodbye_whose_mark_never_comes_back_ends_the_call_all_the_same():
    line = greeted()
    line.answers("a2", "Thank you, goodbye.")

    assert line.passes(1.9) == []
    assert wire(line.passes(0.2)) == ["hang up", "ended: goodbye"]


def test_a_barge_in_during_the_goodbye_abandons_the_hang_up():
    line = greeted()
    line.answers("a2", "Thank you, goodbye.")

    assert wire(line.happens(realtime.CallerStarted(item_id="u2"))) == [
        "clear",
        "conversation.item.truncate",
    ]
    assert line.call.phase is Phase.LISTENING
    assert line.is_heard() == []
    assert line.passes(5.0) == []
    assert line.ended is None


def test_a_transfer_is_announced_and_then_reported():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "transfer_to_person", response)
    line.happens(ToolFinished("c1", "{}", transfer=True), line.done(response))
    line.answers("a2", "I am connecting you now.")
    line.is_heard()

    assert line.ended is not None
    assert line.ended.reason == "transfer"


def test_who_was_promised_a_person_gets_one_though_the_model_also_ends_the_call():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "transfer_to_person", response)
    line.calls_tool("c2", "end_call", response)
    line.happens(
        ToolFinished("c1", "{}", transfer=True),
        ToolFinished("c2", "{}", ends="complete"),
        line.done(response),
    )
    line.answers("a2", "I am connecting you now.")
    line.is_heard()

    assert line.ended is not None
    assert line.ended.reason == "transfer"


def test_a_model_lost_while_its_goodbye_is_still_heard_does_not_matter():
    line = greeted()
    line.answers("a2", "Thank you, goodbye.")

    assert wire(line.happens(ModelGone("model_lost", 1))) == ["drop 1"]
    line.is_heard()
    assert line.ended is not None
    assert line.ended.reason == "goodbye"


# Keys


def test_keys_become_a_text_when_the_caller_ends_with_the_pound_sign():
    line = greeted()
    keys = [media_stream.KeyPressed(digit) for digit in "30093#"]

    commands = line.happens(*keys)

    assert wire(commands) == ["conversation.item.create", "response.create"]
    (created,) = messages(commands, "conversation.item.create")
    assert created["item"]["content"] == [
        {"type": "input_text", "text": "The caller keyed in: 30093"}
    ]


def test_keys_become_a_text_after_a_pause():
    line = greeted()
    line.happens(*(media_stream.KeyPressed(digit) for digit in "30093"))

    assert line.passes(1.9) == []
    assert wire(line.passes(0.2)) == ["conversation.item.create", "response.create"]


def test_a_key_interrupts_and_cancels_what_the_server_cannot_know_of():
    line = greeted()
    response = line.begins()
    line.happens(audio("a2", response))

    assert wire(line.happens(media_stream.KeyPressed("3"))) == [
        "clear",
        "conversation.item.truncate",
        "response.cancel",
    ]


def test_keys_are_never_logged(caplog):
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        greeted().happens(*(media_stream.KeyPressed(digit) for digit in "4111111#"))

    assert "4111111" not in json.dumps(logs) + caplog.text


# Silence, length


def test_silence_is_measured_from_the_end_of_playback():
    line = Line()
    line.is_ready()
    line.answers("a1", "Your name?")
    assert line.passes(20.0) == []  # the marks are not back: it is still being heard

    line.is_heard()
    assert line.passes(7.9) == []
    assert wire(line.passes(0.2)) == ["response.create"]


def test_two_nudges_and_then_goodbye():
    line = greeted()
    for nudge in ("a2", "a3"):
        assert wire(line.passes(8.0)) == ["response.create"]
        line.answers(nudge, "Are you still there?")
        line.is_heard()

    (create,) = messages(line.passes(8.0), "response.create")
    assert "Thank you, goodbye." in create["response"]["instructions"]
    line.answers("a4", "Thank you, goodbye.")
    line.is_heard()
    assert line.ended is not None
    assert line.ended.reason == "silence"


def test_a_word_starts_the_count_of_nudges_anew():
    line = greeted()
    for number in range(4):
        line.passes(8.0)
        line.answers(f"n{number}", "Are you still there?")
        line.is_heard()
        line.says(f"u{number}", "Yes.")
        line.answers(f"b{number}", "Good.")
        line.is_heard()

    assert line.call.phase is Phase.LISTENING


def test_the_length_cap_says_goodbye_and_cannot_be_talked_out_of_it():
    line = greeted(limits=Limits(call_s=5.0))

    assert wire(line.passes(5.0)) == ["response.create"]
    assert line.happens(realtime.CallerStarted(), media_stream.CallerAudio("AAAA")) == []
    line.answers("a2", "Thank you, goodbye.")
    line.is_heard()
    assert line.ended is not None
    assert line.ended.reason == "length_cap"


def test_of_several_things_due_at_once_the_first_may_settle_the_others():
    line = Line(limits=Limits(ready_s=5.0, call_s=5.0))
    line.now = 100.0  # the process slept

    commands = line.call.tick(line.now)

    assert wire(commands) == ["hang up", "ended: model_silent"]


def test_the_length_cap_holds_even_if_the_goodbye_goes_wrong():
    line = greeted(limits=Limits(call_s=5.0, answer_s=100.0))
    line.passes(5.0)

    assert wire(line.passes(30.0)) == ["hang up", "ended: length_cap"]


# When the model is of no use


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ([ModelGone("model_refused", 1)], "model_refused"),
        (
            [ModelConnected(1), realtime.ErrorReported(realtime.Complaint(event_id="session"))],
            "model_refused",
        ),
    ],
)
def test_a_model_that_never_becomes_ready_leaves_the_caller_to_the_fallback(trouble, reason):
    line = Line()

    assert wire(line.happens(*trouble))[-2:] == ["hang up", f"ended: {reason}"]
    assert line.ended is not None
    assert line.ended.fallback and line.ended.reason in INTERRUPTED


def test_a_model_that_says_nothing_at_all_is_given_up():
    line = Line()
    line.happens(ModelConnected(1))

    assert wire(line.passes(8.0)) == ["hang up", "ended: model_silent"]


def test_a_response_without_a_sound_is_given_up():
    line = Line()
    line.is_ready()

    assert line.passes(9.9) == []
    assert wire(line.passes(0.2)) == ["hang up", "ended: model_silent"]


def test_an_answer_that_the_server_owes_is_asked_for_once():
    line = greeted()
    line.says("u1", "John.")

    assert wire(line.passes(10.0)) == ["response.create"]
    assert wire(line.passes(10.0)) == ["hang up", "ended: model_silent"]


def test_a_speech_whose_end_was_lost_does_not_hold_the_line_for_ever():
    line = greeted()
    line.happens(realtime.CallerStarted(item_id="u1"))

    line.passes(85.0)

    assert line.ended is not None
    assert line.ended.reason == "model_silent"


def test_a_failed_response_is_asked_for_once_more():
    line = greeted()

    assert wire(line.happens(line.done(line.begins(), "failed"))) == ["response.create"]
    assert wire(line.happens(line.done(line.begins(), "failed"))) == [
        "hang up",
        "ended: model_failed",
    ]


def test_most_errors_are_not_fatal():
    line = greeted()
    benign = realtime.Complaint(type="invalid_request_error", code="response_cancel_not_active")

    assert line.happens(realtime.ErrorReported(benign)) == []
    assert line.call.phase is Phase.LISTENING


def test_a_refused_request_is_made_again_when_the_other_response_is_over():
    line = greeted()
    line.happens(*(media_stream.KeyPressed(digit) for digit in "1#"))
    busy = realtime.Complaint(code="conversation_already_has_active_response")
    response = line.begins()

    assert line.happens(realtime.ErrorReported(busy)) == []
    assert wire(line.happens(line.done(response))) == ["response.create"]


def test_garbage_is_counted():
    line = greeted()
    line.happens(media_stream.Unknown(), realtime.Unknown())

    assert line.call.unknown == 2


# The end


@pytest.mark.parametrize("ending", [media_stream.StreamStopped(), CallerGone()])
def test_a_caller_who_hangs_up_ends_the_call(ending):
    line = greeted()

    assert wire(line.happens(ending)) == ["hang up", "ended: caller_hung_up"]
    assert line.happens(CallerGone(), realtime.CallerStarted(), audio()) == []


def test_a_word_cut_off_by_the_hang_up_is_still_transcribed():
    line = greeted()
    line.happens(realtime.CallerStarted(item_id="u1"))

    assert wire(line.happens(CallerGone())) == ["input_audio_buffer.commit", "hang up"]
    line.happens(realtime.CallerTranscribed("u1", "three zero zero"))

    assert line.turns[-1].text == "three zero zero"
    assert line.ended is not None


def test_last_words_are_not_waited_for_long():
    line = greeted()
    line.happens(realtime.CallerStarted(item_id="u1"), CallerGone())

    assert wire(line.passes(1.5)) == ["ended: caller_hung_up"]


def finished(response_id, *, audio_out):
    """The end of a response that was cancelled, with what it took."""
    made = realtime.TokenDetails(audio_tokens=audio_out)
    usage = realtime.Usage(output_tokens=audio_out, output_token_details=made)
    return realtime.ResponseEnded(realtime.Response(response_id, "cancelled", usage=usage))


def test_a_response_that_runs_at_the_hang_up_is_stopped_and_counted():
    line = greeted()
    response = line.begins()
    line.happens(audio("a2", response))

    ended = line.happens(media_stream.StreamStopped())
    assert wire(ended) == ["hang up", "response.cancel"]
    assert messages(ended, "response.cancel")[0]["response_id"] == response
    assert wire(line.happens(CallerGone(), audio("a2", response))) == [], "it is asked for once"
    assert wire(line.happens(finished(response, audio_out=20))) == ["ended: caller_hung_up"]
    assert line.call.usage.audio_out == 20


def test_the_end_of_a_response_is_not_waited_for_long():
    line = greeted()
    line.begins()
    line.happens(CallerGone())

    assert wire(line.passes(1.5)) == ["ended: caller_hung_up"]


def test_a_response_and_the_last_words_are_both_waited_for():
    line = greeted()
    response = line.begins()
    line.happens(realtime.CallerStarted(item_id="u1"), CallerGone())

    assert wire(line.happens(finished(response, audio_out=20))) == []
    words = realtime.CallerTranscribed("u1", "thirty")
    assert wire(line.happens(words)) == ["ended: caller_hung_up"]


def test_a_response_that_begins_while_the_last_words_are_waited_for_is_stopped_and_counted():
    line = greeted()
    line.happens(
        realtime.CallerStarted(item_id="u1"), realtime.CallerStopped(item_id="u1"), CallerGone()
    )

    begun = line.happens(realtime.ResponseStarted(realtime.Response(id="r2")))
    assert wire(begun) == ["response.cancel"]
    assert wire(line.happens(realtime.CallerTranscribed("u1", "thirty"))) == []
    assert wire(line.happens(finished("r2", audio_out=5))) == ["ended: caller_hung_up"]
    assert line.call.usage.audio_out == 5


def test_what_is_owed_when_the_call_ends_is_not_asked_for_any_more():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "save_field", response)
    line.happens(ToolFinished("c1", "saved"), CallerGone())

    assert wire(line.happens(finished(response, audio_out=20))) == ["ended: caller_hung_up"]


def test_words_that_come_after_the_hang_up_were_heard_by_nobody():
    line = greeted()
    response = line.begins()
    line.happens(
        CallerGone(),
        realtime.AssistantTextDelta("a2", "What is your "),
        realtime.AssistantText("a2", "What is your ZIP code?", response),
        finished(response, audio_out=20),
    )

    assert [turn.item_id for turn in line.turns] == ["a1"]


def test_a_server_that_stops_waits_for_no_response():
    line = greeted()
    line.begins()

    commands = line.call.stop("server_stopped", line.now)

    assert wire(commands) == ["hang up", "ended: server_stopped"]


def test_another_voice_does_not_wait_for_a_response_that_runs():
    line = greeted()
    line.begins()

    gone = line.happens(ModelGone(EndReason.MODEL_REFUSED, 1))
    assert wire(gone)[-2:] == ["hang up", "ended: model_refused"]
    assert line.ended is not None and line.ended.fallback


def test_the_end_of_a_response_that_was_lost_with_its_model_is_not_waited_for():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "end_call", response)
    line.happens(ToolFinished("c1", "{}", ends="complete"))

    gone = line.happens(ModelGone(EndReason.MODEL_LOST, 1))
    assert wire(gone) == ["drop 1", "hang up", "ended: complete"]


def test_what_was_being_said_at_the_hang_up_is_recorded_as_far_as_it_was_heard():
    line = greeted()
    response = line.begins()
    line.happens(
        audio("a2", response),
        realtime.AssistantTextDelta("a2", "one two three four five "),
        realtime.AssistantTextDelta("a2", "six seven eight nine ten"),
        media_stream.MarkPlayed("0:a2:400"),
        CallerGone(),
    )

    assert (line.turns[-1].text, line.turns[-1].cut) == (
        "one two three four five six seven",
        True,
    )


def test_a_server_that_stops_still_gets_its_turns():
    line = greeted()
    line.happens(
        realtime.ItemPlaced(realtime.Item(id="u1", type="message", role="user")),
        realtime.AssistantText("a2", "Thanks."),
    )

    commands = line.call.stop("server_stopped", line.now)

    assert wire(commands) == ["hang up", "ended: server_stopped"]
    assert [c.item_id for c in commands if isinstance(c, RecordTurn)] == ["a2"]
    assert line.call.stop("server_stopped", line.now) == []


def test_usage_is_summed():
    line = greeted()
    given = realtime.InputTokenDetails(
        text_tokens=200,
        audio_tokens=63,
        cached_tokens_details=realtime.TokenDetails(text_tokens=192),
    )
    made = realtime.TokenDetails(text_tokens=22, audio_tokens=68)
    usage = realtime.Usage(input_token_details=given, output_token_details=made)
    for response_id in ("r8", "r9"):
        response = realtime.Response(id=response_id, status="completed", usage=usage)
        line.happens(realtime.ResponseEnded(response))
    line.happens(realtime.CallerTranscribed("u1", "Yes.", realtime.Usage(seconds=1.5)))

    assert line.call.usage.text_in == 400
    assert line.call.usage.audio_in == 126
    assert line.call.usage.cached_text == 384
    assert line.call.usage.audio_out == 136
    assert line.call.usage.transcribed_seconds == 1.5


def test_every_phase_can_end_and_nothing_follows_the_end():
    assert all(Phase.ENDED in moves for phase, moves in MOVES.items() if phase is not Phase.ENDED)
    assert MOVES[Phase.ENDED] == frozenset()
    assert set(MOVES) == set(Phase)


def test_a_transcription_that_was_lost_does_not_end_the_writing_of_turns():
    line = greeted()
    line.happens(
        realtime.CallerStarted(item_id="u1"),
        realtime.CallerStopped(item_id="u1"),
        realtime.ItemPlaced(realtime.Item(id="u1", type="message", role="user")),
    )
    line.answers("a2", "What is your ZIP code?")
    line.is_heard()
    line.says("u2", "30093")
    assert [turn.item_id for turn in line.turns] == ["a1"]

    line.passes(8.0)

    assert [turn.item_id for turn in line.turns] == ["a1", "a2", "u2"]


def test_words_cut_off_by_the_hang_up_are_heard_after_a_long_monologue():
    line = greeted()
    line.happens(realtime.CallerStarted(item_id="u1"))
    line.passes(30.0)
    line.happens(media_stream.StreamStopped())

    line.happens(realtime.CallerTranscribed(item_id="u1", transcript="It is a Yamaha."))

    assert [turn.text for turn in line.turns][1:] == ["It is a Yamaha."]
