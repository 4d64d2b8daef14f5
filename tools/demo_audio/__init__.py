"""What a synthetic caller says, as data: `<name>.toml` with `[[answers]]`, and the clips it names.

An answer belongs to whatever question its `when` is found in, so a question asked again is answered
again. The sound lies beside this file, made by `render.py`; nothing here plays it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.caller import Answer

CLIPS = Path(__file__).parent

_KEYS = {"title", "profile", "caller", "called", "answers", "expect"}
_ANSWER_KEYS = {"when", "say", "clip"}


class ScriptError(ValueError):
    """A script cannot be read; the text names the file, the key and the reason."""


@dataclass(frozen=True, slots=True)
class Script:
    """One synthetic call; `expected` is what must be in the lead."""

    title: str
    profile: str
    caller: str
    called: str
    answers: tuple[Answer, ...]
    expected: Mapping[str, str]


def load_script(name: str) -> Script:
    """Return the script of a name, or of a path to a TOML file; raises ScriptError."""
    path = CLIPS / f"{name}.toml" if "/" not in name else Path(name)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise ScriptError(f"{path.name}: {exc}") from exc
    if unknown := set(table) - _KEYS:
        raise ScriptError(f"{path.name}: unknown key {min(unknown)!r}")
    try:
        return Script(
            title=table["title"],
            profile=table["profile"],
            caller=table["caller"],
            called=table["called"],
            answers=tuple(_answer(path, entry) for entry in table["answers"]),
            expected=table["expect"]["lead"],
        )
    except KeyError as exc:
        raise ScriptError(f"{path.name}: the key {exc} is missing") from exc


def answers(path: Path) -> tuple[Answer, ...]:
    """Return the answers of a script's file; raises ScriptError."""
    return load_script(str(path.resolve())).answers


def _answer(path: Path, entry: Mapping[str, Any]) -> Answer:
    if unknown := set(entry) - _ANSWER_KEYS:
        raise ScriptError(f"{path.name}: unknown key {min(unknown)!r} in an answer")
    clip = CLIPS / entry["clip"]
    try:
        return Answer(re.compile(entry["when"], re.IGNORECASE), entry["say"], clip.read_bytes())
    except re.error as exc:
        raise ScriptError(f"{path.name}: {entry['when']!r} is no pattern: {exc}") from exc
    except OSError as exc:
        raise ScriptError(f"{path.name}: the clip {entry['clip']} cannot be read") from exc
