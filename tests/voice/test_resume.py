"""A call goes on when its model session is lost or replaced; the caller notices next to nothing."""

import pytest
from msgspec.structs import replace

from ivr.voice import media_stream, realtime
from ivr.voice.commands import CallerGone, ModelConnected, ModelGone, ToolFinished
from ivr.voice.hearing import LATEST_FRAMES, Hearing
from ivr.voice.names import Names
from ivr.voice.phase import Phase
from ivr.voice.script import Limits
from tests.voice.line import HALF_SECOND, Line, greeted, messages, wire

QUESTION = ("assistant", "Thank you for calling. What is your name?")
EXPIRED = realtime.ErrorReported(realtime.Complaint(code="session_expired"))


def lose(line, session=1):
    return line.happens(ModelGone("model_lost", session))


def come_back(line, session=2):
    return line.happens(ModelConnected(session), realtime.SessionReady())


def told(commands):
    """Return what a session was told of the conversation: role and text, or tool and output."""
    items = [m["item"] for m in messages(commands, "conversation.item.create")]
    return [
        (item["role"], item["content"][0]["text"])
        if item["type"] == "message"
        else (item["type"], item.get("name") or item["output"])
        for item in items
    ]


def heard(commands):
    return [m["audio"] for m in messages(commands, "input_audio_buffer.append")]


def speaking(line, item_id, response_id, words):
    """The beginning of an answer: half a second of it has been passed on."""
    line.happens(
        realtime.AssistantAudio(item_id=item_id, delta=HALF_SECOND, response_id=response_id),
        realtime.AssistantTextDelta(item_id=item_id, delta=words),
    )


# The session is lost


def test_a_lost_session_is_replaced_at_once():
    line = greeted()

    assert wire(lose(line)) == ["drop 1", "connect 2"]
    assert wire(line.happens(ModelConnected(2))) == ["session.update"]


def test_a_new_session_is_told_everything_and_says_nothing_when_the_caller_was_to_speak():
    line = greeted()
    line.says("u1", "John Doe.")
    line.answers("a2", "And your ZIP code?")
    line.is_heard()
    lose(line)

    ready = come_back(line)

    assert told(ready) == [QUESTION, ("user", "John Doe."), ("assistant", "And your ZIP code?")]
    assert messages(ready, "response.create") == []
    assert line.call.phase is Phase.LISTENING


def test_an_answer_that_was_all_there_is_heard_to_its_end():
    line = greeted()
    line.says("u1", "John Doe.")
    line.answers("a2", "And your ZIP code?")

    assert wire(lose(line)) == ["drop 1", "connect 2"]
    ready = come_back(line)

    assert told(ready)[-1] == ("assistant", "And your ZIP code?")
    assert messages(ready, "response.create") == []
    line.is_heard()
    assert [(turn.text, turn.cut) for turn in line.turns][-1] == ("And your ZIP code?", False)


def test_an_answer_that_broke_off_is_gone_on_with():
    line = greeted()
    line.says("u1", "John Doe.")
    speaking(line, "a2", line.begins(), "And your")

    assert "clear" not in wire(lose(line))
    ready = come_back(line)

    assert told(ready)[-2] == ("assistant", "And your")
    role, words = told(ready)[-1]
    assert role == "system"
    assert "Go on where you stopped" in words
    assert wire(ready)[-1] == "response.create"
    line.is_heard()
    assert line.turns[-1].text == "And your"


def test_an_answer_that_had_not_begun_is_asked_for():
    line = greeted()
    line.says("u1", "John Doe.")
    lose(line)

    ready = come_back(line)

    assert told(ready) == [QUESTION, ("user", "John Doe.")]
    (create,) = messages(ready, "response.create")
    assert "response" not in create


def test_words_that_nobody_wrote_down_are_heard_again_by_the_new_session():
    line = greeted()
    line.happens(media_stream.CallerAudio("AAAA"))
    line.happens(realtime.CallerStarted(item_id="u1"), media_stream.CallerAudio("BBBB"))
    line.happens(realtime.CallerStopped(item_id="u1"))
    lose(line)
    line.happens(media_stream.CallerAudio("CCCC"))

    ready = come_back(line)

    assert heard(ready) == ["AAAA", "BBBB", "CCCC"]
    assert told(ready) == [QUESTION]
    assert messages(ready, "response.create") == [], "the service answers what it hears by itself"
    line.says("u1", "John Doe.")
    assert [turn.text for turn in line.turns][1:] == ["John Doe."]


def test_a_caller_who_is_speaking_need_not_begin_anew():
    line = greeted()
    line.happens(realtime.CallerStarted(item_id="u1"))
    line.happens(*(media_stream.CallerAudio(f"{n:04}") for n in range(100)))
    lose(line)
    line.happens(media_stream.CallerAudio("LAST"))

    ready = come_back(line)

    assert heard(ready) == [*(f"{n:04}" for n in range(100)), "LAST"]
    assert messages(ready, "response.create") == []


def test_of_a_silent_caller_only_the_latest_sound_is_heard_again():
    line = greeted()
    line.happens(*(media_stream.CallerAudio(f"{n:04}") for n in range(100)))
    lose(line)
    line.happens(media_stream.CallerAudio("LAST"))

    assert heard(come_back(line)) == [*(f"{n:04}" for n in range(75, 100)), "LAST"]


def test_held_sound_is_bounded():
    line = greeted(limits=Limits(held_frames=2))
    lose(line)
    line.happens(*(media_stream.CallerAudio(word) for word in ("AAAA", "BBBB", "CCCC")))

    assert heard(come_back(line)) == ["BBBB", "CCCC"]


def test_nothing_is_said_to_a_session_that_is_gone():
    line = greeted()
    line.answers("a2", "And your ZIP code?")
    lose(line)

    commands = line.happens(
        media_stream.CallerAudio("AAAA"),
        media_stream.KeyPressed("3"),
        realtime.CallerStarted(item_id="u9"),
        realtime.ErrorReported(realtime.Complaint(code="session_expired")),
        ModelGone("model_lost", 1),
    )

    assert wire(commands) == ["clear"]
    assert line.passes(7.0) == []


def test_keys_pressed_meanwhile_are_told_to_the_new_session():
    line = greeted()
    lose(line)
    line.happens(*(media_stream.KeyPressed(digit) for digit in "30093"))
    come_back(line)

    keyed = line.passes(2.0)

    assert told(keyed) == [("user", "The caller keyed in: 30093")]
    assert wire(keyed)[-1] == "response.create"


# Tools


def test_a_new_session_knows_what_was_saved():
    line = greeted()
    line.says("u1", "John Doe.")
    response = line.begins()
    line.calls_tool("c1", "save_field", response)
    line.happens(line.done(response), ToolFinished("c1", '{"saved": true}'))
    line.answers("a2", "And your ZIP code?")
    line.is_heard()
    lose(line)

    assert told(come_back(line)) == [
        QUESTION,
        ("user", "John Doe."),
        ("function_call", "save_field"),
        ("function_call_output", '{"saved": true}'),
        ("assistant", "And your ZIP code?"),
    ]


def test_a_call_is_known_to_a_new_session_though_it_was_placed_before_it_was_whole():
    line = greeted()
    line.says("u1", "John Doe.")
    response = line.begins()
    begun = realtime.Item(id="f1", type="function_call", call_id="c1", name="save_field")
    whole = replace(begun, status="completed", arguments='{"name": "zip_code"}')
    line.happens(
        realtime.ItemPlaced(begun, "u1"),
        realtime.ItemPlaced(whole, "u1"),
        realtime.OutputItemEnded(whole, response),
        line.done(response),
        ToolFinished("c1", '{"saved": true}'),
    )
    lose(line)

    ready = come_back(line)

    assert told(ready)[-2:] == [
        ("function_call", "save_field"),
        ("function_call_output", '{"saved": true}'),
    ]
    (call,) = [m["item"] for m in messages(ready, "conversation.item.create")][-2:-1]
    assert call["arguments"] == whole.arguments


def test_a_tool_that_finishes_without_a_session_is_answered_by_the_next():
    line = greeted()
    line.says("u1", "John Doe.")
    response = line.begins()
    line.calls_tool("c1", "save_field", response)
    line.happens(line.done(response))
    lose(line)
    assert line.happens(ToolFinished("c1", '{"saved": true}')) == []

    ready = come_back(line)

    assert told(ready)[-1] == ("function_call_output", '{"saved": true}')
    assert wire(ready)[-1] == "response.create"


def test_a_tool_that_finishes_in_the_next_session_brings_its_call_along():
    line = greeted()
    line.says("u1", "John Doe.")
    line.calls_tool("c1", "save_field", line.begins())
    lose(line)
    assert messages(come_back(line), "response.create") == []

    finished = line.happens(ToolFinished("c1", '{"saved": true}'))

    call, output = (m["item"] for m in messages(finished, "conversation.item.create"))
    assert call["call_id"] == output["call_id"] != "c1"
    assert wire(finished)[-1] == "response.create"


# The beginning and the end of a call


def test_a_greeting_that_had_not_begun_is_said_by_the_next_session():
    line = Line()
    line.is_ready()
    lose(line)

    (create,) = messages(come_back(line), "response.create")

    assert "Thank you for calling Power Sport Buyers." in create["response"]["instructions"]


def test_a_greeting_that_broke_off_is_not_said_twice():
    line = Line()
    line.is_ready()
    speaking(line, "a1", line.begins(), "Thank you for")
    lose(line)

    ready = come_back(line)

    assert told(ready)[0] == ("assistant", "Thank you for")
    (create,) = messages(ready, "response.create")
    assert "response" not in create


def test_the_history_of_a_resumed_call_is_told_to_every_session():
    line = greeted(history=(("user", "I want to sell my bike."),))
    lose(line)

    assert told(come_back(line)) == [("user", "I want to sell my bike."), QUESTION]


def test_a_call_that_was_never_served_is_not_tried_again():
    line = Line()
    line.happens(ModelConnected(1))

    assert wire(lose(line)) == ["hang up", "ended: model_lost"]


def test_a_goodbye_that_was_said_needs_no_session():
    line = greeted()
    line.answers("a2", "Thank you, goodbye.")

    assert wire(lose(line)) == ["drop 1"]
    assert wire(line.is_heard()) == ["hang up", "ended: goodbye"]


def test_a_key_pressed_into_a_goodbye_without_a_session_brings_one_back():
    line = greeted()
    line.answers("a2", "Thank you, goodbye.")
    lose(line)

    assert wire(line.happens(media_stream.KeyPressed("1"))) == ["connect 2", "clear"]
    come_back(line)
    assert wire(line.passes(2.0)) == ["conversation.item.create", "response.create"]


def test_a_goodbye_decided_on_without_a_session_is_said_by_the_next():
    line = greeted()
    response = line.begins()
    line.calls_tool("c1", "end_call", response)
    line.happens(line.done(response))
    lose(line)
    line.happens(ToolFinished("c1", "{}", ends="complete"))

    (create,) = messages(come_back(line), "response.create")

    assert "Thank you, goodbye." in create["response"]["instructions"]


def test_a_caller_who_hangs_up_meanwhile_ends_the_call():
    line = greeted()
    lose(line)

    assert wire(line.happens(CallerGone())) == ["hang up", "ended: caller_hung_up"]
    assert line.happens(ModelConnected(2), realtime.SessionReady()) == []


# How often


@pytest.mark.parametrize("loss", [ModelGone("model_stuck", 1), EXPIRED])
def test_a_stuck_or_expired_session_is_closed_and_replaced(loss):
    line = greeted()

    assert wire(line.happens(loss)) == ["drop 1", "connect 2"]


def test_a_second_loss_soon_after_leaves_the_caller_to_the_fallback():
    line = greeted()
    lose(line)
    come_back(line)
    line.now += 59.0

    assert wire(lose(line, 2)) == ["hang up", "ended: model_lost"]
    assert line.ended is not None
    assert line.ended.fallback


def test_a_loss_is_forgiven_after_a_minute():
    line = greeted(limits=Limits(silence_s=1000.0))
    lose(line)
    come_back(line)
    line.passes(60.0)

    assert wire(lose(line, 2)) == ["drop 2", "connect 3"]
    assert told(come_back(line, 3)) == [QUESTION]


@pytest.mark.parametrize("reason", ["model_unreachable", "model_refused", "model_lost"])
def test_a_session_that_cannot_be_replaced_leaves_the_caller_to_the_fallback(reason):
    line = greeted()
    lose(line)

    assert wire(line.happens(ModelGone(reason, 2))) == ["hang up", f"ended: {reason}"]


def test_a_new_session_that_refuses_its_configuration_is_not_tried_again():
    line = greeted()
    lose(line)
    line.happens(ModelConnected(2))

    refused = line.happens(realtime.ErrorReported(realtime.Complaint(event_id="session")))

    assert wire(refused) == ["hang up", "ended: model_refused"]


def test_a_new_session_that_never_becomes_ready_leaves_the_caller_to_the_fallback():
    line = greeted()
    lose(line)
    line.happens(ModelConnected(2))

    assert wire(line.passes(8.0)) == ["hang up", "ended: model_silent"]


# Names, and what was heard


def test_a_name_that_a_session_gives_again_is_another_one():
    line = greeted()
    line.says("u1", "John Doe.")
    lose(line)
    come_back(line)

    line.answers("a1", "And your ZIP code?")
    line.is_heard()

    assert [(turn.item_id, turn.text) for turn in line.turns] == [
        ("a1", QUESTION[1]),
        ("u1", "John Doe."),
        ("a1~2", "And your ZIP code?"),
    ]


def test_a_response_named_like_one_that_was_cut_can_be_heard():
    line = greeted()
    response = line.begins()
    speaking(line, "a2", response, "And your")
    line.happens(realtime.CallerStarted(item_id="u1"))
    lose(line)
    come_back(line)

    line.happens(realtime.ResponseStarted(realtime.Response(id=response)))
    audio = realtime.AssistantAudio(item_id="a2", delta=HALF_SECOND, response_id=response)

    assert wire(line.happens(audio)) == ["media", "mark"] * 2


def test_the_service_is_spoken_to_with_its_own_names():
    line = greeted()
    lose(line)
    come_back(line)
    response = line.begins()
    speaking(line, "a2", response, "And your")
    line.calls_tool("c1", "save_field", response)

    finished = line.happens(ToolFinished("c1~2", "{}"))
    pressed = line.happens(media_stream.KeyPressed("3"))

    (output,) = messages(finished, "conversation.item.create")
    assert output["item"]["call_id"] == "c1"
    assert messages(pressed, "conversation.item.truncate")[0]["item_id"] == "a2"
    assert messages(pressed, "response.cancel")[0]["response_id"] == response


def test_an_interruption_of_another_session_s_words_is_told_in_words():
    line = greeted()
    line.says("u1", "John Doe.")
    line.answers("a2", "one two three four five six seven eight nine ten")
    lose(line)
    come_back(line)
    line.happens(media_stream.MarkPlayed(line.marks[0]))

    commands = line.happens(realtime.CallerStarted(item_id="u2"))

    assert wire(commands) == ["clear", "conversation.item.create"]
    assert told(commands) == [
        ("system", "Of your last words only this was heard: one two three four five six seven")
    ]


def test_items_that_a_session_was_told_of_are_not_recorded_again():
    line = greeted()
    lose(line)
    items = [m["item"] for m in messages(come_back(line), "conversation.item.create")]

    line.happens(
        *(
            realtime.ItemPlaced(realtime.Item(id=i["id"], type="message", role=i["role"]))
            for i in items
        )
    )
    line.says("u1", "John Doe.")

    assert [turn.text for turn in line.turns] == [QUESTION[1], "John Doe."]


def test_the_cost_of_all_sessions_is_summed():
    line = greeted()
    made = realtime.Usage(output_token_details=realtime.TokenDetails(audio_tokens=10))
    for session in (1, 2):
        response = realtime.Response(id="r9", status="completed", usage=made)
        line.happens(realtime.ResponseEnded(response))
        lose(line, session)
        come_back(line, session + 1)

    assert line.call.usage.audio_out == 20


# The planned change


ROTATED = Limits(session_s=100.0, silence_s=1000.0, call_s=5000.0)


def test_a_session_near_its_end_is_replaced_without_a_word():
    line = greeted(limits=ROTATED)

    assert wire(line.passes(100.0)) == ["connect 2"]
    line.happens(media_stream.CallerAudio("AAAA"))
    assert wire(line.happens(ModelConnected(2))) == ["drop 1", "session.update"]
    ready = line.happens(realtime.SessionReady())

    assert told(ready) == [QUESTION]
    assert heard(ready) == ["AAAA"]
    assert messages(ready, "response.create") == []


def test_it_is_not_replaced_while_somebody_speaks_or_waits_for_a_tool():
    line = greeted(limits=ROTATED)
    line.passes(99.0)
    line.happens(realtime.CallerStarted(item_id="u1"))

    assert line.passes(2.0) == []
    line.happens(realtime.CallerStopped(item_id="u1"))
    response = line.begins()
    line.calls_tool("c1", "save_field", response)
    line.happens(line.done(response), realtime.CallerTranscribed("u1", "John Doe."))
    line.happens(ToolFinished("c1", "{}"))
    assert "connect 2" not in wire(line.answers("a2", "And your ZIP code?"))
    assert wire(line.is_heard()) == ["connect 2"]


def test_a_call_without_a_pause_changes_its_session_all_the_same():
    line = greeted(limits=Limits(session_s=100.0, call_s=5000.0, monologue_s=5000.0))
    line.happens(realtime.CallerStarted(item_id="u1"), media_stream.CallerAudio("AAAA"))

    assert wire(line.passes(341.0)) == ["connect 2"]
    line.happens(ModelConnected(2))
    assert heard(line.happens(realtime.SessionReady())) == ["AAAA"]


def test_a_successor_that_does_not_come_up_is_tried_again_later():
    line = greeted(limits=ROTATED)
    line.passes(100.0)

    assert wire(line.happens(ModelGone("model_refused", 2))) == ["drop 2"]
    assert wire(line.happens(media_stream.CallerAudio("AAAA"))) == ["input_audio_buffer.append"]
    assert wire(line.passes(30.0)) == ["connect 3"]
    assert wire(line.passes(8.0)) == ["drop 3"], "not ready in time"


def test_a_session_lost_while_its_successor_comes_up_is_replaced():
    line = greeted(limits=ROTATED)
    line.passes(100.0)

    assert wire(lose(line)) == ["drop 1", "drop 2", "connect 3"]
    assert line.happens(ModelConnected(2)) == []
    assert told(come_back(line, 3)) == [QUESTION]


def test_a_goodbye_is_left_to_the_session_that_says_it():
    line = greeted(limits=ROTATED)
    line.passes(100.0)
    line.answers("a2", "Thank you, goodbye.")

    assert wire(line.happens(ModelConnected(2))) == ["drop 2"]
    assert wire(line.is_heard()) == ["hang up", "ended: goodbye"]


# The small machines


def test_only_the_latest_sound_is_kept_until_all_is_wanted():
    hearing = Hearing(most=1000)
    hearing.keep_latest()
    for n in range(100):
        hearing.keep(str(n))
    hearing.keep_all()
    for n in range(100, 200):
        hearing.keep(str(n))

    assert hearing.take() == [str(n) for n in range(100 - LATEST_FRAMES, 200)]
    assert hearing.take() == []


def test_names_of_the_first_session_are_the_service_s_own():
    assert Names(1).wire("item_1") == "item_1"
    assert Names(1).knows("item_1")
    assert not Names(2).knows("item_1")
    assert not Names(0).knows("item_1")


def test_every_name_in_an_event_is_made_ours():
    item = realtime.Item(id="i1", type="function_call", call_id="c1", name="save_field")

    assert Names(2).inside(realtime.OutputItemEnded(item, "r1")) == realtime.OutputItemEnded(
        realtime.Item(id="i1~2", type="function_call", call_id="c1~2", name="save_field"), "r1~2"
    )
