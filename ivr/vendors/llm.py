"""Text models by role, for answers that follow a JSON schema. Knows providers; knows no prompt and
no lead.

Roles are settings: `extract` is the only one so far. The first model of a role is the preferred
one, the others are there for when it fails.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from openai import AsyncOpenAI
from pydantic_ai.direct import model_request
from pydantic_ai.exceptions import AgentRunError, ModelHTTPError, UserError
from pydantic_ai.messages import ModelRequest, ModelResponse
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from ivr.errors import ModelError
from ivr.settings import Settings

MAX_OUTPUT_TOKENS = 4000
Role = Literal["extract"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one request took; `cost_usd` is None for a model whose price is not known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; `document` is None when the text is no JSON object, or the model refused."""

    document: dict[str, Any] | None
    usage: Usage
    problem: str | None = None


class TextModel:
    """One model at one provider."""

    def __init__(self, model: Model, *, provider: str, settings: ModelSettings) -> None:
        self.provider = provider
        self.name = model.model_name
        self._model = model
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
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await model_request(
                    self._model,
                    [request],
                    model_settings=self._settings,
                    model_request_parameters=parameters,
                )
        except TimeoutError as exc:
            raise ModelError(f"{self.name} gave no answer in {timeout_seconds:g} s") from exc
        except (AgentRunError, UserError) as exc:
            raise ModelError(f"{self.name}: {_reason(exc)}") from exc
        return _read(response)


class TextModels:
    """The models that the settings allow, for as long as a process lives."""

    def __init__(self, settings: Settings) -> None:
        self._clients: list[Any] = []
        made = {"openai": self._openai(settings), "anthropic": self._anthropic(settings)}
        first = made.pop(settings.llm_provider)
        self._models = tuple(model for model in (first, *made.values()) if model is not None)

    def for_role(self, role: Role) -> tuple[TextModel, ...]:
        """Return the models for `role`, the preferred one first; none when no key is set."""
        return self._models

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()

    def _openai(self, settings: Settings) -> TextModel | None:
        if settings.openai_api_key is None:
            return None
        client = AsyncOpenAI(
            api_key=settings.openai_api_key.get_secret_value(),
            base_url=settings.openai_base_url,
            max_retries=0,
        )
        self._clients.append(client)
        provider = OpenAIProvider(openai_client=client)
        model = OpenAIChatModel(settings.openai_model, provider=provider)
        return TextModel(model, provider="openai", settings=_openai_settings(model))

    def _anthropic(self, settings: Settings) -> TextModel | None:
        if settings.anthropic_api_key is None:
            return None
        from anthropic import AsyncAnthropic  # half a second to import, and most have no key
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        client = AsyncAnthropic(
            api_key=settings.anthropic_api_key.get_secret_value(),
            base_url=settings.anthropic_base_url,
            max_retries=0,
        )
        self._clients.append(client)
        model = AnthropicModel(
            settings.anthropic_model, provider=AnthropicProvider(anthropic_client=client)
        )
        limits = ModelSettings(max_tokens=MAX_OUTPUT_TOKENS)
        return TextModel(model, provider="anthropic", settings=limits)


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


def _read(response: ModelResponse) -> Answer:
    usage = Usage(
        input_tokens=response.usage.input_tokens,
        output_tokens=response.usage.output_tokens,
        cost_usd=_cost(response),
    )
    if response.finish_reason not in {None, "stop"}:
        return Answer(document=None, usage=usage, problem=f"stopped: {response.finish_reason}")
    try:
        document = json.loads(response.text or "")
    except ValueError:
        return Answer(document=None, usage=usage, problem="not JSON")
    if not isinstance(document, dict):
        return Answer(document=None, usage=usage, problem="not a JSON object")
    return Answer(document=document, usage=usage)


def _cost(response: ModelResponse) -> float | None:
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError):
        return None
