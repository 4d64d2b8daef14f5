"""Names of items, responses and tool calls, kept apart when a call has several model sessions.

A service may give the same name again in its next session. So from the second session on a name
carries the session's number for as long as it is inside; on the wire it is the service's own.
"""

from typing import TypeVar

import msgspec

from . import realtime

_NAMES = frozenset({"id", "item_id", "previous_item_id", "response_id", "call_id"})
_PARTS = frozenset({"item", "response"})

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class Names:
    """The names of one session, counted from 1; 0 is no session, and knows no name."""

    def __init__(self, session: int) -> None:
        self._suffix = "" if session == 1 else f"~{session}"

    def inside(self, event: realtime.Event) -> realtime.Event:
        """Return the event with our names in it."""
        return _renamed(event, self._suffix) if self._suffix else event

    def ours(self, name: str) -> str:
        return name + self._suffix

    def wire(self, name: str) -> str:
        """Return the service's name for what is called `name` inside."""
        return name.removesuffix(self._suffix)

    def knows(self, name: str) -> bool:
        """Whether the session gave this name; it cannot be asked about the others."""
        return name.endswith(self._suffix)


def _renamed(found: _Struct, suffix: str) -> _Struct:
    values = {name: getattr(found, name) for name in found.__struct_fields__}
    named = {name: value + suffix for name, value in values.items() if name in _NAMES and value}
    parts = {name: _renamed(value, suffix) for name, value in values.items() if name in _PARTS}
    return msgspec.structs.replace(found, **named, **parts)
