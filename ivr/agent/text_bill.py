"""What the models took for one written answer: as rows, and as a conversation's counts."""

import uuid
from collections.abc import Sequence
from typing import Any, Literal

from ivr.agent.text_router import Route
from ivr.costs import text
from ivr.costs.text import Request
from ivr.costs.usage import Used
from ivr.vendors.llm import TextModel, Usage


class Bill:
    """Grows while a turn is worked out, and stands whatever comes of the turn."""

    def __init__(self) -> None:
        self._key = f"answer:{uuid.uuid4()}"
        self._requests: list[Request] = []
        self._model = ""
        self._route: Route | None = None

    def routed(self, model: TextModel, route: Route) -> None:
        """Note the router's decision and, where it was a model's, what that took."""
        self._route = route
        if route.usage is not None:
            self._add("route", model, [route.usage])

    def asked(self, model: TextModel, used: Sequence[Usage]) -> None:
        """Note what a model took, whatever came of it."""
        self._model = model.name
        self._add("reply", model, used)

    def _add(self, purpose: str, model: TextModel, used: Sequence[Usage]) -> None:
        self._requests += [
            Request(purpose=purpose, provider=model.provider, model=model.name, usage=one)
            for one in used
        ]

    @property
    def has_asked(self) -> bool:
        """Whether a model was asked for the answer."""
        return bool(self._model)

    def rows(self) -> list[Used]:
        """Return what is to be written down with the answer."""
        return text.rows(self._requests, key=self._key)

    def of(self, by: Literal["model", "rules"]) -> dict[str, Any]:
        """Return the counts of this answer: `conversations.add_usage` adds them up."""
        counts: dict[str, Any] = {
            "answers_by_model": int(by == "model"),
            "answers_by_rules": int(by == "rules"),
            "requests": len(self._requests),
            "input_tokens": sum(it.usage.input_tokens for it in self._requests),
            "output_tokens": sum(it.usage.output_tokens for it in self._requests),
        }
        if self._route is not None:
            counts |= {f"routed_{self._route.decision}": 1, "routed_by": self._route.by}
        return {"text": counts | ({"model": self._model} if self._model else {})}
