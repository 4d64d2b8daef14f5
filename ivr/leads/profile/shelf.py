"""Profiles under names of their own: how the offline voice, which is a server, is told of one.

A business that has changed nothing goes by its profile's key, any other one by key and contents.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from ivr.errors import ProfileError
from ivr.leads.profile import Profile

MOST = 1000  # the longest unused goes


class ProfileShelf:
    """Remembers the profiles of one process; called with a name, it is what finds one."""

    def __init__(self, by_key: Callable[[str], Profile]) -> None:
        self._by_key = by_key
        self._kept: OrderedDict[str, Profile] = OrderedDict()

    def put(self, profile: Profile) -> str:
        """Return the name under which the profile is found from now on."""
        if self._is_known(profile):
            return profile.key
        name = f"{profile.key}~{sha256(repr(profile).encode()).hexdigest()[:16]}"
        self._kept[name] = profile
        self._kept.move_to_end(name)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return name

    def __call__(self, name: str) -> Profile:
        """Return the profile of a name, or of a key; raise `ProfileError`."""
        return self._kept[name] if name in self._kept else self._by_key(name)

    def _is_known(self, profile: Profile) -> bool:
        try:
            return self._by_key(profile.key) == profile
        except ProfileError:  # a client's own
            return False
