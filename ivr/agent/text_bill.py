"""What the models took for one written answer, in the form of a conversation's usage."""

from collections.abc import Sequence
from typing import Any, Literal

from ivr.agent.text_router import Route
from ivr.vendors.llm import Usage


class Bill:
    """Grows while a turn is worked out; a price that is not known makes the sum unknown."""

    def __init__(self) -> None:
        self._used: list[Usage] = []
        self._model = ""
        self._route: Route | None = None

    def routed(self, route: Route) -> None:
        """Note the router's decision and, where it was a model's, what that took."""
        self._route = route
        self._used += [route.usage] if route.usage else []

    def asked(self, model: str, used: Sequence[Usage]) -> None:
        """Note what a model took, whatever came of it."""
        self._model = model
        self._used += used

    @property
    def has_asked(self) -> bool:
        """Whether a model was asked for the answer."""
        return bool(self._model)

    def of(self, by: Literal["model", "rules"]) -> dict[str, Any]:
        """Return the sums of this answer: `conversations.add_usage` adds them up."""
        costs = [used.cost_usd for used in self._used]
        sums: dict[str, Any] = {
            "answers_by_model": int(by == "model"),
            "answers_by_rules": int(by == "rules"),
            "requests": len(self._used),
            "input_tokens": sum(used.input_tokens for used in self._used),
            "output_tokens": sum(used.output_tokens for used in self._used),
            "cost_usd": None if None in costs else sum(cost for cost in costs if cost is not None),
        }
        if self._route is not None:
            sums |= {f"routed_{self._route.decision}": 1, "routed_by": self._route.by}
        return {"text": sums | ({"model": self._model} if self._model else {})}
