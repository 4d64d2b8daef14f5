"""The items of a conversation and what clients may do to them; no audio, no dialogue."""

from collections.abc import Callable, Mapping
from typing import Any

from ivr.offline.events import Event, Refused, function_call

_PARTS = {"user": {"input_text"}, "assistant": {"output_text"}, "system": {"input_text"}}


class Items:
    """Items in order; `new_id` makes names for those that come without."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._items: dict[str, dict[str, Any]] = {}
        self._sounded_ms: dict[str, int] = {}

    def add(self, item: dict[str, Any]) -> str | None:
        """Append an item; returns the id of the one before."""
        previous = next(reversed(self._items), None)
        self._items[item["id"]] = item
        return previous

    def sounded(self, item_id: str, ms: int) -> None:
        """Note how much sound of an assistant's item was sent."""
        self._sounded_ms[item_id] = ms

    def transcribe(self, item_id: str, text: str) -> None:
        if item_id in self._items:
            self._items[item_id]["content"] = [{"type": "input_audio", "transcript": text}]

    def create(self, event: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """Add a client's item; returns it and the id of the one before; raises Refused."""
        given = event.get("item")
        if not isinstance(given, dict):
            raise Refused(
                "Missing required parameter: 'item'.",
                code="missing_required_parameter",
                param="item",
            )
        if event.get("previous_item_id") is not None:
            raise Refused(
                "Items go at the end here.", code="invalid_value", param="previous_item_id"
            )
        item = self._checked(given)
        if item["id"] in self._items:
            raise Refused("The item exists already.", code="invalid_value", param="item.id")
        return item, self.add(item)

    def _checked(self, given: dict[str, Any]) -> dict[str, Any]:
        base = {"id": given.get("id") or self._new_id("item"), "object": "realtime.item"}
        match given:
            case {
                "type": "function_call",
                "call_id": str(call_id),
                "name": str(name),
                "arguments": str(arguments),
            }:
                identity = base["id"]
                return function_call(
                    identity, call_id, name, status="completed", arguments=arguments
                )
            case {"type": "function_call_output", "call_id": str(call_id), "output": str(output)}:
                called = any(entry.get("call_id") == call_id for entry in self._items.values())
                if not called:
                    raise Refused("No such call.", code="invalid_value", param="item.call_id")
                return {
                    **base,
                    "type": "function_call_output",
                    "call_id": call_id,
                    "output": output,
                }
            case {"type": "message", "role": str(role), "content": list(content)} if role in _PARTS:
                for part in content:
                    self._check_part(part, role)
                message = {"type": "message", "role": role, "status": "completed"}
                return {**base, **message, "content": content}
        raise Refused("Not an item that can be created.", code="invalid_value", param="item")

    def _check_part(self, part: Any, role: str) -> None:
        is_table = isinstance(part, dict) and set(part) == {"type", "text"}
        if not is_table or part["type"] not in _PARTS[role] or not isinstance(part["text"], str):
            raise Refused(
                "Not a part of such a message.", code="invalid_value", param="item.content"
            )

    def change(self, event: Mapping[str, Any]) -> Event:
        """Truncate, retrieve or delete; returns the answer; raises Refused."""
        item = self._items.get(str(event.get("item_id")))
        if item is None:
            raise Refused("No such item.", code="item_not_found", param="item_id")
        match event["type"]:
            case "conversation.item.truncate":
                return self._truncate(item, event)
            case "conversation.item.retrieve":
                return {"type": "conversation.item.retrieved", "item": {**item}}
        del self._items[item["id"]]
        return {"type": "conversation.item.deleted", "item_id": item["id"]}

    def _truncate(self, item: dict[str, Any], event: Mapping[str, Any]) -> Event:
        sounded, wanted = self._sounded_ms.get(item["id"]), event.get("audio_end_ms")
        if not sounded:
            raise Refused(
                "Only model output audio messages can be truncated", code="unsupported_content_type"
            )
        if event.get("content_index") != 0 or not isinstance(wanted, int) or wanted < 0:
            raise Refused("Not a place in this item.", code="invalid_value", param="audio_end_ms")
        if wanted > sounded:
            raise Refused(
                f"Audio content of {sounded}ms is already shorter than {wanted}ms", code=None
            )
        self._sounded_ms[item["id"]] = wanted
        item["content"] = [{"type": "output_audio", "transcript": None}]
        return {
            "type": "conversation.item.truncated",
            "item_id": item["id"],
            "content_index": 0,
            "audio_end_ms": wanted,
        }
