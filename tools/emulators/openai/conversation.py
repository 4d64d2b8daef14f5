"""One session's conversation: its items in order, what may be done to them. No I/O, no clock."""

from dataclasses import dataclass, field
from typing import Any

from tools.emulators.openai.refusal import Refusal, invalid_value


@dataclass
class Item:
    """One item: `view` is its wire object, `audio_ms` the assistant audio that the server holds."""

    view: dict[str, Any]
    previous_id: str | None
    audio_ms: float = 0.0
    heard: str = ""  # what the caller said in it, for the transcription

    @property
    def id(self) -> str:
        return str(self.view["id"])


@dataclass
class Conversation:
    """Items in their order; raises Refusal for what the service does not do."""

    id: str
    items: list[Item] = field(default_factory=list)

    def append(self, view: dict[str, Any]) -> Item:
        """Put an item at the end."""
        item = Item(view, self.items[-1].id if self.items else None)
        self.items.append(item)
        return item

    def create(self, view: dict[str, Any], previous_id: str | None) -> Item:
        """Put a client's item behind `previous_id` ("root" = at the front, None = at the end)."""
        if any(item.id == view["id"] for item in self.items):
            raise invalid_value("item.id", f"the conversation already has an item '{view['id']}'")
        if view["type"] == "function_call_output":
            self._require_call(view["call_id"])
        if previous_id is None:
            return self.append(view)
        at = 0 if previous_id == "root" else self._index(previous_id, "item_create") + 1
        item = Item(view, self.items[at - 1].id if at else None)
        self.items.insert(at, item)
        return item

    def get(self, item_id: str, operation: str) -> Item:
        """Return the item; `operation` is the prefix of the service's error code, e.g.
        "item_delete".
        """
        return self.items[self._index(item_id, operation)]

    def delete(self, item_id: str) -> None:
        self.items.pop(self._index(item_id, "item_delete"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> Item:
        """Cut an assistant's audio; its transcript is gone afterwards, as on the service."""
        item = self.get(item_id, "item_truncate")
        if item.view.get("role") != "assistant" or not item.audio_ms:
            raise Refusal(
                "Only model output audio messages can be truncated",
                code="unsupported_content_type",
                param="item_id",
            )
        if content_index != 0:
            raise invalid_value("content_index", "this item has one content part, 0")
        if audio_end_ms < 0:
            raise invalid_value("audio_end_ms", "must not be negative")
        if audio_end_ms > item.audio_ms:
            held = int(item.audio_ms)
            message = f"Audio content of {held}ms is already shorter than {audio_end_ms}ms"
            raise Refusal(message, code=None, param="audio_end_ms")
        item.audio_ms = audio_end_ms
        for part in item.view["content"]:
            part.pop("transcript", None)
        return item

    def missing_outputs(self) -> list[str]:
        """Return the ids of completed function calls that have no output yet."""
        answered = {
            i.view["call_id"] for i in self.items if i.view["type"] == "function_call_output"
        }
        return [
            item.view["call_id"]
            for item in self.items
            if item.view["type"] == "function_call"
            and item.view["status"] == "completed"
            and item.view["call_id"] not in answered
        ]

    def _require_call(self, call_id: str) -> None:
        calls = [item for item in self.items if item.view["type"] == "function_call"]
        if not any(item.view["call_id"] == call_id for item in calls):
            message = f"Tool call ID '{call_id}' not found in conversation."
            raise Refusal(message, code="invalid_tool_call_id", param="item.call_id")

    def _index(self, item_id: str, operation: str) -> int:
        for i, item in enumerate(self.items):
            if item.id == item_id:
                return i
        raise Refusal(
            f"Item with item_id '{item_id}' not found.",
            code=f"{operation}_invalid_item_id",
            param="item_id",
        )
