"""Text models by role, for answers that follow a JSON schema. Knows providers; knows no prompt and
no lead.

Roles are settings: `extract` is the only one so far. The first model of a role is the preferred
one, the others are there for when it fails.
"""

import asyncio
import gc
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ivr.settings import Settings

if TYPE_CHECKING:
    from ivr.vendors.llm_providers import ProviderModel

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
                self._loaded = await asyncio.to_thread(_open, self.provider, self._settings)
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

    async def close(self) -> None:
        """Close the connections."""
        if self._loaded is not None:
            await self._loaded.close()


class TextModels:
    """The models that the settings allow, for as long as a process lives."""

    def __init__(self, settings: Settings) -> None:
        keys = {"openai": settings.openai_api_key, "anthropic": settings.anthropic_api_key}
        names = {"openai": settings.openai_model, "anthropic": settings.anthropic_model}
        order = sorted(keys, key=lambda provider: provider != settings.llm_provider)
        self._models = tuple(
            TextModel(names[provider], provider=provider, settings=settings)
            for provider in order
            if keys[provider] is not None
        )

    def for_role(self, role: Role) -> tuple[TextModel, ...]:
        """Return the models for `role`, the preferred one first; none when no key is set."""
        return self._models

    async def load(self) -> None:
        """Get ready what a first request would have to wait for."""
        for model in self._models:
            await model.load()

    async def close(self) -> None:
        """Close the connections."""
        for model in self._models:
            await model.close()


def _open(provider: str, settings: Settings) -> "ProviderModel":
    from ivr.vendors import llm_providers  # a second: not before the doors are open

    model = llm_providers.OPEN[provider](settings)
    gc.freeze()  # as at the start: looking through it for garbage would silence every call
    return model
