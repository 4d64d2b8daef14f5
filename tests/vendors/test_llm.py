"""Text models on the wire: what is sent to each provider, and what its answers become."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ivr.errors import ModelError
from ivr.settings import Settings
from ivr.vendors.llm import Answer, Message, Role, Spoken, TextModels, ToolResult, Usage, Written
from tools.emulators.serving import serve

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"zip": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "required": ["zip"],
    "additionalProperties": False,
}


class Providers:
    """Both providers' endpoints; `answers` are statuses, texts or what each calls its content."""

    def __init__(self) -> None:
        self.answers: list[int | str | dict[str, Any] | list[dict[str, Any]]] = []
        self.requests: list[dict[str, Any]] = []
        self.base_url = ""

    def settings(self, **changes: Any) -> Settings:
        return Settings(
            _env_file=None,
            openai_base_url=f"{self.base_url}/v1",
            anthropic_base_url=self.base_url,
            **changes,
        )

    async def openai(self, request: Request) -> Response:
        self.requests.append(await request.json())
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            return JSONResponse({"error": {"message": "no", "code": "no_luck"}}, answer)
        assert not isinstance(answer, list), "that is Anthropic's"
        message = {"content": answer} if isinstance(answer, str) else answer
        return JSONResponse(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": self.requests[-1]["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": message.pop("finish_reason", "stop"),
                        "message": {"role": "assistant", "content": None, **message},
                    }
                ],
                "usage": {
                    "prompt_tokens": 900,
                    "completion_tokens": 100,
                    "total_tokens": 1000,
                    "prompt_tokens_details": {"cached_tokens": 300},
                },
            }
        )

    async def anthropic(self, request: Request) -> Response:
        self.requests.append(await request.json())
        answer = self.answers.pop(0)
        content = [{"type": "text", "text": answer}] if isinstance(answer, str) else answer
        return JSONResponse(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": self.requests[-1]["model"],
                "content": content,
                "stop_reason": "end_turn" if isinstance(answer, str) else "tool_use",
                "stop_sequence": None,
                "usage": {"input_tokens": 900, "output_tokens": 100},
            }
        )


@pytest.fixture
async def providers() -> AsyncIterator[Providers]:
    fake = Providers()
    routes = [
        Route("/v1/chat/completions", fake.openai, methods=["POST"]),
        Route("/v1/messages", fake.anthropic, methods=["POST"]),
    ]
    async with serve(Starlette(routes=routes)) as port:
        fake.base_url = f"http://127.0.0.1:{port}"
        yield fake
    assert fake.answers == [], "answers left over"


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[TextModels]:
    models = TextModels(settings)
    try:
        yield models
    finally:
        await models.close()


async def ask(settings: Settings, *, seconds: float = 5.0) -> Answer:
    async with opened(settings) as models:
        return await models.for_role("extract")[0].answer(
            instructions="Report the ZIP.",
            prompt="user: 30093",
            schema=SCHEMA,
            name="lead",
            timeout_seconds=seconds,
        )


async def test_openai_is_asked_with_a_strict_schema_and_temperature_zero(
    providers: Providers,
) -> None:
    providers.answers = ['{"zip": "30093"}']
    answer = await ask(providers.settings(openai_api_key="sk-test"))
    assert answer.document == {"zip": "30093"}
    assert answer.usage == Usage(input_tokens=900, output_tokens=100, cached_tokens=300)
    (sent,) = providers.requests
    assert sent["model"] == "gpt-6-luna"
    assert (sent["temperature"], sent["reasoning_effort"]) == (0.0, "none")
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "lead", "strict": True, "schema": SCHEMA},
    }
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


@pytest.mark.parametrize(
    ("model", "temperature", "effort"), [("gpt-4o-mini", 0.0, None), ("o3", None, None)]
)
async def test_a_model_gets_only_the_settings_it_takes(
    providers: Providers, model: str, temperature: float | None, effort: str | None
) -> None:
    providers.answers = ['{"zip": null}']
    await ask(providers.settings(openai_api_key="sk-test", openai_model=model))
    (sent,) = providers.requests
    assert (sent.get("temperature"), sent.get("reasoning_effort")) == (temperature, effort)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("I think it is 30093", "not JSON"),
        ("[1]", "not a JSON object"),
        ({"refusal": "I cannot help with that"}, "stopped: content_filter"),
        ({"content": '{"zip": "3', "finish_reason": "length"}, "stopped: length"),
    ],
)
async def test_an_answer_that_cannot_be_used_says_why_and_what_it_cost(
    providers: Providers, answer: str | dict[str, Any], problem: str
) -> None:
    providers.answers = [answer]
    given = await ask(providers.settings(openai_api_key="sk-test"))
    assert (given.document, given.problem) == (None, problem)
    assert given.usage.input_tokens == 900


@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_a_request_that_fails_is_asked_once_and_raises(
    providers: Providers, status: int
) -> None:
    providers.answers = [status]
    with pytest.raises(ModelError, match=f"gpt-6-luna: HTTP {status} no_luck"):
        await ask(providers.settings(openai_api_key="sk-test"))
    assert len(providers.requests) == 1


async def test_a_model_that_cannot_be_reached_raises(providers: Providers) -> None:
    settings = providers.settings(openai_api_key="sk-test")
    with pytest.raises(ModelError, match="gpt-6-luna: APIConnectionError"):
        await ask(settings.model_copy(update={"openai_base_url": "http://127.0.0.1:1/v1"}))


async def test_anthropic_gets_the_same_schema(providers: Providers) -> None:
    providers.answers = [json.dumps({"zip": "30093"})]
    settings = providers.settings(anthropic_api_key="sk-ant", llm_provider="anthropic")
    assert (await ask(settings)).document == {"zip": "30093"}
    (sent,) = providers.requests
    assert sent["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}
    assert "temperature" not in sent


async def test_the_models_are_those_with_a_key_the_chosen_provider_first(
    providers: Providers,
) -> None:
    async def names(**changes: str) -> list[str]:
        async with opened(providers.settings(**changes)) as models:
            return [model.provider for model in models.for_role("extract")]

    both = {"openai_api_key": "sk-test", "anthropic_api_key": "sk-ant"}
    assert await names() == []
    assert await names(openai_api_key="sk-test") == ["openai"]
    assert await names(anthropic_api_key="sk-ant") == ["anthropic"]
    assert await names(**both) == await names(**both, llm_provider="auto")
    assert await names(**both) == ["anthropic", "openai"]
    assert await names(**both, llm_provider="anthropic") == ["anthropic", "openai"]
    assert await names(**both, llm_provider="openai") == ["openai", "anthropic"]


# --- conversations with tools ---

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "save_zip",
        "description": "Save the ZIP.",
        "parameters": {
            "type": "object",
            "properties": {"zip": {"type": "string"}, "insisted": {"type": "boolean"}},
            "required": ["zip"],
            "additionalProperties": False,
        },
    }
]
SAID = (
    Written(by="person", text="hi"),
    Written(by="assistant", text="ZIP?"),
    Written(by="person", text="30093"),
)


async def converse(
    settings: Settings, *history: Message, role: Role = "reply", seconds: float = 5.0
) -> Spoken:
    async with opened(settings) as models:
        return await models.for_role(role)[0].converse(
            instructions="Ask for the ZIP.",
            history=history or SAID,
            tools=TOOLS,
            timeout_seconds=seconds,
        )


async def test_each_role_has_its_model(providers: Providers) -> None:
    changes = {
        "openai_model": "gpt-6-sol",
        "openai_reply_model": "gpt-6.1-terra",
        "openai_route_model": "gpt-6-luna",
        "anthropic_reply_model": "claude-sonnet-5",
    }
    keys = {"openai_api_key": "sk-test", "anthropic_api_key": "sk-ant"}
    async with opened(providers.settings(**keys, **changes)) as models:
        names = {
            role: [model.name for model in models.for_role(role)]
            for role in ("extract", "reply", "route")
        }
    assert names == {
        "extract": ["claude-haiku-5-5", "gpt-6-sol"],
        "reply": ["claude-sonnet-5", "gpt-6.1-terra"],
        "route": ["claude-haiku-5-5", "gpt-6-luna"],
    }


async def test_roles_with_one_model_share_it(providers: Providers) -> None:
    settings = providers.settings(openai_api_key="sk-test", openai_reply_model="gpt-6-luna")
    async with opened(settings) as models:
        assert models.for_role("reply")[0] is models.for_role("route")[0]


async def test_openai_is_shown_the_conversation_and_the_tools(providers: Providers) -> None:
    providers.answers = ["Thank you!"]
    spoken = await converse(providers.settings(openai_api_key="sk-test"))
    assert (spoken.text, spoken.calls, spoken.problem) == ("Thank you!", (), None)
    assert spoken.usage.input_tokens == 900
    (sent,) = providers.requests
    assert (sent["model"], sent["reasoning_effort"]) == ("gpt-6.1-terra", "none")
    assert [(m["role"], m["content"]) for m in sent["messages"]] == [
        ("system", "Ask for the ZIP."),
        ("user", "hi"),
        ("assistant", "ZIP?"),
        ("user", "30093"),
    ]
    (tool,) = sent["tools"]
    assert tool["function"]["parameters"] == TOOLS[0]["parameters"]
    assert "response_format" not in sent


async def test_openais_tool_calls_come_as_they_are_and_are_answered(providers: Providers) -> None:
    functions = [{"name": "save_zip", "arguments": text} for text in ('{"zip": "30093"}', '{"zi')]
    providers.answers = [
        {
            "tool_calls": [
                {"id": f"call_{number}", "type": "function", "function": function}
                for number, function in enumerate(functions)
            ],
            "finish_reason": "tool_calls",
        },
        "Saved.",
    ]
    settings = providers.settings(openai_api_key="sk-test")
    spoken = await converse(settings)
    assert [(call.name, call.arguments) for call in spoken.calls] == [
        ("save_zip", '{"zip": "30093"}'),
        ("save_zip", '{"zi'),
    ]
    results = [ToolResult(call=call, output='{"saved": true}') for call in spoken.calls]
    assert (await converse(settings, *SAID, spoken, *results)).text == "Saved."
    sent = providers.requests[1]["messages"][-3:]
    assert [m["role"] for m in sent] == ["assistant", "tool", "tool"]
    assert [m["tool_call_id"] for m in sent[1:]] == ["call_0", "call_1"]
    assert sent[1]["content"] == '{"saved": true}'


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"refusal": "I cannot help with that"}, "stopped: content_filter"),
        ({"content": "As I", "finish_reason": "length"}, "stopped: length"),
    ],
)
async def test_words_that_cannot_be_used_say_why(
    providers: Providers, answer: dict[str, Any], problem: str
) -> None:
    providers.answers = [answer]
    spoken = await converse(providers.settings(openai_api_key="sk-test"))
    assert spoken.problem == problem and spoken.usage.input_tokens == 900


async def test_a_conversation_that_fails_raises(providers: Providers) -> None:
    providers.answers = [503]
    with pytest.raises(ModelError, match="gpt-6-luna: HTTP 503"):
        await converse(providers.settings(openai_api_key="sk-test"), role="route")


async def test_anthropic_is_shown_the_same(providers: Providers) -> None:
    call = {"type": "tool_use", "id": "tool_1", "name": "save_zip", "input": {"zip": "30093"}}
    providers.answers = [[{"type": "text", "text": "One moment."}, call], "Saved."]
    settings = providers.settings(anthropic_api_key="sk-ant", llm_provider="anthropic")
    spoken = await converse(settings)
    assert spoken.text == "One moment." and spoken.usage.input_tokens == 900
    assert json.loads(spoken.calls[0].arguments) == {"zip": "30093"}
    result = ToolResult(call=spoken.calls[0], output='{"saved": true}')
    assert (await converse(settings, *SAID, spoken, result)).text == "Saved."
    first, second = providers.requests
    assert first["model"] == "claude-sonnet-5-5"
    assert first["tools"][0]["input_schema"] == TOOLS[0]["parameters"]
    assert [message["role"] for message in first["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][-1]["content"][0]["tool_use_id"] == "tool_1"
