"""The fields that qualify a lead in any line of business; a profile takes one by `use`.

What they are stands in `qualification_fields.toml`, in the words of a profile's [[fields]].
"""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

KEYS = (
    "service_interest",
    "budget",
    "budget_confirmed",
    "urgency",
    "timeline",
    "decision_maker",
    "location",
)


@lru_cache(maxsize=1)
def shared() -> Mapping[str, Mapping[str, Any]]:
    """Return the fields by the name that `use` takes."""
    text = (files("ivr.leads.profile") / "qualification_fields.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def filled_in(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a profile's entry with what it leaves out taken from the field that it uses."""
    name = entry["use"]
    base = {key: value for key, value in shared()[name].items() if key != "texts"}
    own = {key: value for key, value in entry.items() if key != "use"}
    if own.get("type", base["type"]) != base["type"]:
        base = {key: base[key] for key in base.keys() - {"choices", "options"}}
    filled = {"key": name, **base, **own}
    if "options" in base and isinstance(own.get("options", {}), dict):
        filled["options"] = _options(base["options"], own)
    return filled


def used_by(entry: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the key of a profile's entry, and the field whose words it is asked with, if any."""
    filled = filled_in(entry) if "use" in entry else entry
    return filled["key"], entry.get("use") if filled.get("asked", True) else None


def words(name: str, language: str) -> Mapping[str, str]:
    """Return a field's words in another language, none where it has none."""
    found: Mapping[str, str] = shared()[name].get("texts", {}).get(language, {})
    return found


def _options(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    given = own.get("options", {})
    merged = {**base, **given}
    if "aliases" in base and isinstance(given.get("aliases", {}), dict):
        choices = own.get("choices")
        kept = {
            said: choice
            for said, choice in base["aliases"].items()
            if not isinstance(choices, list) or choice in choices
        }
        merged["aliases"] = {**kept, **given.get("aliases", {})}
    return merged
