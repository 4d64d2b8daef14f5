"""What the caller has really heard. Counts audio and the marks that come back; sends nothing.

OpenAI delivers speech several times faster than it is spoken, so whole answers wait in Twilio's
buffer. Only a mark's echo proves that something was heard, and after a `clear` Twilio echoes all
outstanding marks at once: those prove nothing. A mark's name therefore carries a generation, and a
cut forgets every name of the generation before.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .media_stream import BYTES_PER_MS

MAX_QUEUED_MS = 9 * 60_000  # Twilio drops what is beyond ten minutes (warning 31931)


@dataclass(frozen=True, slots=True)
class Cut:
    """An item that was interrupted, and how much of it was heard."""

    item_id: str
    heard_ms: int


@dataclass(slots=True)
class _Item:
    sent_bytes: int = 0
    dropped_bytes: int = 0
    heard_ms: int = 0
    is_cut: bool = False

    @property
    def sent_ms(self) -> int:
        return self.sent_bytes // BYTES_PER_MS


class Playback:
    """Sent and heard, per assistant item. `now` is in seconds of any steady clock."""

    def __init__(self) -> None:
        self._items: dict[str, _Item] = {}
        self._marks: dict[str, tuple[str, int]] = {}  # name -> item and ms heard then; play order
        self._queued_bytes = 0
        self._muted: set[str] = set()
        self._generation = 0
        self._proved_at = 0.0  # when we last knew exactly how far playback was

    @property
    def is_playing(self) -> bool:
        return bool(self._marks)

    @property
    def is_full(self) -> bool:
        return self._queued_bytes >= MAX_QUEUED_MS * BYTES_PER_MS

    @property
    def unheard_ms(self) -> int:
        return sum(item.sent_ms - item.heard_ms for item in map(self._item, self._waiting()))

    def send(self, item_id: str, size: int, now: float) -> str:
        """Count `size` bytes of an item as sent; return the name of the mark behind them."""
        if not self._marks:
            self._proved_at = now
        item = self._item(item_id)
        item.sent_bytes += size
        self._queued_bytes += size
        return self._mark(f"{item_id}:{item.sent_ms}", item_id, item.sent_ms)

    def bookmark(self, word: str) -> str:
        """Return the name of a mark that comes back when all that was sent is heard."""
        return self._mark(word, "", 0)

    def echo(self, mark: str, now: float) -> bool:
        """Take a mark's echo; False when it is stale, repeated or not ours."""
        if mark not in self._marks:
            return False
        for name in list(self._marks):
            item_id, heard_ms = self._marks.pop(name)
            if item_id:
                self._hear(item_id, heard_ms)
            if name == mark:
                break
        self._proved_at = now
        return True

    def cut(self, now: float) -> list[Cut]:
        """Forget what is queued; return the items it held, the one being played first."""
        cuts = [self._cut(item_id, now) for item_id in self._waiting()]
        self._marks.clear()
        self._queued_bytes = 0
        self._generation += 1
        return cuts

    def mute(self, name: str) -> None:
        """Let nothing more of this item or response be heard."""
        self._muted.add(name)

    def is_muted(self, *names: str) -> bool:
        return not self._muted.isdisjoint(names)

    def drop(self, item_id: str, size: int) -> None:
        """Count `size` bytes that were generated and never sent."""
        item = self._item(item_id)
        item.dropped_bytes += size
        item.is_cut = True

    def has(self, item_id: str) -> bool:
        """Whether any sound of the item was sent."""
        return self._item(item_id).sent_bytes > 0

    def is_settled(self, item_id: str) -> bool:
        """Whether nothing more of the item can be heard than has been by now."""
        item = self._item(item_id)
        return item.is_cut or item.heard_ms >= item.sent_ms

    def heard(self, item_id: str) -> tuple[int, float]:
        """Return how many ms of an item were heard, and their share (0..1) of what was made."""
        item = self._item(item_id)
        generated_ms = (item.sent_bytes + item.dropped_bytes) / BYTES_PER_MS
        if not item.is_cut:
            return item.heard_ms, 1.0
        return item.heard_ms, min(item.heard_ms / generated_ms, 1.0) if generated_ms else 0.0

    def _item(self, item_id: str) -> _Item:
        return self._items.setdefault(item_id, _Item())

    def _mark(self, word: str, item_id: str, heard_ms: int) -> str:
        name = f"{self._generation}:{word}"
        self._marks[name] = (item_id, heard_ms)
        return name

    def _hear(self, item_id: str, heard_ms: int) -> None:
        item = self._item(item_id)
        self._queued_bytes -= (heard_ms - item.heard_ms) * BYTES_PER_MS
        item.heard_ms = heard_ms

    def _waiting(self) -> Iterator[str]:
        return iter(dict.fromkeys(item_id for item_id, _ in self._marks.values() if item_id))

    def _cut(self, item_id: str, now: float) -> Cut:
        item = self._item(item_id)
        playing, next_ms = next(iter(self._marks.values()))
        if playing == item_id:  # heard a little of the next piece, for as long as it has played
            elapsed_ms = max(0, round((now - self._proved_at) * 1000))
            item.heard_ms = min(item.heard_ms + elapsed_ms, next_ms)
        item.is_cut = True
        self._muted.add(item_id)
        return Cut(item_id, item.heard_ms)
