import json
import typing

import pytest
from openai.types.realtime import (
    ConversationItemCreateEvent,
    ConversationItemTruncateEvent,
    InputAudioBufferAppendEvent,
    InputAudioBufferCommitEvent,
    RealtimeConversationItemAssistantMessage,
    RealtimeConversationItemFunctionCall,
    RealtimeConversationItemUserMessage,
    RealtimeError,
    RealtimeResponse,
    RealtimeServerEvent,
    ResponseCancelEvent,
    ResponseCreateEvent,
    SessionUpdateEvent,
)
from pydantic import BaseModel

from ivr.voice import realtime

TOOL = {
    "type": "function",
    "name": "end_call",
    "description": "End the call.",
    "parameters": {
        "type": "object",
        "properties": {"reason": {"type": "string"}},
        "required": ["reason"],
        "additionalProperties": False,
    },
}


def assert_no_extras(value: object) -> None:
    """The SDK's types accept any misspelt field; it lies in `model_extra` then."""
    if isinstance(value, BaseModel):
        assert not value.model_extra, f"{type(value).__name__}: {value.model_extra}"
        for name in type(value).model_fields:
            assert_no_extras(getattr(value, name))
    elif isinstance(value, list | tuple):
        for one in value:
            assert_no_extras(one)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (SessionUpdateEvent, realtime.session_update(realtime.session(instructions="Be kind."))),
        (
            SessionUpdateEvent,
            realtime.session_update(
                realtime.session(
                    instructions="Be kind.", tools=[TOOL], voice="cedar", reasoning_effort="low"
                )
            ),
        ),
        (ResponseCreateEvent, realtime.response_create()),
        (ResponseCreateEvent, realtime.response_create("Say hello.", may_use_tools=False)),
        (ResponseCancelEvent, realtime.response_cancel("r1")),
        (InputAudioBufferAppendEvent, realtime.append("f39/")),
        (InputAudioBufferCommitEvent, realtime.commit()),
        (ConversationItemTruncateEvent, realtime.truncate("item1", 300)),
        (ConversationItemCreateEvent, realtime.function_call_output("c1", '{"saved": true}')),
        (ConversationItemCreateEvent, realtime.message("user", "The caller keyed in: 30093")),
        (ConversationItemCreateEvent, realtime.message("assistant", "Hello.", item_id="before_0")),
    ],
)
def test_what_we_send_is_what_openai_s_own_types_know(kind, message):
    event = kind.model_validate_json(message)

    assert_no_extras(event)
    assert json.loads(event.model_dump_json(exclude_unset=True)) == json.loads(message)


def test_the_check_above_finds_a_misspelt_field():
    message = json.loads(realtime.session_update(realtime.session(instructions="Be kind.")))
    message["session"]["audio"]["input"]["turn_detection"]["treshold"] = 0.5

    with pytest.raises(AssertionError, match="treshold"):
        assert_no_extras(SessionUpdateEvent.model_validate(message))


def test_audio_is_mu_law_both_ways():
    audio = realtime.session(instructions="")["audio"]

    assert audio["input"]["format"] == audio["output"]["format"] == {"type": "audio/pcmu"}


def _server_event_names() -> list[str]:
    union = typing.get_args(RealtimeServerEvent)[0]
    return [
        typing.get_args(member.model_fields["type"].annotation)[0]
        for member in typing.get_args(union)
    ]


@pytest.mark.parametrize("name", _server_event_names())
def test_every_event_of_openai_is_one_that_we_take_or_leave(name):
    assert (name in realtime.EVENTS) != name.startswith(realtime.NOT_FOR_US)


def test_every_event_that_we_take_is_one_of_openai():
    assert set(realtime.EVENTS) <= set(_server_event_names())


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"type": "session.updated", "session": {"type": "realtime"}}, realtime.SessionReady()),
        (
            {
                "type": "response.output_audio.delta",
                "event_id": "e1",
                "response_id": "r1",
                "item_id": "i1",
                "output_index": 0,
                "content_index": 0,
                "delta": "f39/",
            },
            realtime.AssistantAudio("i1", "f39/", "r1"),
        ),
        (
            {
                "type": "conversation.item.added",
                "previous_item_id": None,
                "item": {
                    "id": "i1",
                    "object": "realtime.item",
                    "type": "message",
                    "role": "assistant",
                    "status": "in_progress",
                    "content": [],
                },
            },
            realtime.ItemPlaced(
                realtime.Item("i1", "message", "assistant", "in_progress", content=[]), None
            ),
        ),
        (
            {
                "type": "response.output_item.done",
                "response_id": "r1",
                "output_index": 1,
                "item": {
                    "id": "i2",
                    "type": "function_call",
                    "status": "completed",
                    "name": "save_field",
                    "call_id": "c1",
                    "arguments": '{"name":"zip_code"}',
                },
            },
            realtime.OutputItemEnded(
                realtime.Item(
                    id="i2",
                    type="function_call",
                    status="completed",
                    name="save_field",
                    call_id="c1",
                    arguments='{"name":"zip_code"}',
                ),
                "r1",
            ),
        ),
        (
            {
                "type": "error",
                "event_id": "e1",
                "error": {"type": "invalid_request_error", "code": None, "message": "?"},
            },
            realtime.ErrorReported(realtime.Complaint(type="invalid_request_error")),
        ),
        (
            {
                "type": "conversation.item.input_audio_transcription.completed",
                "item_id": "i1",
                "content_index": 0,
                "transcript": "John Doe.",
                "usage": {"type": "duration", "seconds": 2.5},
            },
            realtime.CallerTranscribed("i1", "John Doe.", realtime.Usage(seconds=2.5)),
        ),
        ({"type": "rate_limits.updated", "rate_limits": []}, None),
        ({"type": "response.spoken_in_2031"}, realtime.Unknown()),
        ({"type": "response.output_audio.delta", "delta": 7}, realtime.Unknown()),
        ({}, realtime.Unknown()),
        (None, realtime.Unknown()),
    ],
)
def test_a_message_is_an_event_or_nothing_and_never_an_error(message, event):
    assert realtime.parse(json.dumps(message)) == event


def test_the_reason_of_a_failed_response_is_found():
    failed = realtime.parse(
        '{"type":"response.done","response":{"id":"r1","status":"failed","usage":null,'
        '"status_details":{"type":"failed","error":{"type":"x","code":"rate_limit_exceeded"}}}}'
    )

    assert isinstance(failed, realtime.ResponseEnded)
    assert failed.response.error_code == "rate_limit_exceeded"
    assert realtime.Response(id="r2").error_code is None


def test_a_null_in_the_cost_costs_no_event():
    counts = '{"text_tokens":null,"audio_tokens":null,"cached_tokens_details":{"text_tokens":null}}'
    done = realtime.parse(
        '{"type":"response.done","response":{"id":"r1","status":"completed","usage":{'
        f'"input_tokens":7,"output_tokens":null,"input_token_details":{counts},'
        f'"output_token_details":{counts}}}}}}}'
    )
    heard = realtime.parse(
        '{"type":"conversation.item.input_audio_transcription.completed","item_id":"i1",'
        '"transcript":"John Doe.","usage":{"type":"tokens","input_tokens":null}}'
    )

    assert isinstance(done, realtime.ResponseEnded)
    assert (done.response.id, done.response.usage.input_tokens) == ("r1", 7)
    assert heard == realtime.CallerTranscribed("i1", "John Doe.", realtime.Usage())


@pytest.mark.parametrize("usage", ['"free"', '{"input_tokens":"7"}', "[]"])
def test_a_cost_in_no_known_form_costs_no_event(usage):
    done = realtime.parse(
        f'{{"type":"response.done","response":{{"id":"r1","status":null,"usage":{usage}}}}}'
    )

    assert done == realtime.ResponseEnded(realtime.Response(id="r1"))


def _nullable(kind: type[BaseModel]) -> dict[str, None]:
    return {name: None for name, field in kind.model_fields.items() if not field.is_required()}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("conversation.item.added", RealtimeConversationItemUserMessage),
        ("conversation.item.done", RealtimeConversationItemAssistantMessage),
        ("response.output_item.done", RealtimeConversationItemFunctionCall),
        ("response.created", RealtimeResponse),
        ("error", RealtimeError),
    ],
)
def test_null_is_taken_wherever_openai_s_own_types_allow_it(event, kind):
    thing = {**_nullable(kind), "type": "message", "content": [{"type": None, "text": None}]}
    message = {"type": event, "previous_item_id": None}
    parsed = realtime.parse(
        json.dumps({**message, "item": thing, "response": thing, "error": thing})
    )

    assert isinstance(parsed, realtime.EVENTS[event])
