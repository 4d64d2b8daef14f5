"""The emulated text model in a conversation with tools, through the vendor's own client."""

from collections.abc import AsyncIterator
from typing import Any

import openai as sdk
import pytest

from tools.emulators.openai import Call, OpenAIEmulator, Say, Shown, by_message, save

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "save_field",
        "description": "Save one answer.",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}
HELLO = {"role": "user", "content": "Hello"}
CALLED = {
    "role": "assistant",
    "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "save_field", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "save_field", "arguments": "{}"}},
    ],
}


def result(call: str) -> dict[str, str]:
    return {"role": "tool", "tool_call_id": call, "content": '{"saved": true}'}


@pytest.fixture
async def openai() -> AsyncIterator[OpenAIEmulator]:
    async with OpenAIEmulator() as emulator:
        yield emulator


@pytest.fixture
async def client(openai: OpenAIEmulator) -> AsyncIterator[sdk.AsyncOpenAI]:
    key, url = openai.api_key, openai.base_url
    async with sdk.AsyncOpenAI(api_key=key, base_url=url, max_retries=0) as found:
        yield found


async def ask(client: sdk.AsyncOpenAI, *messages: Any, **options: Any) -> Any:
    options = {"model": "gpt-6-luna", "tools": [TOOL], **options}
    found = await client.chat.completions.create(messages=list(messages) or [HELLO], **options)
    return found.choices[0]


async def test_steps_come_in_their_order_with_words_and_parallel_calls(openai, client):
    openai.steps.extend([Say("Hi!"), Say("One moment", (save("a", "1"), save("b", "2")))])

    first, second = await ask(client), await ask(client)

    assert (first.message.content, first.finish_reason) == ("Hi!", "stop")
    assert (second.message.content, second.finish_reason) == ("One moment", "tool_calls")
    calls = second.message.tool_calls
    assert len({call.id for call in calls}) == 2
    assert calls[0].function.arguments == '{"name": "a", "value": "1", "heard_as": "1"}'


async def test_broken_arguments_are_sent_as_they_are(openai, client):
    openai.steps.append(Say(calls=(Call("save_field", '{"name": '),)))

    choice = await ask(client)

    assert choice.message.tool_calls[0].function.arguments == '{"name": '
    assert choice.message.content is None


async def test_a_mind_answers_each_message_round_by_round(openai, client):
    openai.think(by_message({"Hello": [Say(calls=(save("a", "1"),)), Say("Saved.")]}))

    first = await ask(client)
    second = await ask(client, HELLO, CALLED, result("a"), result("b"))

    assert first.message.tool_calls and second.message.content == "Saved."


async def test_a_mind_is_shown_what_the_model_is(openai, client):
    seen: list[Shown] = []
    openai.think(lambda shown: (seen.append(shown), Say("Okay."))[1])

    await ask(
        client, {"role": "system", "content": "Be kind."}, HELLO, CALLED, result("a"), result("b")
    )

    (shown,) = seen
    assert (shown.instructions, shown.last_message, shown.round) == ("Be kind.", "Hello", 1)
    assert shown.results == [{"saved": True}] * 2 and shown.tools == ("save_field",)


async def test_a_message_that_the_table_does_not_know_has_the_default(openai, client):
    openai.think(by_message({}, default=Say("Pardon?")))

    assert (await ask(client)).message.content == "Pardon?"


@pytest.mark.parametrize(
    ("fault", "error"),
    [(429, sdk.RateLimitError), (500, sdk.InternalServerError), ("hang", sdk.APITimeoutError)],
)
async def test_a_step_can_fail(openai, client, fault, error):
    openai.steps.append(Say(fault=fault))

    with pytest.raises(error):
        await ask(client, timeout=0.2)


@pytest.mark.parametrize(
    ("fault", "reason"), [("length", "length"), ("filtered", "content_filter"), ("refusal", "stop")]
)
async def test_a_step_can_be_cut_or_refused(openai, client, fault, reason):
    openai.steps.append(Say("As I was", fault=fault))

    choice = await ask(client)

    assert choice.finish_reason == reason
    assert bool(choice.message.refusal) == (fault == "refusal")


async def test_the_router_has_answers_of_its_own(openai, client):
    schema = {
        "type": "object",
        "properties": {"route": {"type": "string", "enum": ["simple", "complex"]}},
        "required": ["route"],
        "additionalProperties": False,
    }
    wanted = {"name": "route", "strict": True, "schema": schema}
    openai.routes.append("complex")
    said = []
    for _ in range(2):
        found = await client.chat.completions.create(
            model="gpt-6-luna",
            messages=[HELLO],
            response_format={"type": "json_schema", "json_schema": wanted},
        )
        said.append(found.choices[0].message.content)

    assert said == ['{"route": "complex"}', '{"route": "simple"}']


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([HELLO, CALLED], "messages.1.role"),
        ([HELLO, CALLED, result("a")], "messages.2.role"),
        ([HELLO, CALLED, result("a"), HELLO], "messages.3.role"),
        ([HELLO, CALLED, result("a"), result("x")], "messages.3.role"),
        ([HELLO, result("a")], "messages.1.role"),
        ([HELLO, {"role": "tool", "content": "{}"}], "messages.1.tool_call_id"),
        ([HELLO, {"role": "assistant", "tool_calls": []}], "messages.1.content"),
        ([HELLO, {"role": "assistant", "tool_calls": [{"id": "a"}]}], "messages.1.tool_calls.0"),
        ([HELLO, {"role": "assistant", "content": None}], "messages.1.content"),
        ([{"role": "user", "content": "x", "mood": "good"}], "messages.0.mood"),
    ],
)
async def test_a_history_that_no_conversation_has_is_refused(client, messages, param):
    with pytest.raises(sdk.BadRequestError) as refused:
        await ask(client, *messages)

    assert refused.value.param == param


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tools": []}, "tools"),
        ({"tools": [TOOL, TOOL]}, "tools"),
        ({"tools": [{"type": "magic"}]}, "tools[0]"),
        ({"tools": [{**TOOL, "strict": True}]}, "tools[0]"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "args": {}}}]},
            "tools[0].function.args",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": {}}}]},
            "tools[0].function.parameters",
        ),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice"),
        ({"tools": sdk.omit, "tool_choice": "auto"}, "tool_choice"),
        ({"tools": sdk.omit, "parallel_tool_calls": True}, "parallel_tool_calls"),
    ],
)
async def test_tools_that_the_service_refuses_are_refused(client, options, param):
    with pytest.raises(sdk.BadRequestError) as refused:
        await ask(client, **options)

    assert refused.value.param == param


async def test_a_tool_may_be_chosen(openai, client):
    openai.steps.append(Say(calls=(Call("save_field", {}),)))
    chosen = {"type": "function", "function": {"name": "save_field"}}

    choice = await ask(client, tool_choice=chosen, parallel_tool_calls=False)

    assert choice.message.tool_calls[0].function.name == "save_field"
