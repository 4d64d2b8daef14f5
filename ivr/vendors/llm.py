"""Text models by role: for answers that follow a JSON schema, and for conversations with tools.

Knows providers; knows no prompt and no lead. Roles are settings: `extract` reads transcripts,
`reply` answers people, `route` does what is simple and says what is. The first model of a role is
the preferred one, the others are there for when it fails.
"""

import asyncio
import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ivr.settings import Settings

if TYPE_CHECKING:
    from ivr.vendors.llm_providers import ProviderModel

Role = Literal["extract", "reply", "route"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one request took; what was read from a cache, or written to it, is part of the input."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; `document` is None when the text is no JSON object, or the model refused."""

    document: dict[str, Any] | None
    usage: Usage
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one side wrote."""

    by: Literal["person", "assistant"]
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that a model wants to be run; `arguments` is what it calls JSON."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What came of a call."""

    call: ToolCall
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """What a model says next in a conversation; `problem`: why that cannot be used.

    `own` is the provider's form of it, for going on with the same model.
    """

    text: str
    calls: tuple[ToolCall, ...]
    usage: Usage
    problem: str | None = None
    own: Any = field(default=None, repr=False, compare=False)


Message = Written | Spoken | ToolResult


class TextModel:
    """One model at one provider; its library is loaded by the first who needs it."""

    def __init__(self, name: str, *, provider: str, settings: Settings) -> None:
        self.provider = provider
        self.name = name
        self._settings = settings
        self._loading = asyncio.Lock()
        self._loaded: ProviderModel | None = None

    async def load(self) -> "ProviderModel":
        """Import the provider's library and open a client, without holding up the event loop."""
        async with self._loading:
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(
                    _open, self.provider, self.name, self._settings
                )
            return self._loaded

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
        model = await self.load()
        return await model.answer(
            instructions=instructions,
            prompt=prompt,
            schema=schema,
            name=name,
            timeout_seconds=timeout_seconds,
        )

    async def converse(
        self,
        *,
        instructions: str,
        history: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        timeout_seconds: float,
    ) -> Spoken:
        """Return what it says next, and the tools it wants run; raise `ModelError`.

        `tools` are function tools as `agent.tool_schemas` makes them.
        """
        model = await self.load()
        return await model.converse(
            instructions=instructions,
            history=history,
            tools=tools,
            timeout_seconds=timeout_seconds,
        )

    async def close(self) -> None:
        """Close the connections."""
        if self._loaded is not None:
            await self._loaded.close()


class TextModels:
    """The models that the settings allow, for as long as a process lives."""

    def __init__(self, settings: Settings) -> None:
        self._providers = providers(settings)
        self._names = _names(settings)
        # Roles whose model is the same share it, and its connections.
        self._models = {
            (provider, name): TextModel(name, provider=provider, settings=settings)
            for provider in self._providers
            for name in self._names[provider].values()
        }

    def for_role(self, role: Role) -> tuple[TextModel, ...]:
        """Return the models for `role`, the preferred one first; none when no key is set."""
        return tuple(self._models[it, self._names[it][role]] for it in self._providers)

    async def load(self) -> None:
        """Get ready what a first request would have to wait for."""
        for model in self._models.values():
            await model.load()

    async def close(self) -> None:
        """Close the connections."""
        for model in self._models.values():
            await model.close()


def providers(settings: Settings) -> tuple[str, ...]:
    """Return the providers with a key, the preferred one first: Claude unless the setting says
    otherwise; none leaves it to the rules.
    """
    keys = {"anthropic": settings.anthropic_api_key, "openai": settings.openai_api_key}
    order = sorted(keys, key=lambda provider: provider != settings.llm_provider)
    return tuple(provider for provider in order if keys[provider] is not None)


def _names(settings: Settings) -> dict[str, dict[Role, str]]:
    return {
        "openai": {
            "extract": settings.openai_model,
            "reply": settings.openai_reply_model,
            "route": settings.openai_route_model,
        },
        "anthropic": {
            "extract": settings.anthropic_model,
            "reply": settings.anthropic_reply_model,
            "route": settings.anthropic_route_model,
        },
    }


def _open(provider: str, name: str, settings: Settings) -> "ProviderModel":
    from ivr.vendors import llm_providers  # a second: not before the doors are open

    model = llm_providers.OPEN[provider](name, settings)
    gc.freeze()  # as at the start: looking through it for garbage would silence every call
    return model
