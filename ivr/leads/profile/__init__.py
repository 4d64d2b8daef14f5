"""A profile: what one line of business wants to know, in its own words, found by key or by path.

Everything that a conversation needs comes from here; checking answers is `fields`' work.
"""

import tomllib
from importlib.resources import files
from pathlib import Path

from ivr.errors import ProfileError
from ivr.leads.fields import Field
from ivr.leads.profile.reader import Reader
from ivr.leads.profile.shape import PHONES, Demo, Escalation, Profile, Wording

__all__ = [
    "PHONES",
    "Demo",
    "Escalation",
    "Field",
    "Profile",
    "Wording",
    "load_profile",
    "parse_profile",
    "shipped_profiles",
]


def shipped_profiles() -> tuple[str, ...]:
    """Return the keys of the profiles that come with the package."""
    folder = files("ivr.leads") / "profiles"
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".toml")]
    return tuple(sorted(name.removesuffix(".toml") for name in names))


def load_profile(key_or_path: str | Path) -> Profile:
    """Return a shipped profile by key, or any profile by path; ProfileError says what is wrong."""
    if isinstance(key_or_path, str) and key_or_path in shipped_profiles():
        name = f"{key_or_path}.toml"
        text = (files("ivr.leads") / "profiles" / name).read_text(encoding="utf-8")
        return parse_profile(text, source=name)
    path = Path(key_or_path)
    if path.suffix != ".toml":
        known = ", ".join(shipped_profiles())
        raise ProfileError(f"no profile {str(key_or_path)!r}; shipped are {known}, or give a path")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ProfileError(f"{path}: cannot be read: {exc}") from exc
    return parse_profile(text, source=str(path))


def parse_profile(text: str, *, source: str) -> Profile:
    """Return the profile in TOML `text`; ProfileError names `source`, the key and the reason."""
    try:
        table = tomllib.loads(text)
        has_nul = r"\x00" in repr(table)
    except RecursionError as exc:
        raise ProfileError(f"{source}: not valid TOML: nested too deeply") from exc
    except ValueError as exc:  # also of a number with thousands of digits
        raise ProfileError(f"{source}: not valid TOML: {exc}") from exc
    if has_nul:
        raise ProfileError(f"{source}: has the character U+0000, which no database keeps")
    return Reader(source).profile(table)
