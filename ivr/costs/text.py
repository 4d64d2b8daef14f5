"""What text models took, in the form in which it is written down: a row per purpose and model."""

from collections.abc import Iterable
from dataclasses import dataclass

from ivr.costs.usage import Kind, Used
from ivr.vendors.llm import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One answered request to a text model."""

    purpose: str
    provider: str
    model: str
    usage: Usage


def rows(requests: Iterable[Request], *, key: str) -> list[Used]:
    """Return the rows of the requests that were made for one thing, which `key` names."""
    sums: dict[tuple[str, str, str], dict[str, int]] = {}
    for it in requests:
        total = sums.setdefault((it.purpose, it.provider, it.model), {})
        for name, tokens in _quantities(it.usage).items():
            total[name] = total.get(name, 0) + tokens
    return [
        Used(
            kind=Kind.TEXT,
            purpose=purpose,
            provider=provider,
            model=model,
            quantities=quantities,
            key=f"{key}:{purpose}:{provider}:{model}",
        )
        for (purpose, provider, model), quantities in sums.items()
    ]


def _quantities(usage: Usage) -> dict[str, int]:
    from_cache = usage.cached_tokens + usage.cache_write_tokens
    return {
        "input_tokens": max(usage.input_tokens - from_cache, 0),
        "cached_input_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }
