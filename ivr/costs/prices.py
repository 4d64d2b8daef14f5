"""What a use costs, by one dated table, `prices.toml`. What is not in it is unknown, never 0.

Prices are by kind, provider and model, in millionths of a US dollar; nothing is rounded but the
sum of one use, half up.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from importlib import resources
from typing import Any

OWN = "ivr"  # the provider of what runs on our own machine: it is known to cost nothing
MICROS = 1_000_000
_PER = {"per_one": 1, "per_sixty": 60, "per_million": 1_000_000}

Amount = int | float


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs from a day on; `micros`: for one of each quantity."""

    kind: str
    provider: str
    model: str
    valid_from: date
    source: str
    micros: Mapping[str, Decimal]


def cost_micros(
    kind: str,
    provider: str,
    model: str,
    quantities: Mapping[str, Amount],
    *,
    on: date,
    prices: Iterable[Price] | None = None,
) -> int | None:
    """Return what these quantities cost on a day (UTC); None when any of it has no known price."""
    if provider == OWN:
        return 0
    price = _price(kind, provider, model, on=on, prices=table() if prices is None else prices)
    used = {name: Decimal(str(amount)) for name, amount in quantities.items() if amount}
    if price is None or not used.keys() <= price.micros.keys():
        return None
    total = sum((amount * price.micros[name] for name, amount in used.items()), Decimal(0))
    return int(total.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def _price(
    kind: str, provider: str, model: str, *, on: date, prices: Iterable[Price]
) -> Price | None:
    named = (kind, provider, model)
    valid = [
        price
        for price in prices
        if (price.kind, price.provider, price.model) == named and price.valid_from <= on
    ]
    return max(valid, key=lambda price: price.valid_from, default=None)


@cache
def table() -> tuple[Price, ...]:
    """Return the prices that ship."""
    return read((resources.files("ivr.costs") / "prices.toml").read_text(encoding="utf-8"))


def read(text: str) -> tuple[Price, ...]:
    """Return the prices of a table in TOML."""
    return tuple(
        Price(
            kind=entry["kind"],
            provider=entry["provider"],
            model=model,
            valid_from=entry["valid_from"],
            source=entry["source"],
            micros=_micros(entry),
        )
        for entry in tomllib.loads(text)["price"]
        for model in entry["models"]
    )


def _micros(entry: Mapping[str, Any]) -> dict[str, Decimal]:
    return {
        name: Decimal(usd) * MICROS / count
        for per, count in _PER.items()
        for name, usd in entry.get(per, {}).items()
    }
