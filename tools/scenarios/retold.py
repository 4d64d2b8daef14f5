"""A scenario as another caller has it: whoever says a number says their own.

The words of a scenario hold one caller's number, said, read back and saved. Whoever says another's
number and their name is that person for the server, so callers of one scenario need their own.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

from tools.scenarios import Scenario

_NUMBER = re.compile(r"\+1\d{10}")


def told_by(scenario: Scenario, caller: str) -> Scenario:
    """Return the scenario with the number of `caller` (+1 and ten digits) where its own stood."""
    words = list(zip(_forms(scenario.caller), _forms(caller), strict=True))
    told: Scenario = _retell(scenario, words)
    return told


def told_to(scenario: Scenario, prompt: str) -> Scenario:
    """Return the scenario as the caller has it whose number a model's prompt gives."""
    number = _NUMBER.search(prompt)
    return told_by(scenario, number[0]) if number else scenario


def in_groups(number: str) -> str:
    """Return +17705550123 as its owner says it, 770 555 0123."""
    return " ".join(_groups(number))


def _forms(number: str) -> tuple[str, ...]:
    """Return all ways in which a number stands in a scenario, the longer ones first."""
    read_back = ", ".join(" ".join(group) for group in _groups(number))
    return number, in_groups(number), read_back, "".join(_groups(number))


def _groups(number: str) -> tuple[str, str, str]:
    assert number.startswith("+1") and len(number) == 12, f"no American number: {number}"
    return number[2:5], number[5:8], number[8:]


def _retell(told: Any, words: Sequence[tuple[str, str]]) -> Any:
    if isinstance(told, str):
        for theirs, own in words:
            told = told.replace(theirs, own)
        return told
    if isinstance(told, Mapping):
        return {key: _retell(value, words) for key, value in told.items()}
    if isinstance(told, tuple):
        return tuple(_retell(value, words) for value in told)
    if is_dataclass(told) and not isinstance(told, type):
        parts = {part.name: _retell(getattr(told, part.name), words) for part in fields(told)}
        return replace(told, **parts)
    return told
