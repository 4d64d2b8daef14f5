"""Digits that the caller keys in, collected until `#`. Never logged: they may be anything."""

MAX_KEYS = 32


class Keypad:
    """The digits of one entry; when a pause ends it is for the owner of the clock to say."""

    def __init__(self) -> None:
        self._keys = ""

    @property
    def is_active(self) -> bool:
        return bool(self._keys)

    def press(self, key: str) -> bool:
        """Take a key; True when it ends the entry."""
        if key == "#":
            return True
        self._keys = (self._keys + key[:1])[:MAX_KEYS]
        return False

    def take(self) -> str:
        """Return what was keyed in and begin anew."""
        keys, self._keys = self._keys, ""
        return keys
