"""The text models of OpenAI and Anthropic through pydantic-ai. Only `ivr.vendors.llm` imports this.

It takes a second to import, which a start need not wait for.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from openai import AsyncOpenAI
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import AgentRunError, ModelHTTPError, UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from ivr.errors import ModelError
from ivr.settings import Settings
from ivr.vendors.llm import Answer, Message, Spoken, ToolCall, ToolResult, Usage, Written

MAX_OUTPUT_TOKENS = 4000


class ProviderModel:
    """One model with its open client."""

    def __init__(self, model: Model, client: Any, *, settings: ModelSettings) -> None:
        self._model = model
        self._client = client
        self._settings = settings

    async def answer(
        self,
        *,
        instructions: str,
        prompt: str,
        schema: Mapping[str, Any],
        name: str,
        timeout_seconds: float,
    ) -> Answer:
        """Ask once; an answer that cannot be used says why, a request that failed raises
        `ModelError`.
        """
        output = OutputObjectDefinition(json_schema=dict(schema), name=name, strict=True)
        parameters = ModelRequestParameters(
            output_mode="native", output_object=output, allow_text_output=True
        )
        request = ModelRequest.user_text_prompt(prompt, instructions=instructions)
        return _read(await self._ask([request], parameters, timeout_seconds=timeout_seconds))

    async def converse(
        self,
        *,
        instructions: str,
        history: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        timeout_seconds: float,
    ) -> Spoken:
        """Return what it says next, and the tools it wants run; raise `ModelError`."""
        parameters = ModelRequestParameters(
            function_tools=[_tool(tool) for tool in tools], allow_text_output=True
        )
        messages = _messages(history, instructions)
        return _spoken(await self._ask(messages, parameters, timeout_seconds=timeout_seconds))

    async def _ask(
        self,
        messages: Sequence[ModelMessage],
        parameters: ModelRequestParameters,
        *,
        timeout_seconds: float,
    ) -> ModelResponse:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await model_request(
                    self._model,
                    messages,
                    model_settings=self._settings,
                    model_request_parameters=parameters,
                )
        except TimeoutError as exc:
            raise ModelError(
                f"{self._model.model_name} gave no answer in {timeout_seconds:g} s"
            ) from exc
        except (AgentRunError, UserError) as exc:
            raise ModelError(f"{self._model.model_name}: {_reason(exc)}") from exc

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def openai(name: str, settings: Settings) -> ProviderModel:
    """Return OpenAI's model `name`; the key is set."""
    assert settings.openai_api_key is not None, "asked for only with a key"
    client = AsyncOpenAI(
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        max_retries=0,
    )
    model = OpenAIChatModel(name, provider=OpenAIProvider(openai_client=client))
    return ProviderModel(model, client, settings=_openai_settings(model))


def anthropic(name: str, settings: Settings) -> ProviderModel:
    """Return Anthropic's model `name`; the key is set."""
    from anthropic import AsyncAnthropic  # half a second to import, and most have no key
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.providers.anthropic import AnthropicProvider

    assert settings.anthropic_api_key is not None, "asked for only with a key"
    client = AsyncAnthropic(
        api_key=settings.anthropic_api_key.get_secret_value(),
        base_url=settings.anthropic_base_url,
        max_retries=0,
    )
    model = AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))
    return ProviderModel(model, client, settings=ModelSettings(max_tokens=MAX_OUTPUT_TOKENS))


OPEN = {"openai": openai, "anthropic": anthropic}


def _openai_settings(model: OpenAIChatModel) -> OpenAIChatModelSettings:
    """Return temperature 0 where taken: reasoning models do only with effort `none`."""
    limits = OpenAIChatModelSettings(max_tokens=MAX_OUTPUT_TOKENS)
    profile = model.profile
    if not profile.get("openai_supports_reasoning", False):
        return OpenAIChatModelSettings(temperature=0.0, **limits)
    if _can_rest(profile):
        return OpenAIChatModelSettings(temperature=0.0, openai_reasoning_effort="none", **limits)
    return limits


def _can_rest(profile: Mapping[str, Any]) -> bool:
    efforts = profile.get("openai_reasoning_efforts")
    if efforts is not None:
        return "none" in efforts
    return bool(profile.get("openai_supports_reasoning_effort_none", False))


def _reason(exc: AgentRunError | UserError) -> str:
    """Return why a request failed without the provider's prose, which may repeat what we sent."""
    if not isinstance(exc, ModelHTTPError):
        return type(exc.__cause__ or exc).__name__
    code = exc.body.get("code") if isinstance(exc.body, dict) else None
    return f"HTTP {exc.status_code}{f' {code}' if code else ''}"


def _tool(tool: Mapping[str, Any]) -> ToolDefinition:
    return ToolDefinition(
        name=tool["name"],
        description=tool["description"],
        parameters_json_schema=dict(tool["parameters"]),
        strict=False,  # strict mode knows no optional arguments
    )


def _messages(history: Sequence[Message], instructions: str) -> list[ModelMessage]:
    """Return the history in pydantic-ai's form: what both sides say, turn by turn."""
    messages: list[ModelMessage] = []
    for message in history:
        match message:
            case Spoken(own=own):
                messages.append(own)
            case Written(by="assistant", text=text):
                messages.append(ModelResponse(parts=[TextPart(text)]))
            case Written(text=text):
                _add(messages, UserPromptPart(text), instructions)
            case ToolResult(call=call, output=output):
                part = ToolReturnPart(call.name, output, tool_call_id=call.id)
                _add(messages, part, instructions)
    return messages


def _add(messages: list[ModelMessage], part: ModelRequestPart, instructions: str) -> None:
    """Add to the request that is being made, or begin the next one."""
    if messages and isinstance(messages[-1], ModelRequest):
        messages[-1].parts = [*messages[-1].parts, part]
    else:
        messages.append(ModelRequest(parts=[part], instructions=instructions))


def _spoken(response: ModelResponse) -> Spoken:
    calls = tuple(
        ToolCall(id=call.tool_call_id, name=call.tool_name, arguments=_arguments(call))
        for call in response.tool_calls
    )
    wrong = response.finish_reason not in {None, "stop", "tool_call"}
    return Spoken(
        text=(response.text or "").strip(),
        calls=calls,
        usage=_usage(response),
        problem=f"stopped: {response.finish_reason}" if wrong else None,
        own=response,
    )


def _arguments(call: ToolCallPart) -> str:
    """Return the arguments as they came: what is no JSON is for the tool to say."""
    return call.args if isinstance(call.args, str) else call.args_as_json_str()


def _usage(response: ModelResponse) -> Usage:
    return Usage(
        input_tokens=response.usage.input_tokens,
        output_tokens=response.usage.output_tokens,
        cached_tokens=response.usage.cache_read_tokens,
        cache_write_tokens=response.usage.cache_write_tokens,
    )


def _read(response: ModelResponse) -> Answer:
    usage = _usage(response)
    if response.finish_reason not in {None, "stop"}:
        return Answer(document=None, usage=usage, problem=f"stopped: {response.finish_reason}")
    try:
        document = json.loads(response.text or "")
    except ValueError:
        return Answer(document=None, usage=usage, problem="not JSON")
    if not isinstance(document, dict):
        return Answer(document=None, usage=usage, problem="not a JSON object")
    return Answer(document=document, usage=usage)
