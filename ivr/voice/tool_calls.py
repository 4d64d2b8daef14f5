"""Function calls of the assistant that still run, and the response that each of them came from."""

from . import realtime
from .commands import Command, RunTool


class ToolCalls:
    """The model is answered when the last one is done: never before `is_running` is over."""

    def __init__(self) -> None:
        self._running: dict[str, str] = {}  # call id -> response id

    @property
    def is_running(self) -> bool:
        return bool(self._running)

    def begin(self, item: realtime.Item, response_id: str) -> list[Command]:
        """Run the tool if the item is a whole call; one that was cut has half a JSON."""
        is_call = item.type == "function_call" and item.status == "completed"
        if not is_call or not item.call_id or item.call_id in self._running:
            return []
        self._running[item.call_id] = response_id
        return [RunTool(item.call_id, item.name or "", item.arguments or "{}")]

    def finish(self, call_id: str) -> str | None:
        """Return the response that called; None when nothing of that name runs."""
        return self._running.pop(call_id, None)
